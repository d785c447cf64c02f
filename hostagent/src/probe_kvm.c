// SPDX-License-Identifier: GPL-3.0-or-later
// Does KVM run guests? A device file says little: on some virtual machines KVM exists but
// interprets each instruction, a million times slower than the processor; a BIOS still boots, and a
// kernel seems to hang. So a guest of our own runs: from its boot sector it switches to 64-bit mode
// with paging, counts to 20 million, writes a line to QEMU's debug port and resets. With hardware
// behind it that takes 0.2 s, and 27 s where KVM was seen to interpret.
#include "probe_int.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drover/file.h"
#include "drover/proc.h"

enum { SECTOR = 512, IMAGE_BYTES = 1 << 20, LIMIT_MS = 6000, POLL_MS = 20 };

#define GUEST_SAYS "drover: a guest runs"

// The boot sector, loaded by the BIOS at 0x7c00. Page tables at 0x1000 map the first 2 MiB one to
// one.
__asm__(".pushsection .rodata\n"
        ".code16\n"
        "drover_probe_sector:\n"
        "  cli; cld; xorw %ax, %ax; movw %ax, %ds; movw %ax, %es\n"
        "  movw $0x1000, %di; movl $0x1000, %eax; movl %eax, %cr3\n"
        "  xorl %eax, %eax; movw $0xc00, %cx; rep stosl\n"
        "  movw $0x2003, 0x1000; movw $0x3003, 0x2000; movw $0x0083, 0x3000\n"
        "  movl %cr4, %eax; orl $0x20, %eax; movl %eax, %cr4\n"      // PAE
        "  movl $0xc0000080, %ecx; rdmsr; orl $0x100, %eax; wrmsr\n" // EFER.LME
        "  lgdtl (0x7c00 + gdt_pointer - drover_probe_sector)\n"
        "  movl %cr0, %eax; orl $0x80000001, %eax; movl %eax, %cr0\n" // PG, PE
        "  ljmpw $8, $(0x7c00 + long_mode - drover_probe_sector)\n"
        ".code64\n"
        "long_mode:\n"
        "  movl $0x100000, %edi; movl $0x20000, %ecx; movl %ecx, %eax; rep stosq\n" // fill 1 MiB
        "  movl $20000000, %ecx\n"
        "1: decl %ecx; jnz 1b\n"
        "  movl $(0x7c00 + text - drover_probe_sector), %esi\n"
        "2: lodsb; testb %al, %al; jz 3f; outb %al, $0xe9; jmp 2b\n"
        "3: movb $0xfe, %al; outb %al, $0x64\n" // the keyboard controller resets the machine
        "4: hlt; jmp 4b\n"
        "gdt: .quad 0, 0x00209a0000000000\n"
        "gdt_pointer: .word 15; .long 0x7c00 + gdt - drover_probe_sector\n"
        "text: .asciz \"" GUEST_SAYS "\\n\"\n"
        ".org drover_probe_sector + 510\n"
        ".word 0xaa55\n"
        ".popsection\n");
extern const char drover_probe_sector[SECTOR];

static int write_image(const char *path, struct drv_err *err)
{
    DRV_AUTO_FILE FILE *f = fopen(path, "we");
    if (!f || fwrite(drover_probe_sector, SECTOR, 1, f) != 1 || fflush(f) != 0 ||
        ftruncate(fileno(f), IMAGE_BYTES) < 0 || fchmod(fileno(f), 0644) < 0)
        return drv_err_os(err, errno, "cannot write %s", path);
    return 0;
}

static void add_args(struct ha_argv *a, const struct probe_run *run, const char *accel,
                     const char *image)
{
    ha_argv_add(a, "%s", run->emulator);
    ha_argv_add(a, "-nodefaults");
    ha_argv_add(a, "-no-user-config");
    ha_argv_add(a, "-machine");
    ha_argv_add(a, "q35,accel=%s", accel);
    ha_argv_add(a, "-m");
    ha_argv_add(a, "64M");
    ha_argv_add(a, "-display");
    ha_argv_add(a, "none");
    ha_argv_add(a, "-no-reboot"); // the reset ends QEMU
    ha_argv_add(a, "-debugcon");
    ha_argv_add(a, "stdio");
    ha_argv_add(a, "-blockdev");
    ha_argv_add(a, "driver=raw,node-name=d,read-only=on,file.driver=file,file.filename=%s", image);
    ha_argv_add(a, "-device");
    ha_argv_add(a, "virtio-blk-pci,drive=d");
}

// True when the log holds the guest's line; else note is its last line.
static bool guest_spoke(const char *log, char *note, size_t size)
{
    char line[256];
    bool spoke = false;
    DRV_AUTO_FILE FILE *f = fopen(log, "re");
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        spoke = spoke || strstr(line, GUEST_SAYS);
        if (line[0] && !strstr(line, "warning:") && !strstr(line, "terminating on signal"))
            drv_copy(note, size, line);
    }
    return spoke;
}

bool probe_guest_runs(const struct probe_run *run, const char *accel, char *note, size_t size)
{
    char image[PATH_MAX], log[PATH_MAX];
    snprintf(image, sizeof image, "%s/boot.raw", run->dir);
    snprintf(log, sizeof log, "%s/guest.log", run->dir);
    struct drv_err err = DRV_ERR_INIT;
    struct ha_argv a = {.v = NULL};
    add_args(&a, run, accel, image);
    struct ha_order order = {.argv = (const char **)a.v};
    pid_t pid = write_image(image, &err) < 0
                    ? -1
                    : ha_launch_vm(run->launcher, &order, log, NULL, NULL, &err);
    ha_argv_done(&a);
    bool ended = false, spoke = false;
    drv_copy(note, size, pid < 0 ? err.msg : "QEMU ended without a word");
    if (pid > 0) {
        uint64_t start = drv_proc_start_time(pid);
        ended = drv_proc_end(pid, start, 0, LIMIT_MS, NULL) == 0;
        if (!ended)
            drv_proc_end(pid, start, SIGKILL, LIMIT_MS, NULL);
        spoke = guest_spoke(log, note, size);
    }
    if (pid > 0 && !ended)
        drv_copy(note, size, "a test guest did not get on");
    unlink(image);
    unlink(log);
    return spoke && ended;
}

void probe_kvm(const struct probe_run *run, struct ha_probe *p)
{
    char why[sizeof p->kvm_note - 16];
    p->kvm = false;
    if (!drv_may("/dev/kvm", F_OK)) {
        DRV_COPY(p->kvm_note, "there is no /dev/kvm");
        return;
    }
    p->kvm = probe_guest_runs(run, "kvm", why, sizeof why);
    snprintf(p->kvm_note, sizeof p->kvm_note, "%s%s",
             p->kvm ? "" : "/dev/kvm: ", p->kvm ? "" : why);
}
