// SPDX-License-Identifier: GPL-3.0-or-later
// The control connection to a drover-store: one JSON line each way per call (plugin/control.h).
// Starting and ending the process is in storeproc.c.
#include "drover/unix.h"
#include "storeproc_int.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 64 * 1024, QUICK_MS = 5000, IO_MS = 45000, GRACE_MS = 5000, CONNECT_S = 5 };

struct ss_proc {
    char dir[108], name[SS_NAME_MAX];
    int fd; // -1: not connected
    size_t len;
    char buf[LINE_MAX_BYTES];
};

void ss_proc_path(const char *dir, const char *name, const char *suffix, char *out, size_t size)
{
    snprintf(out, size, "%s/%s.%s", dir, name, suffix);
}

const char *ss_proc_dir(const struct ss_proc *p)
{
    return p->dir;
}

const char *ss_proc_name(const struct ss_proc *p)
{
    return p->name;
}

void ss_proc_disconnect(struct ss_proc *p)
{
    drv_cleanup_close(&p->fd);
    p->fd = -1;
    p->len = 0;
}

static int connect_socket(struct ss_proc *p, struct drv_err *err)
{
    char path[PATH_MAX];
    ss_proc_path(p->dir, p->name, "ctl", path, sizeof path);
    // A process that was stopped accepts nobody, and once its queue is full connect() waits as
    // well.
    p->fd = drv_unix_connect(path, 0, CONNECT_S);
    p->len = 0;
    if (p->fd >= 0)
        return 0;
    switch (errno) {
    case ENAMETOOLONG:
        return drv_err(err, DRV_EINVAL, "socket path too long: %s", path);
    case ENOENT:
    case ECONNREFUSED:
        return drv_err(err, DRV_EUNREACHABLE, "no drover-store at %s: %s", path,
                       strerrordesc_np(errno));
    case EAGAIN:
        return drv_err(err, DRV_ETIMEDOUT, "drover-store %s/%s does not answer", p->dir, p->name);
    default:
        return drv_err_os(err, errno, "connecting to drover-store at %s", path);
    }
}

