// SPDX-License-Identifier: GPL-3.0-or-later
// QMP connection: see qmp.h. Owns the socket, the reader thread, the table of commands under way
// and the event history. The commands themselves are elsewhere (qmp_migrate.c, qmp_block.c).
//
// JSON values never have references in two threads: a reply is handed over, an event is copied.
//
// Locks: `lock` guards everything in struct qmp below it; `write_lock` is held around one whole
// send, so that commands never mix on the socket. write_lock is taken first, and no callback runs
// under either.
#include "qmp.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#include "drover/log.h"
#include "drover/util.h"
#include "qmp_stream.h"

enum {
    // QEMU queues 8 commands per monitor and then stops reading, out-of-band ones included. Staying
    // below that keeps exec-oob usable while QEMU's main loop is stuck.
    MAX_UNANSWERED = 6,
};

// One command sent. Owned by its caller until it gives up (`abandoned`), then by the reader, which
// frees it when the late reply comes.
struct command {
    struct command *next;
    uint64_t id;
    bool oob, abandoned, done;
    json_t *reply; // the whole reply object, when done
};

struct event {
    uint64_t seq;
    json_t *json;
};

struct qmp {
    struct qmp_stream stream; // receiving: the reader thread; sending: who holds write_lock
    struct qmp_handlers handlers;
    pthread_t reader;
    bool reader_running;
    pthread_mutex_t write_lock;

    pthread_mutex_t lock;
    pthread_cond_t changed; // CLOCK_MONOTONIC; a reply, an event, or death
    struct command *commands;
    unsigned unanswered; // in-band commands whose reply has not come, abandoned ones included
    uint64_t last_id;    // begins at random: see note_reply()
    struct event history[QMP_HISTORY]; // event seq is at [seq % QMP_HISTORY]
    uint64_t last_seq;
    bool dead, closing;
    struct drv_err death; // why, when dead
};

static void deadline_after(int timeout_ms, struct timespec *ret)
{
    clock_gettime(CLOCK_MONOTONIC, ret);
    ret->tv_sec += timeout_ms / 1000;
    ret->tv_nsec += (timeout_ms % 1000) * 1000000L;
    if (ret->tv_nsec >= 1000000000L) {
        ret->tv_sec++;
        ret->tv_nsec -= 1000000000L;
    }
}

// --- the dying connection ---

// Mark dead, first reason wins, and wake everybody. The socket is shut down, which ends the reader.
static void die(struct qmp *q, const struct drv_err *why)
{
    pthread_mutex_lock(&q->lock);
    if (!q->dead) {
        q->dead = true;
        q->death = *why;
        pthread_cond_broadcast(&q->changed);
    }
    pthread_mutex_unlock(&q->lock);
    shutdown(q->stream.fd, SHUT_RDWR);
}

static void copy_death(const struct qmp *q, struct drv_err *err)
{
    if (err && err->code == DRV_OK)
        *err = q->death;
}

// --- receiving ---

static void note_event(struct qmp *q, json_t *event)
{
    pthread_mutex_lock(&q->lock);
    struct event *slot = &q->history[++q->last_seq % QMP_HISTORY];
    json_decref(slot->json);
    slot->seq = q->last_seq;
    slot->json = json_incref(event);
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
    if (q->handlers.on_event)
        q->handlers.on_event(event, q->handlers.arg);
}

static void free_command(struct command *c)
{
    json_decref(c->reply);
    free(c);
}

// Caller holds lock. NULL if not there.
static struct command *unlink_command(struct qmp *q, uint64_t id)
{
    for (struct command **p = &q->commands; *p; p = &(*p)->next) {
        struct command *c = *p;
        if (c->id == id) {
            *p = c->next;
            return c;
        }
    }
    return NULL;
}

// Hands the reply over to its caller (*reply becomes NULL). One that nobody waits for answers a
// command of whoever was connected before: an agent that was killed leaves such behind, and QEMU
// sends them to the next one.
static int note_reply(struct qmp *q, json_t **reply_ref, struct drv_err *err)
{
    json_t *reply = *reply_ref;
    json_t *id = json_object_get(reply, "id");
    if (!json_is_integer(id) ||
        (!json_object_get(reply, "return") && !json_object_get(reply, "error")))
        return drv_err(err, DRV_EPEER, "QEMU sent a message that is neither reply nor event");
    pthread_mutex_lock(&q->lock);
    struct command *c = unlink_command(q, (uint64_t)json_integer_value(id));
    if (c) {
        q->unanswered -= !c->oob;
        c->reply = DRV_TAKE(*reply_ref);
        c->done = true;
        if (c->abandoned)
            free_command(c);
        pthread_cond_broadcast(&q->changed);
    }
    pthread_mutex_unlock(&q->lock);
    if (!c)
        drv_log(LOG_NOTICE, "qmp.stale", F_INT("id", json_integer_value(id)));
    return 0;
}

