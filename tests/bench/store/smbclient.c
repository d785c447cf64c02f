// SPDX-License-Identifier: GPL-3.0-or-later
// store-bench-smbclient: one libsmbclient context, which does one thing at a time. It has no flush:
// what is durable is a question of the share (`sync always`).
#include "bench.h"

#include "context.h"
#include "drover/util.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// After ss_smb_context(), which asks for both.
static void weaken(SMBCCTX *ctx, const struct bench *b)
{
    DRV_AUTO_FREE char *conf =
        drv_xasprintf("[global]\n%s%s", b->no_encryption ? "client smb encrypt = off\n" : "",
                      b->no_signing ? "client signing = off\n" : "");
    DRV_AUTO_FREE char *name = NULL;
    int fd = memfd_create("bench-smb.conf", 0);
    if (fd < 0 || write(fd, conf, strlen(conf)) != (ssize_t)strlen(conf))
        bench_die("smb.conf in memory: %s", strerror(errno));
    name = drv_xasprintf("/proc/self/fd/%d", fd);
    if (smbc_setConfiguration(ctx, name) < 0)
        bench_die("smb.conf: %s", strerror(errno));
    close(fd);
    if (b->no_encryption)
        smbc_setOptionSmbEncryptionLevel(ctx, SMBC_ENCRYPTLEVEL_NONE);
}

static void one(SMBCCTX *ctx, SMBCFILE *f, struct bench *b, void *buf)
{
    int64_t started_us = drv_now_us();
    if (smbc_getFunctionLseek(ctx)(ctx, f, (off_t)bench_offset(b), SEEK_SET) < 0)
        bench_die("seek: %s", strerror(errno));
    ssize_t n = bench_writes(b) ? smbc_getFunctionWrite(ctx)(ctx, f, buf, b->block_bytes)
                                : smbc_getFunctionRead(ctx)(ctx, f, buf, b->block_bytes);
    if (n != (ssize_t)b->block_bytes)
        bench_die("I/O: %s", strerror(errno));
    bench_count(b, started_us);
}

int main(int argc, char **argv)
{
    struct bench b;
    struct drv_err err = DRV_ERR_INIT;
    bench_options(&b, argc, argv);
    if (!b.url || bench_flushes(&b))
        bench_die("--url is needed, and libsmbclient cannot flush");
    SMBCCTX *ctx = ss_smb_context(20000, &err);
    if (!ctx)
        bench_die("%s", err.msg);
    if (b.no_encryption || b.no_signing)
        weaken(ctx, &b);
    SMBCFILE *f =
        smbc_getFunctionOpen(ctx)(ctx, b.url, O_RDWR | (b.op == BENCH_FILL ? O_CREAT : 0), 0600);
    if (!f)
        bench_die("open %s: %s", b.url, strerror(errno));
    DRV_AUTO_FREE void *buf = bench_buffer(&b);
    bench_begin(&b);
    while (bench_more(&b))
        one(ctx, f, &b, buf);
    bench_print(&b);
    smbc_getFunctionClose(ctx)(ctx, f);
    smbc_free_context(ctx, 1);
    return EXIT_SUCCESS;
}