static int send_request(struct ss_proc *p, const char *text, struct drv_err *err)
{
    for (size_t off = 0, len = strlen(text); off < len;) {
        ssize_t n = send(p->fd, text + off, len - off, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return drv_err(err, DRV_EUNREACHABLE, "drover-store %s/%s has ended", p->dir, p->name);
        off += (size_t)n;
    }
    return 0;
}

// Wait for one line in p->buf; its length without newline, or -1.
static ssize_t receive_line(struct ss_proc *p, int timeout_ms, struct drv_err *err)
{
    int64_t deadline = drv_now_ms() + timeout_ms;
    p->len = 0;
    for (;;) {
        int64_t left = deadline - drv_now_ms();
        struct pollfd pfd = {.fd = p->fd, .events = POLLIN};
        int rc = left > 0 ? poll(&pfd, 1, (int)left) : 0;
        if (rc < 0 && errno == EINTR)
            continue;
        if (rc <= 0)
            return drv_err(err, DRV_ETIMEDOUT, "drover-store %s/%s does not answer", p->dir,
                           p->name);
        ssize_t n = recv(p->fd, p->buf + p->len, sizeof p->buf - p->len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return drv_err(err, DRV_EUNREACHABLE, "drover-store %s/%s has ended", p->dir, p->name);
        p->len += (size_t)n;
        if (p->buf[p->len - 1] == '\n')
            return (ssize_t)p->len - 1;
        if (p->len == sizeof p->buf)
            return drv_err(err, DRV_EPEER, "drover-store sent too long a line");
    }
}

// The reply's value as a new reference (or NULL for an error, which goes to err).
static int take_reply(const char *line, size_t len, json_t **ret, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *j = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
    json_t *value = json_object_get(j, "return");
    if (value) {
        if (ret)
            *ret = json_incref(value);
        return 0;
    }
    const char *code, *msg, *hint;
    if (!j || json_unpack(j, "{s:{s:s, s:s, s:s}}", "error", "code", &code, "msg", &msg, "hint",
                          &hint) < 0)
        return drv_err(err, DRV_EPEER, "drover-store answered nonsense");
    drv_err(err, drv_code_from_name(code), "%s", msg);
    return hint[0] ? drv_err_hint(err, "%s", hint) : -1;
}

int ss_proc_ask(struct ss_proc *p, const char *call, json_t *args, int timeout_ms, json_t **ret,
                struct drv_err *err)
{
    DRV_AUTO_JSON json_t *j = json_pack("{s:s, s:o, s:i}", "call", call, "args",
                                        args ? args : json_object(), "timeout_ms", timeout_ms);
    DRV_AUTO_FREE char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
    if (!text)
        return drv_err(err, DRV_EINTERNAL, "cannot encode the call %s", call);
    DRV_AUTO_FREE char *line = drv_xasprintf("%s\n", text);
    if (p->fd < 0 && connect_socket(p, err) < 0)
        return -1;
    ssize_t len = -1;
    if (send_request(p, line, err) == 0)
        len = receive_line(p, timeout_ms + GRACE_MS, err);
    if (len < 0) {
        ss_proc_disconnect(p); // a late answer must not be taken for that of the next call
        return -1;
    }
    return take_reply(p->buf, (size_t)len, ret, err);
}

struct ss_proc *ss_proc_connect(const char *dir, const char *name, struct drv_err *err)
{
    struct ss_proc *p = drv_xcalloc(1, sizeof *p);
    p->fd = -1;
    if (DRV_COPY(p->dir, dir) == 0 && DRV_COPY(p->name, name) == 0) {
        if (connect_socket(p, err) == 0)
            return p;
    } else {
        drv_err(err, DRV_EINVAL, "path too long: %s/%s", dir, name);
    }
    free(p);
    return NULL;
}

void ss_proc_close(struct ss_proc *p)
{
    if (!p)
        return;
    ss_proc_disconnect(p);
    free(p);
}

int ss_proc_status(struct ss_proc *p, struct ss_proc_status *ret, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *j = NULL;
    if (ss_proc_ask(p, "status", NULL, QUICK_MS, &j, err) < 0)
        return -1;
    int state, paused, attention;
    json_int_t pid, epoch, volume, file, size, reads, writes, read_b, write_b, refused;
    json_int_t log, replays, stalled;
    const char *reason;
    if (json_unpack(j,
                    "{s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, "
                    "s:b, s:s}",
                    "state", &state, "pid", &pid, "epoch", &epoch, "volume_id", &volume, "file_id",
                    &file, "size_bytes", &size, "reads", &reads, "writes", &writes, "read_bytes",
                    &read_b, "write_bytes", &write_b, "refused_writes", &refused, "log_bytes", &log,
                    "replays", &replays, "stalled_ms", &stalled, "guest_paused", &paused,
                    "attention", &attention, "lost_reason", &reason) < 0 ||
        state < 0 || state >= SS_PS_MAX_)
        return drv_err(err, DRV_EPEER, "drover-store answered nonsense");
    *ret = (struct ss_proc_status){
        .state = (enum ss_proc_state)state,
        .pid = (pid_t)pid,
        .epoch = (uint64_t)epoch,
        .volume_id = (uint64_t)volume,
        .file_id = (uint64_t)file,
        .size_bytes = (uint64_t)size,
        .reads = (uint64_t)reads,
        .writes = (uint64_t)writes,
        .read_bytes = (uint64_t)read_b,
        .write_bytes = (uint64_t)write_b,
        .refused_writes = (uint64_t)refused,
        .log_bytes = (uint64_t)log,
        .replays = (unsigned)replays,
        .stalled_ms = stalled,
        .guest_paused = paused,
        .attention = attention,
    };
    (void)DRV_COPY(ret->lost_reason, reason);
    return 0;
}

int ss_proc_hold_record(struct ss_proc *p, bool create, int timeout_ms, struct drv_err *err)
{
    return ss_proc_ask(p, "hold_record", json_pack("{s:b}", "create", create), timeout_ms, NULL,
                       err);
}

int ss_proc_hold_image(struct ss_proc *p, int timeout_ms, struct drv_err *err)
{
    return ss_proc_ask(p, "hold_image", NULL, timeout_ms, NULL, err);
}

int ss_proc_read_record(struct ss_proc *p, struct ss_record *ret, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *j = NULL;
    if (ss_proc_ask(p, "read_record", NULL, IO_MS, &j, err) < 0)
        return -1;
    return ss_record_from_json(j, ret, err);
}

int ss_proc_write_record(struct ss_proc *p, const struct ss_record *r, struct drv_err *err)
{
    return ss_proc_ask(p, "write_record", json_pack("{s:o}", "record", ss_record_to_json(r)), IO_MS,
                       NULL, err);
}

int ss_proc_promote(struct ss_proc *p, uint64_t epoch, struct drv_err *err)
{
    return ss_proc_ask(p, "promote", json_pack("{s:I}", "epoch", (json_int_t)epoch), IO_MS, NULL,
                       err);
}

int ss_proc_fill(struct ss_proc *p, struct drv_err *err)
{
    return ss_proc_ask(p, "fill", NULL, QUICK_MS, NULL, err);
}

int ss_proc_settle(struct ss_proc *p, struct drv_err *err)
{
    return ss_proc_ask(p, "settle", NULL, IO_MS, NULL, err);
}

int ss_proc_flush_file(struct ss_proc *p, const char *url, struct drv_err *err)
{
    return ss_proc_ask(p, "flush_file", json_pack("{s:s}", "url", url), IO_MS, NULL, err);
}

int ss_proc_release_image(struct ss_proc *p, struct drv_err *err)
{
    return ss_proc_ask(p, "release_image", NULL, IO_MS, NULL, err);
}

int ss_proc_release_record(struct ss_proc *p, struct drv_err *err)
{
    return ss_proc_ask(p, "release_record", NULL, IO_MS, NULL, err);
}

int ss_proc_drop(struct ss_proc *p, struct drv_err *err)
{
    return ss_proc_ask(p, "drop", NULL, IO_MS, NULL, err);
}

int ss_proc_reopen(struct ss_proc *p, int timeout_ms, struct drv_err *err)
{
    return ss_proc_ask(p, "reopen", NULL, timeout_ms, NULL, err);
}

int ss_proc_set_patience(struct ss_proc *p, int ms, struct drv_err *err)
{
    return ss_proc_ask(p, "patience", json_pack("{s:i}", "ms", ms), QUICK_MS, NULL, err);
}
