// SPDX-License-Identifier: GPL-3.0-or-later
// Facts of the machine at start-up: see machine.h.
#include "machine.h"

#include "drover/file.h"
#include "drover/proc.h"
#include "qemu_user.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

// --- names ---

static int find_fqdn(struct ha *ha, struct drv_err *err)
{
    const char *host = drv_conf_str(ha->conf, "host");
    char name[256];
    if (host[0]) {
        DRV_COPY(ha->fqdn, host);
    } else {
        struct addrinfo hints = {.ai_flags = AI_CANONNAME}, *list = NULL;
        if (gethostname(name, sizeof name) < 0)
            return drv_err_os(err, errno, "gethostname");
        name[sizeof name - 1] = '\0';
        if (getaddrinfo(name, NULL, &hints, &list) == 0 && list->ai_canonname)
            DRV_COPY(ha->fqdn, list->ai_canonname);
        if (list)
            freeaddrinfo(list);
    }
    for (char *c = ha->fqdn; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    if (strchr(ha->fqdn, '.'))
        return 0;
    drv_err(err, DRV_EINVAL, "the full name of this host is not known (\"%s\")", ha->fqdn);
    return drv_err_hint(err, "set it in drover.conf: host = NAME.DOMAIN");
}

static int read_boot_id(struct ha *ha, struct drv_err *err)
{
    const char *path = drv_conf_str(ha->conf, "boot_id_file");
    DRV_AUTO_FILE FILE *f = fopen(path, "re");
    if (!f || !fgets(ha->boot_id, sizeof ha->boot_id, f) || !drv_uuid_valid(ha->boot_id))
        return drv_err(err, DRV_EIO, "boot_id_file: there is no boot id in %s", path);
    return 0;
}

// --- QEMU's user ---

// A service that runs with a group of QEMU's makes all files with that group, and needs no right to
// give them another one: it is this group then that QEMU has them by.
static int find_user(struct ha *ha, struct drv_err *err)
{
    if (ha_qemu_user(ha->conf, &ha->qemu_uid, &ha->qemu_gid, err) < 0)
        return -1;
    if (getegid() == 0)
        return 0;
    bool in = ha->qemu_gid == getegid() || ha->qemu_uid == geteuid() ||
              ha_qemu_user_in(ha->qemu_uid, getegid());
    ha->qemu_gid = getegid();
    if (in)
        return 0;
    drv_err(err, DRV_EINVAL, "qemu_user: user %d is not in group %d, which droverd runs with",
            (int)ha->qemu_uid, (int)ha->qemu_gid);
    return drv_err_hint(
        err,
        "QEMU has its files by that group: usermod -aG %d USER; or qemu_user = " DROVER_QEMU_USER,
        (int)ha->qemu_gid);
}

// --- our own helpers ---

static int find_helper(struct ha *ha, const char *file, char *ret, size_t size, struct drv_err *err)
{
    const char *lib_dir = drv_conf_str(ha->conf, "lib_dir");
    if (lib_dir[0]) {
        if (snprintf(ret, size, "%s/%s", lib_dir, file) < (int)size && drv_may(ret, R_OK))
            return 0;
        return drv_err(err, DRV_ENOTFOUND, "lib_dir: there is no %s/%s", lib_dir, file);
    }
    if (drv_program_find(file, DROVER_LIBEXEC_DIR, ret, size, err) == 0)
        return 0;
    return drv_err_hint(err, "install drover completely, or set lib_dir in drover.conf");
}

// --- folders ---

// Ours, and nobody else may put files there. Parents must exist, but for /run's and /var/lib's own.
static int own_folder(const char *option, const char *path, mode_t mode, struct drv_err *err)
{
    struct stat st;
    if (mkdir(path, mode) < 0 && errno != EEXIST)
        return drv_err_os(err, errno, "%s: cannot make %s", option, path);
    if (lstat(path, &st) < 0)
        return drv_err_os(err, errno, "%s: %s", option, path);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH)) {
        drv_err(err, DRV_EDENIED, "%s: %s must be a folder that only droverd's user can write",
                option, path);
        return drv_err_hint(err, "chown %d %s; chmod go-w %s", (int)geteuid(), path, path);
    }
    if ((st.st_mode & 07777) != mode && chmod(path, mode) < 0)
        return drv_err_os(err, errno, "%s: %s", option, path);
    return 0;
}

static int make_folders(struct ha *ha, struct drv_err *err)
{
    const char *run_dir = drv_conf_str(ha->conf, "run_dir");
    DRV_AUTO_FREE char *vm_dir = drv_xasprintf("%s/vm", run_dir);
    if (own_folder("state_dir", drv_conf_str(ha->conf, "state_dir"), 0700, err) < 0 ||
        own_folder("run_dir", run_dir, 0755, err) < 0)
        return -1;
    return own_folder("run_dir", vm_dir, 0711, err); // QEMU passes through to its own folder
}

// systemd's sockets, if it runs us, lie beside ours.
static int find_launcher(struct ha *ha, struct drv_err *err)
{
    struct ha_launcher *l = &ha->launcher;
    const char *run_dir = drv_conf_str(ha->conf, "run_dir");
    DRV_COPY(l->config, drv_conf_file(ha->conf));
    snprintf(l->vm_socket, sizeof l->vm_socket, "%s/launch/vm.sock", run_dir);
    snprintf(l->store_socket, sizeof l->store_socket, "%s/launch/store.sock", run_dir);
    return find_helper(ha, "drover-launch", l->program, sizeof l->program, err);
}

int ha_machine_init(struct ha *ha, struct drv_err *err)
{
    if (find_fqdn(ha, err) < 0 || read_boot_id(ha, err) < 0 || find_user(ha, err) < 0 ||
        find_helper(ha, "drover-store", ha->store_program, sizeof ha->store_program, err) < 0 ||
        find_helper(ha, "drover-smb", ha->smb_helper, sizeof ha->smb_helper, err) < 0 ||
        find_launcher(ha, err) < 0)
        return -1;
    return make_folders(ha, err);
}

enum { LOCK_WAIT_MS = 3000, LOCK_POLL_MS = 50 };

int ha_machine_lock(struct ha *ha, struct drv_err *err)
{
    DRV_AUTO_FREE char *path =
        drv_xasprintf("%s/droverd.lock", drv_conf_str(ha->conf, "state_dir"));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return drv_err_os(err, errno, "cannot open %s", path);
    // A child that an agent was killed over has the lock until it runs its program.
    int64_t deadline = drv_now_ms() + LOCK_WAIT_MS;
    int rc;
    while ((rc = flock(fd, LOCK_EX | LOCK_NB)) < 0 && errno == EWOULDBLOCK &&
           drv_now_ms() < deadline)
        drv_sleep_ms(LOCK_POLL_MS);
    if (rc == 0)
        return fd;
    int e = errno;
    close(fd);
    if (e == EWOULDBLOCK)
        return drv_err(err, DRV_EBUSY, "another droverd runs with %s", path);
    return drv_err_os(err, e, "cannot lock %s", path);
}
