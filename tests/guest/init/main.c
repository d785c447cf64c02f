// SPDX-License-Identifier: GPL-3.0-or-later
// The test guest: PID 1 of a kernel with nothing else in user space.  Mounts what the kernel
// offers, loads the modules that mkinitrd packed, takes its address from the kernel's command line
// and starts the parts.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"

#define MODULES "/m" // filled by mkinitrd, named in the order of loading

static void mount_all(void)
{
    static const char *const mounts[][2] = {
        {"/dev", "devtmpfs"}, {"/proc", "proc"}, {"/sys", "sysfs"}};

    for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
        mkdir(mounts[i][0], 0755);
        // devtmpfs may be mounted already: nothing else can fail here that we could say anywhere.
        (void)mount(mounts[i][1], mounts[i][0], mounts[i][1], 0, NULL);
    }
}

// A guest without a serial port has no console; its output then goes nowhere.
static void open_console(void)
{
    int fd = open("/dev/console", O_RDWR);

    if (fd < 0)
        fd = open("/dev/null", O_RDWR);
    for (int i = 0; fd >= 0 && i <= 2; i++)
        dup2(fd, i);
    if (fd > 2)
        close(fd);
    setvbuf(stdout, NULL, _IOLBF, 0);
}

static void load_modules(void)
{
    struct dirent **entries;
    int count = scandir(MODULES, &entries, NULL, alphasort);

    for (int i = 0; i < count; i++) {
        char path[sizeof(MODULES) + 1 + sizeof(entries[i]->d_name)];
        int fd;

        snprintf(path, sizeof(path), MODULES "/%s", entries[i]->d_name);
        free(entries[i]);
        if (strstr(path, ".ko") == NULL)
            continue;
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST))
            printf("%s: %s\n", path, strerror(errno));
        if (fd >= 0)
            close(fd);
    }
    if (count >= 0)
        free(entries);
}

// The value of key ("g.ip=") on the kernel's command line, or fallback.  value holds 64 bytes.
static const char *argument(const char *key, const char *fallback, char value[64])
{
    char line[4096] = "";
    int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    char *rest = NULL;

    if (fd >= 0) {
        ssize_t n = read(fd, line, sizeof(line) - 1);

        line[n > 0 ? n : 0] = '\0';
        close(fd);
    }
    snprintf(value, 64, "%s", fallback);
    for (char *word = strtok_r(line, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest)) {
        if (strncmp(word, key, strlen(key)) == 0)
            snprintf(value, 64, "%s", word + strlen(key));
    }
    return value;
}

int main(void)
{
    char ip[64], mask[64];
    unsigned disks = 0;

    mount_all();
    open_console();
    signal(SIGPIPE, SIG_IGN);
    load_modules();
    power_start();
    net_start(argument("g.ip=", "10.85.0.100", ip), argument("g.mask=", "255.255.255.0", mask));
    memory_start();
    acks_start();
    disk_start();
    while (disk_at(disks))
        disks++;
    printf("GUEST-READY ip=%s disks=%u up_ms=%llu\n", ip, disks,
           (unsigned long long)(guest_now_ns() / 1000000));
    control_run();
}