static void *read_messages(void *arg)
{
    struct qmp *q = arg;
    struct drv_err why = DRV_ERR_INIT;
    for (;;) {
        DRV_AUTO_JSON json_t *message = qmp_stream_receive(&q->stream, -1, &why);
        if (!message)
            break;
        if (json_is_string(json_object_get(message, "event")))
            note_event(q, message);
        else if (note_reply(q, &message, &why) < 0)
            break;
    }
    die(q, &why);
    pthread_mutex_lock(&q->lock);
    bool closing = q->closing;
    why = q->death;
    pthread_mutex_unlock(&q->lock);
    if (!closing && q->handlers.on_gone)
        q->handlers.on_gone(&why, q->handlers.arg);
    return NULL;
}

// --- sending ---

// The line of a command, with its newline; args is stolen.
static char *format_command(uint64_t id, const char *cmd, json_t *args, bool oob)
{
    DRV_AUTO_JSON json_t *message =
        json_pack("{s:s, s:I}", oob ? "exec-oob" : "execute", cmd, "id", (json_int_t)id);
    if (args)
        json_object_set_new(message, "arguments", args);
    DRV_AUTO_FREE char *text = json_dumps(message, JSON_COMPACT);
    return text ? drv_xasprintf("%s\n", text) : NULL;
}

// Wait, under lock, until *flag, death or the deadline. 0 = flag set.
static int wait_flag(struct qmp *q, const bool *flag, const struct timespec *deadline,
                     const char *cmd, struct drv_err *err)
{
    while (!*flag && !q->dead)
        if (pthread_cond_timedwait(&q->changed, &q->lock, deadline) == ETIMEDOUT && !*flag &&
            !q->dead)
            return drv_err(err, DRV_ETIMEDOUT, "%s: QEMU does not answer", cmd);
    if (*flag)
        return 0;
    copy_death(q, err);
    return -1;
}

// Register a command, when there is room for one. NULL + err: no room in time, or dead.
static struct command *begin_command(struct qmp *q, bool oob, const struct timespec *deadline,
                                     const char *cmd, struct drv_err *err)
{
    struct command *c = NULL;
    pthread_mutex_lock(&q->lock);
    while (!q->dead && !oob && q->unanswered >= MAX_UNANSWERED)
        if (pthread_cond_timedwait(&q->changed, &q->lock, deadline) == ETIMEDOUT)
            break;
    if (q->dead) {
        copy_death(q, err);
    } else if (!oob && q->unanswered >= MAX_UNANSWERED) {
        drv_err(err, DRV_ETIMEDOUT, "%s: QEMU has not answered %u earlier commands", cmd,
                q->unanswered);
    } else {
        c = drv_xcalloc(1, sizeof *c);
        c->id = ++q->last_id;
        c->oob = oob;
        c->next = q->commands;
        q->commands = c;
        q->unanswered += !oob;
    }
    pthread_mutex_unlock(&q->lock);
    return c;
}

// Wait for the reply of c, which is consumed. NULL + err.
static json_t *end_command(struct qmp *q, struct command *c, const struct timespec *deadline,
                           const char *cmd, struct drv_err *err)
{
    json_t *reply = NULL;
    pthread_mutex_lock(&q->lock);
    if (wait_flag(q, &c->done, deadline, cmd, err) == 0) {
        reply = DRV_TAKE(c->reply);
        free_command(c);
    } else if (q->dead) {
        unlink_command(q, c->id);
        free_command(c);
    } else {
        c->abandoned = true;
    }
    pthread_mutex_unlock(&q->lock);
    return reply;
}

// "return" of a reply, or its error as ours.
static json_t *unwrap(json_t *reply, const char *cmd, struct drv_err *err)
{
    const json_t *error = json_object_get(reply, "error");
    if (!error)
        return json_incref(json_object_get(reply, "return"));
    const char *class = json_string_value(json_object_get(error, "class"));
    const char *desc = json_string_value(json_object_get(error, "desc"));
    bool absent = class && !strcmp(class, "DeviceNotFound");
    drv_err(err, absent ? DRV_ENOTFOUND : DRV_EPEER, "%s: %s", cmd, desc ? desc : "refused");
    drv_err_native(err, "qmp", 0);
    return NULL;
}

