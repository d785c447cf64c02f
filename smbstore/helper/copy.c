// SPDX-License-Identifier: GPL-3.0-or-later
// Copying within a share so that holes survive. libsmbclient knows no allocated ranges, and its
// server-side copy (FSCTL_SRV_COPYCHUNK) writes holes out as zeros. So the source is read, which
// tells what is zero; a long run of other bytes is then copied by the server, a short one is
// written from what was read. The data crosses the network once, and zeros are never written. The
// price: holes are read, too, so that an empty image of 1 TiB takes as long as a full one (qcow2
// images are only as long as what they hold). Measured, encrypted, on two busy cores: 512 MiB
// without holes in 1.7-3.5 s, with reading and writing alone 3.1-4.7 s; holes at 150-180 MB/s.
//
// NTFS: a new file is not sparse unless the client says so, which libsmbclient cannot; the server
// then fills what was skipped with zeros of its own. Right, but not small.
#include "copy.h"

#include "files.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum {
    READ_BYTES = 4 << 20,
    GRAIN_BYTES = 64 << 10, // holes are kept from this size on: a qcow2 cluster, too
    SPLICE_BYTES = 1 << 20, // a server-side copy takes two round trips more than a write
    SYNC_BYTES = 256 << 20, // syncops writes out at a close, which must end within the time-out
};

static struct {
    bool open, made; // made: there is a file under the temporary name
    SMBCFILE *from, *to;
    char temp[FILES_TEMP_MAX], name[SS_PATH_MAX];
    off_t size, at, unsynced;
    char *buf;
} job;

static SMBCFILE *open_file(struct conn *c, const char *path, int flags)
{
    char url[CONN_URL_MAX];
    conn_url(c, path, url);
    smbc_setOptionOpenShareMode(c->ctx, SMBC_SHAREMODE_DENY_WRITE);
    return smbc_getFunctionOpen(c->ctx)(c->ctx, url, flags, 0600);
}

static int close_file(struct conn *c, SMBCFILE **f)
{
    int rc = *f ? smbc_getFunctionClose(c->ctx)(c->ctx, *f) : 0;
    *f = NULL;
    return rc;
}

static int open_both(struct conn *c, const char *from)
{
    struct stat sb;
    job.from = open_file(c, from, O_RDONLY);
    if (!job.from || smbc_getFunctionFstat(c->ctx)(c->ctx, job.from, &sb) < 0)
        return -1;
    if (sb.st_size < 0) {
        errno = EFBIG;
        return -1;
    }
    job.size = sb.st_size;
    // A server copies only into what may be read, too.
    job.to = open_file(c, job.temp, O_RDWR | O_CREAT | O_EXCL);
    job.made = job.to != NULL;
    return job.to ? smbc_getFunctionFtruncate(c->ctx)(c->ctx, job.to, job.size) : -1;
}

// Forget the job; a target that has not got its name is removed, or told in err.
static void drop(struct conn *c, struct drv_err *err)
{
    bool made = job.made;
    close_file(c, &job.from);
    close_file(c, &job.to);
    if (made && files_unlink(c, job.temp) < 0 && errno != ENOENT)
        drv_err_hint(err, "half a copy was left: remove %.200s", job.temp);
    free(job.buf);
    memset(&job, 0, sizeof job);
}

int copy_begin(struct conn *c, const char *from, const char *to, json_int_t *ret_size,
               struct drv_err *err)
{
    struct stat sb;
    if (job.open)
        return drv_err(err, DRV_ESTATE, "one copy at a time");
    if (files_stat(c, to, &sb) == 0)
        return drv_err(err, DRV_EEXIST, "\"%s\" exists already", to);
    files_temp_name(to, job.temp);
    DRV_COPY(job.name, to);
    job.open = true;
    job.buf = drv_xcalloc(1, READ_BYTES);
    if (open_both(c, from) < 0) {
        conn_fail(c, errno, err);
        drop(c, err);
        return -1;
    }
    *ret_size = job.size;
    return 0;
}

// --- one read, and what it holds ---

