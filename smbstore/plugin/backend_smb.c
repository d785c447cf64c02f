// SPDX-License-Identifier: GPL-3.0-or-later
// The libsmbclient back end of drover-store: one context per session, one connection, SMB 3.1.1,
// encrypted, Kerberos only; credentials are whatever KRB5CCNAME names when the session is made.
//
// Facts this relies on (libsmbclient 4.17): a session that failed never recovers, a new context
// does; the share mode is an option of the context, read at each open; nothing is flushed by the
// client, so the share must have `sync always = yes`; st_ino is the server's file id, st_dev only a
// hash of the server's and share's names.
#include "backend.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "context.h"

struct ds_session {
    SMBCCTX *ctx;
};

// A ds_file is libsmbclient's file itself, so that the context owns all of it.
static SMBCFILE *smb_file(struct ds_file *f)
{
    return (SMBCFILE *)f;
}

static int call_timeout_ms;

static struct ds_session *smb_connect(struct drv_err *err)
{
    SMBCCTX *ctx = ss_smb_context(call_timeout_ms, err);
    if (!ctx)
        return NULL;
    struct ds_session *s = drv_xcalloc(1, sizeof *s);
    s->ctx = ctx;
    return s;
}

static void smb_disconnect(struct ds_session *s)
{
    if (!s)
        return;
    smbc_free_context(s->ctx, 1); // closes what is open; on a severed connection at once
    free(s);
}

// libsmbclient decodes %XX, and cuts at '?': everything unusual in the path is encoded.
// "smb://server/share/a b" → "smb://server/share/a%20b". NULL: not an smb URL.
static char *encode_url(const char *url)
{
    static const char scheme[] = "smb://";
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/$";
    if (strncmp(url, scheme, sizeof scheme - 1) != 0)
        return NULL;
    char *out = drv_xcalloc(3 * strlen(url) + 1, 1);
    size_t n = (size_t)sprintf(out, "%s", scheme);
    for (const char *p = url + n; *p; p++) {
        if (strchr(plain, *p))
            out[n++] = *p;
        else
            n += (size_t)sprintf(out + n, "%%%02X", (unsigned char)*p);
    }
    return out;
}

// libsmbclient sometimes fails without an errno.
static int failed(void)
{
    return errno ? errno : EIO;
}

// Every TCP connection of this process is libsmbclient's: NBD and control are unix sockets.
static void each_tcp_socket(void (*fn)(int fd))
{
    DIR *d = opendir("/proc/self/fd");
    if (!d)
        return;
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        int fd = atoi(e->d_name), domain = 0, type = 0;
        socklen_t size = sizeof(int);
        if (e->d_name[0] == '.' || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
            continue;
        if ((domain == AF_INET || domain == AF_INET6) && type == SOCK_STREAM)
            fn(fd);
    }
    closedir(d);
}

// connect(AF_UNSPEC) resets a TCP connection and throws its send queue away, under any thread that
// is waiting on it: close() would let queued writes arrive later, when another host may hold the
// file.
static void reset(int fd)
{
    struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    (void)connect(fd, &nowhere, sizeof nowhere);
}

static void smb_sever(void)
{
    each_tcp_socket(reset);
}

// Notice a cut link as soon as the server does (its handles are gone after 5 s): libsmbclient
// ignores `socket options` of smb.conf and would wait for its own time-out.
static void watch_link(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},         {IPPROTO_TCP, TCP_KEEPIDLE, 2},
        {IPPROTO_TCP, TCP_KEEPINTVL, 1},       {IPPROTO_TCP, TCP_KEEPCNT, 3},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, 5000},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(options); i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

static int smb_open(struct ds_session *s, const char *url, enum ds_mode mode, struct ds_file **ret)
{
    DRV_AUTO_FREE char *encoded = encode_url(url);
    if (!encoded)
        return EPROTONOSUPPORT;
    bool hold = mode != DS_OBSERVE;
    smbc_setOptionOpenShareMode(s->ctx,
                                hold ? SMBC_SHAREMODE_DENY_WRITE : SMBC_SHAREMODE_DENY_NONE);
    int flags = hold ? O_RDWR : O_RDONLY;
    if (mode == DS_HOLD_CREATE)
        flags |= O_CREAT;
    errno = 0;
    SMBCFILE *f = smbc_getFunctionOpen(s->ctx)(s->ctx, encoded, flags, 0600);
    if (!f)
        return failed();
    each_tcp_socket(watch_link); // the first open of a session connects
    *ret = (struct ds_file *)f;
    return 0;
}

static int smb_close(struct ds_session *s, struct ds_file *f)
{
    errno = 0;
    int rc = smbc_getFunctionClose(s->ctx)(s->ctx, smb_file(f));
    return rc < 0 ? failed() : 0;
}

static int seek(struct ds_session *s, struct ds_file *f, uint64_t offset)
{
    errno = 0;
    off_t at = smbc_getFunctionLseek(s->ctx)(s->ctx, smb_file(f), (off_t)offset, SEEK_SET);
    return at == (off_t)offset ? 0 : failed();
}

static int smb_read(struct ds_session *s, struct ds_file *f, void *buf, size_t len, uint64_t offset,
                    size_t *ret_len)
{
    int e = seek(s, f, offset);
    size_t got = 0;
    while (!e && got < len) {
        errno = 0;
        ssize_t n = smbc_getFunctionRead(s->ctx)(s->ctx, smb_file(f), (char *)buf + got, len - got);
        if (n < 0)
            e = failed();
        else if (n == 0)
            break;
        else
            got += (size_t)n;
    }
    *ret_len = got;
    return e;
}

static int smb_write(struct ds_session *s, struct ds_file *f, const void *buf, size_t len,
                     uint64_t offset)
{
    int e = seek(s, f, offset);
    size_t put = 0;
    while (!e && put < len) {
        errno = 0;
        ssize_t n =
            smbc_getFunctionWrite(s->ctx)(s->ctx, smb_file(f), (const char *)buf + put, len - put);
        if (n <= 0)
            e = failed();
        else
            put += (size_t)n;
    }
    return e;
}

static int smb_flush(struct ds_session *s, struct ds_file *f)
{
    (void)s, (void)f; // the share is `sync always`: every answered write is durable
    return 0;
}

static int smb_ident(struct ds_session *s, struct ds_file *f, struct ds_ident *ret)
{
    struct stat sb;
    errno = 0;
    if (smbc_getFunctionFstat(s->ctx)(s->ctx, smb_file(f), &sb) < 0)
        return failed();
    ret->volume_id = (uint32_t)sb.st_dev; // a 32-bit hash, sign-extended by the library
    ret->file_id = sb.st_ino;
    ret->size_bytes = (uint64_t)sb.st_size;
    return 0;
}

static const struct ds_backend smb_backend = {
    .connect = smb_connect,
    .disconnect = smb_disconnect,
    .open = smb_open,
    .close = smb_close,
    .read = smb_read,
    .write = smb_write,
    .flush = smb_flush,
    .ident = smb_ident,
    .sever = smb_sever,
};

const struct ds_backend *ds_backend_smb(int timeout_ms)
{
    call_timeout_ms = timeout_ms;
    return &smb_backend;
}