static json_t *run(struct qmp *q, const char *cmd, json_t *args, bool oob, int pass_fd,
                   int timeout_ms, struct drv_err *err)
{
    struct timespec deadline;
    deadline_after(timeout_ms, &deadline);
    struct command *c = begin_command(q, oob, &deadline, cmd, err);
    if (!c) {
        json_decref(args);
        return NULL;
    }
    DRV_AUTO_FREE char *line = format_command(c->id, cmd, args, oob);
    if (!line) {
        struct drv_err bug = DRV_ERR_INIT;
        drv_err(&bug, DRV_EINTERNAL, "%s: arguments that are no JSON", cmd);
        die(q, &bug);
    } else {
        struct drv_err broken = DRV_ERR_INIT;
        pthread_mutex_lock(&q->write_lock);
        int rc = qmp_stream_send(&q->stream, line, strlen(line), pass_fd, timeout_ms, &broken);
        pthread_mutex_unlock(&q->write_lock);
        if (rc < 0)
            die(q, &broken);
    }
    DRV_AUTO_JSON json_t *reply = end_command(q, c, &deadline, cmd, err);
    return reply ? unwrap(reply, cmd, err) : NULL;
}

json_t *qmp_call(struct qmp *q, const char *cmd, json_t *args, int timeout_ms, struct drv_err *err)
{
    return run(q, cmd, args, false, -1, timeout_ms, err);
}

int qmp_do(struct qmp *q, const char *cmd, json_t *args, int timeout_ms, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *result = run(q, cmd, args, false, -1, timeout_ms, err);
    return result ? 0 : -1;
}

int qmp_do_oob(struct qmp *q, const char *cmd, json_t *args, int timeout_ms, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *result = run(q, cmd, args, true, -1, timeout_ms, err);
    return result ? 0 : -1;
}

int qmp_send_fd(struct qmp *q, const char *name, int fd, struct drv_err *err)
{
    json_t *args = json_pack("{s:s}", "fdname", name);
    DRV_AUTO_JSON json_t *result = run(q, "getfd", args, false, fd, QMP_TIMEOUT_MS, err);
    return result ? 0 : -1;
}

// --- events ---

uint64_t qmp_seq(struct qmp *q)
{
    pthread_mutex_lock(&q->lock);
    uint64_t seq = q->last_seq;
    pthread_mutex_unlock(&q->lock);
    return seq;
}

static bool listed(const char *name, const char *const names[])
{
    if (!names)
        return true;
    for (; *names; names++)
        if (!strcmp(name, *names))
            return true;
    return false;
}

// Caller holds lock.
static json_t *find_event(const struct qmp *q, uint64_t *seq, const char *const names[])
{
    uint64_t first = q->last_seq >= QMP_HISTORY ? q->last_seq - QMP_HISTORY + 1 : 1;
    for (uint64_t s = *seq + 1 > first ? *seq + 1 : first; s <= q->last_seq; s++) {
        json_t *event = q->history[s % QMP_HISTORY].json;
        if (listed(json_string_value(json_object_get(event, "event")), names)) {
            *seq = s;
            return json_deep_copy(event);
        }
    }
    return NULL;
}

json_t *qmp_wait(struct qmp *q, uint64_t *seq, const char *const names[], int timeout_ms,
                 struct drv_err *err)
{
    struct timespec deadline;
    deadline_after(timeout_ms, &deadline);
    pthread_mutex_lock(&q->lock);
    json_t *event = find_event(q, seq, names);
    while (!event && !q->dead) {
        int rc = pthread_cond_timedwait(&q->changed, &q->lock, &deadline);
        event = find_event(q, seq, names);
        if (!event && rc == ETIMEDOUT && !q->dead) {
            drv_err(err, DRV_ETIMEDOUT, "QEMU did not report %s in %d ms",
                    names ? names[0] : "anything", timeout_ms);
            break;
        }
    }
    if (!event && q->dead)
        copy_death(q, err);
    pthread_mutex_unlock(&q->lock);
    return event;
}

// --- connecting ---