static bool is_zero(const char *p, size_t len)
{
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static size_t grain(size_t at, size_t len)
{
    return len - at < GRAIN_BYTES ? len - at : GRAIN_BYTES;
}

static int seek_to(struct conn *c, SMBCFILE *f, off_t at)
{
    return smbc_getFunctionLseek(c->ctx)(c->ctx, f, at, SEEK_SET) == at ? 0 : -1;
}

static int write_run(struct conn *c, const char *data, size_t len)
{
    for (size_t off = 0; off < len;) {
        ssize_t n = smbc_getFunctionWrite(c->ctx)(c->ctx, job.to, data + off, len - off);
        if (n <= 0) {
            errno = n == 0 ? EIO : errno;
            return -1;
        }
        off += (size_t)n;
    }
    return 0;
}

static int go_on(off_t done, void *arg)
{
    (void)done, (void)arg;
    return 1;
}

static int copy_run(struct conn *c, const char *data, off_t at, size_t len)
{
    if (seek_to(c, job.to, at) < 0)
        return -1;
    if (len < SPLICE_BYTES)
        return write_run(c, data, len);
    if (seek_to(c, job.from, at) < 0)
        return -1;
    off_t n = smbc_getFunctionSplice(c->ctx)(c->ctx, job.from, job.to, (off_t)len, go_on, NULL);
    if (n == (off_t)len)
        return 0;
    // A server need not know the call; what was read is at hand.
    return seek_to(c, job.to, at) < 0 ? -1 : write_run(c, data, len);
}

// Runs of grains that are not zero, in what was read from job.at.
static int copy_block(struct conn *c, const char *data, size_t len)
{
    for (size_t start = 0; start < len;) {
        size_t end = start;
        while (end < len && !is_zero(data + end, grain(end, len)))
            end += grain(end, len);
        job.unsynced += (off_t)(end - start);
        if (end > start && copy_run(c, data + start, job.at + (off_t)start, end - start) < 0)
            return -1;
        start = end;
        while (start < len && is_zero(data + start, grain(start, len)))
            start += grain(start, len);
    }
    return 0;
}

// A whole block, so that runs are not cut where a server answers in pieces. Less only at the end.
static ssize_t read_block(struct conn *c)
{
    size_t want = job.size - job.at < READ_BYTES ? (size_t)(job.size - job.at) : READ_BYTES;
    size_t len = 0;
    if (seek_to(c, job.from, job.at) < 0)
        return -1;
    while (len < want) {
        ssize_t n = smbc_getFunctionRead(c->ctx)(c->ctx, job.from, job.buf + len, want - len);
        if (n <= 0) {
            errno = n == 0 ? EIO : errno; // it is held: nobody shortens it
            return -1;
        }
        len += (size_t)n;
    }
    return (ssize_t)len;
}

static int write_out(struct conn *c)
{
    if (job.unsynced < SYNC_BYTES)
        return 0;
    job.unsynced = 0;
    if (close_file(c, &job.to) == 0)
        job.to = open_file(c, job.temp, O_RDWR);
    return job.to ? 0 : -1;
}

int copy_more(struct conn *c, json_int_t *ret_at, struct drv_err *err)
{
    if (!job.open)
        return drv_err(err, DRV_ESTATE, "no copy has begun");
    // A call may last until the library's time-out: little may go before the last one.
    int64_t end = drv_now_ms() + smbc_getTimeout(c->ctx) / 8;
    while (job.at < job.size && drv_now_ms() < end) {
        ssize_t n = read_block(c);
        if (n < 0 || copy_block(c, job.buf, (size_t)n) < 0 || write_out(c) < 0) {
            conn_fail(c, errno, err);
            drop(c, err);
            return -1;
        }
        job.at += n;
    }
    *ret_at = job.at;
    return 0;
}

static int finish(struct conn *c, struct drv_err *err)
{
    if (job.at < job.size)
        return drv_err(err, DRV_ESTATE, "the copy is not whole");
    // Closed first: what is open is not renamed. syncops makes the server write it out now.
    if (close_file(c, &job.to) < 0 || files_rename(c, job.temp, job.name, false) < 0) {
        int errnum = errno;
        return errnum == EEXIST ? drv_err(err, DRV_EEXIST, "\"%s\" exists already", job.name)
                                : conn_fail(c, errnum, err);
    }
    job.made = false;
    return 0;
}

int copy_end(struct conn *c, bool keep, struct drv_err *err)
{
    int rc = job.open && keep ? finish(c, err) : 0;
    drop(c, err);
    return rc;
}