// Read the greeting and answer it, before the reader thread exists.
static int negotiate(struct qmp *q, int64_t deadline_ms, struct drv_err *err)
{
    int64_t left = deadline_ms - drv_now_ms();
    DRV_AUTO_JSON json_t *greeting = qmp_stream_receive(&q->stream, left > 0 ? (int)left : 0, err);
    if (!greeting)
        return -1;
    const json_t *offered = json_object_get(json_object_get(greeting, "QMP"), "capabilities");
    if (!json_is_array(offered))
        return drv_err(err, DRV_EPEER, "this is not QEMU's monitor: no QMP greeting");
    json_t *enable = json_array();
    size_t i;
    json_t *name;
    json_array_foreach((json_t *)offered, i, name)
    {
        if (json_is_string(name) && !strcmp(json_string_value(name), "oob"))
            json_array_append(enable, name);
    }
    if (pthread_create(&q->reader, NULL, read_messages, q) != 0) {
        json_decref(enable);
        return drv_err(err, DRV_ENOSPACE, "cannot start a thread for QEMU's monitor");
    }
    q->reader_running = true;
    left = deadline_ms - drv_now_ms();
    return qmp_do(q, "qmp_capabilities", json_pack("{s:o}", "enable", enable),
                  left > 1000 ? (int)left : 1000, err);
}

// Ids of a connection of its own: at most 2^31 * 2^20, so that they are exact in any JSON parser.
static uint64_t first_id(void)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (uint32_t)drv_now_us();
    return (uint64_t)(random >> 1) << 20;
}

struct qmp *qmp_connect(const char *path, int timeout_ms, const struct qmp_handlers *handlers,
                        struct drv_err *err)
{
    int64_t deadline = drv_now_ms() + timeout_ms;
    struct qmp_stream stream;
    if (qmp_stream_open(&stream, path, deadline, err) < 0)
        return NULL;
    struct qmp *q = drv_xcalloc(1, sizeof *q);
    q->stream = stream;
    q->last_id = first_id();
    if (handlers)
        q->handlers = *handlers;
    pthread_mutex_init(&q->write_lock, NULL);
    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&q->changed, &attr);
    pthread_condattr_destroy(&attr);
    if (negotiate(q, deadline, err) < 0) {
        drv_err_prefix(err, "%s", path);
        qmp_close(q);
        return NULL;
    }
    return q;
}

pid_t qmp_pid(const struct qmp *q)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(q->stream.fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ? -1 : peer.pid;
}

bool qmp_alive(struct qmp *q)
{
    pthread_mutex_lock(&q->lock);
    bool alive = !q->dead;
    pthread_mutex_unlock(&q->lock);
    return alive;
}

void qmp_close(struct qmp *q)
{
    if (!q)
        return;
    struct drv_err closed = DRV_ERR_INIT;
    drv_err(&closed, DRV_EUNREACHABLE, "the monitor connection was closed");
    pthread_mutex_lock(&q->lock);
    q->closing = true;
    pthread_mutex_unlock(&q->lock);
    die(q, &closed);
    if (q->reader_running)
        pthread_join(q->reader, NULL);
    qmp_stream_done(&q->stream);
    while (q->commands) {
        struct command *next = q->commands->next;
        free_command(q->commands);
        q->commands = next;
    }
    for (unsigned i = 0; i < QMP_HISTORY; i++)
        json_decref(q->history[i].json);
    pthread_cond_destroy(&q->changed);
    pthread_mutex_destroy(&q->lock);
    pthread_mutex_destroy(&q->write_lock);
    free(q);
}

// --- small queries ---

int qmp_status(struct qmp *q, char *out, size_t size, bool *ret_running, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *r = qmp_call(q, "query-status", NULL, QMP_TIMEOUT_MS, err);
    if (!r)
        return -1;
    const char *status = json_string_value(json_object_get(r, "status"));
    if (!status)
        return drv_err(err, DRV_EPEER, "query-status: no status in QEMU's answer");
    drv_copy(out, size, status);
    if (ret_running)
        *ret_running = json_is_true(json_object_get(r, "running"));
    return 0;
}

int qmp_stop(struct qmp *q, struct drv_err *err)
{
    return qmp_do(q, "stop", NULL, QMP_TIMEOUT_MS, err);
}

int qmp_cont(struct qmp *q, struct drv_err *err)
{
    return qmp_do(q, "cont", NULL, QMP_TIMEOUT_MS, err);
}

int qmp_powerdown(struct qmp *q, struct drv_err *err)
{
    return qmp_do(q, "system_powerdown", NULL, QMP_TIMEOUT_MS, err);
}
