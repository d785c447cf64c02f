// SPDX-License-Identifier: GPL-3.0-or-later
// The calls of the control socket as a table, and how a request line becomes a reply: see
// control.h.
#include "control.h"
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_TIMEOUT_MS = 30000, MAX_TIMEOUT_MS = 10 * 60 * 1000, SEVER_WAIT_MS = 3000 };

struct call;

struct call_job {
    struct ds_job job; // first member
    struct ds_store *st;
    const struct call *call;
    json_t *args;
    int timeout_ms;
    json_t *ret; // new reference, NULL = {}
    struct drv_err err;
    int rc;
    bool ran;
};

struct call {
    const char *name;
    int (*run)(struct call_job *c); // on the procedure thread unless at_once
    bool at_once; // needs no SMB: answered while the procedure thread is stuck, too
};

static json_t *status_json(const struct ss_proc_status *s)
{
    return json_pack(
        "{s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, "
        "s:b, s:s}",
        "state", (int)s->state, "pid", (json_int_t)s->pid, "epoch", (json_int_t)s->epoch,
        "volume_id", (json_int_t)s->volume_id, "file_id", (json_int_t)s->file_id, "size_bytes",
        (json_int_t)s->size_bytes, "reads", (json_int_t)s->reads, "writes", (json_int_t)s->writes,
        "read_bytes", (json_int_t)s->read_bytes, "write_bytes", (json_int_t)s->write_bytes,
        "refused_writes", (json_int_t)s->refused_writes, "log_bytes", (json_int_t)s->log_bytes,
        "replays", (json_int_t)s->replays, "stalled_ms", (json_int_t)s->stalled_ms, "guest_paused",
        s->guest_paused, "attention", s->attention, "lost_reason", s->lost_reason);
}

static int bad_args(struct call_job *c, const json_error_t *je)
{
    return drv_err(&c->err, DRV_EINVAL, "%s: %s", c->call->name, je->text);
}

static int no_args(struct call_job *c)
{
    json_error_t je;
    return json_unpack_ex(c->args, &je, JSON_STRICT, "{}") < 0 ? bad_args(c, &je) : 0;
}

static int call_open(struct call_job *c)
{
    return no_args(c) < 0 ? -1 : ds_open(c->st, &c->err);
}

static int call_status(struct call_job *c)
{
    if (no_args(c) < 0)
        return -1;
    struct ss_proc_status s;
    ds_status(c->st, &s);
    c->ret = status_json(&s);
    return 0;
}

static int call_hold_record(struct call_job *c)
{
    json_error_t je;
    int create;
    if (json_unpack_ex(c->args, &je, JSON_STRICT, "{s:b}", "create", &create) < 0)
        return bad_args(c, &je);
    return ds_hold_record(c->st, create, &c->err);
}

static int call_hold_image(struct call_job *c)
{
    return no_args(c) < 0 ? -1 : ds_hold_image(c->st, &c->err);
}

static int call_read_record(struct call_job *c)
{
    struct ss_record r;
    if (no_args(c) < 0 || ds_read_record(c->st, &r, &c->err) < 0)
        return -1;
    c->ret = ss_record_to_json(&r);
    return 0;
}

static int call_write_record(struct call_job *c)
{
    json_error_t je;
    json_t *j;
    struct ss_record r;
    if (json_unpack_ex(c->args, &je, JSON_STRICT, "{s:o}", "record", &j) < 0)
        return bad_args(c, &je);
    if (ss_record_from_json(j, &r, &c->err) < 0)
        return -1;
    return ds_write_record(c->st, &r, &c->err);
}

static int call_promote(struct call_job *c)
{
    json_error_t je;
    json_int_t epoch;
    if (json_unpack_ex(c->args, &je, JSON_STRICT, "{s:I}", "epoch", &epoch) < 0)
        return bad_args(c, &je);
    return ds_promote(c->st, epoch > 0 ? (uint64_t)epoch : 0, &c->err);
}

static int call_fill(struct call_job *c)
{
    return no_args(c) < 0 ? -1 : ds_fill(c->st, &c->err);
}

static int call_settle(struct call_job *c)
{
    return no_args(c) < 0 ? -1 : ds_settle(c->st, &c->err);
}

static int call_flush_file(struct call_job *c)
{
    json_error_t je;
    const char *url;
    if (json_unpack_ex(c->args, &je, JSON_STRICT, "{s:s}", "url", &url) < 0)
        return bad_args(c, &je);
    return ds_flush_file(c->st, url, &c->err);
}

static int call_release_image(struct call_job *c)
{
    return no_args(c) < 0 ? -1 : ds_release_image(c->st, &c->err);
}

static int call_release_record(struct call_job *c)
{
    return no_args(c) < 0 ? -1 : ds_release_record(c->st, &c->err);
}

static int call_drop(struct call_job *c)
{
    return no_args(c) < 0 ? -1 : ds_drop(c->st, &c->err);
}

static int call_reopen(struct call_job *c)
{
    return no_args(c) < 0 ? -1 : ds_reopen(c->st, c->timeout_ms, &c->err);
}

static int call_patience(struct call_job *c)
{
    json_error_t je;
    int ms;
    if (json_unpack_ex(c->args, &je, JSON_STRICT, "{s:i}", "ms", &ms) < 0)
        return bad_args(c, &je);
    if (ms < 0 || ms > MAX_TIMEOUT_MS)
        return drv_err(&c->err, DRV_EINVAL, "patience must be 0..%d ms", MAX_TIMEOUT_MS);
    pthread_mutex_lock(&c->st->lock);
    c->st->patience_ms = ms;
    pthread_mutex_unlock(&c->st->lock);
    return 0;
}

static int call_quit(struct call_job *c)
{
    json_error_t je;
    int force;
    if (json_unpack_ex(c->args, &je, JSON_STRICT, "{s:b}", "force", &force) < 0)
        return bad_args(c, &je);
    pthread_mutex_lock(&c->st->lock);
    bool running = c->st->epoch > 0 && !c->st->fenced;
    pthread_mutex_unlock(&c->st->lock);
    if (running && !force)
        return drv_err(&c->err, DRV_ESTATE, "a VM runs on this disk: release it first");
    return 0;
}

static const struct call calls[] = {
    {"open", call_open, false},
    {"status", call_status, true},
    {"hold_record", call_hold_record, false},
    {"hold_image", call_hold_image, false},
    {"read_record", call_read_record, false},
    {"write_record", call_write_record, false},
    {"promote", call_promote, false},
    {"fill", call_fill, false},
    {"settle", call_settle, false},
    {"flush_file", call_flush_file, false},
    {"release_image", call_release_image, false},
    {"release_record", call_release_record, false},
    {"drop", call_drop, false},
    {"reopen", call_reopen, false},
    {"patience", call_patience, true},
    {"quit", call_quit, true},
};

static void run_call(struct ds_job *job)
{
    struct call_job *c = (struct call_job *)job;
    c->rc = c->call->run(c);
    c->ran = true;
}

static void call_done(struct ds_job *job)
{
    struct call_job *c = (struct call_job *)job;
    json_decref(c->args);
    json_decref(c->ret);
}

static char *reply(const struct call_job *c)
{
    DRV_AUTO_JSON json_t *j = NULL;
    if (c->rc == 0)
        j = c->ret ? json_pack("{s:O}", "return", c->ret) : json_pack("{s:{}}", "return");
    else
        j = json_pack("{s:{s:s, s:s, s:s}}", "error", "code", drv_code_name(c->err.code), "msg",
                      c->err.msg, "hint", c->err.hint);
    char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
    return text
               ? text
               : drv_xstrdup("{\"error\":{\"code\":\"internal\",\"msg\":\"reply\",\"hint\":\"\"}}");
}

static char *error_reply(const struct drv_err *err)
{
    struct call_job c = {.rc = -1, .err = *err};
    return reply(&c);
}

// Parse line into c; the arguments become c's own.
static int parse(const char *line, size_t len, struct call_job *c, struct drv_err *err)
{
    json_error_t je;
    DRV_AUTO_JSON json_t *j = json_loadb(line, len, JSON_REJECT_DUPLICATES, &je);
    const char *name;
    json_t *args = NULL;
    c->timeout_ms = DEFAULT_TIMEOUT_MS;
    if (!j || json_unpack_ex(j, &je, JSON_STRICT, "{s:s, s?:o, s?:i}", "call", &name, "args", &args,
                             "timeout_ms", &c->timeout_ms) < 0)
        return drv_err(err, DRV_EINVAL, "bad request: %s", je.text);
    if (c->timeout_ms < 1 || c->timeout_ms > MAX_TIMEOUT_MS)
        return drv_err(err, DRV_EINVAL, "timeout_ms must be 1..%d", MAX_TIMEOUT_MS);
    for (size_t i = 0; i < DRV_ARRAY_LEN(calls) && !c->call; i++)
        if (strcmp(calls[i].name, name) == 0)
            c->call = &calls[i];
    if (!c->call)
        return drv_err(err, DRV_ENOTFOUND, "no call %.64s", name);
    c->args = args ? json_incref(args) : json_object();
    return 0;
}

// Wait for the procedure thread. An acquisition that takes too long is cut off, so that it cannot
// succeed later behind the caller's back; a running VM's connection is left to its own patience.
static bool wait_for_call(struct ds_store *st, struct call_job *c)
{
    if (ds_thread_wait(st->thread, &c->job, c->timeout_ms))
        return c->ran;
    pthread_mutex_lock(&st->lock);
    bool running = ds_state(st) == SS_PS_PROMOTED;
    pthread_mutex_unlock(&st->lock);
    if (running)
        return false;
    st->be->sever();
    return ds_thread_wait(st->thread, &c->job, SEVER_WAIT_MS) && c->ran;
}

char *ds_control_answer(struct ds_store *st, const char *line, size_t len, bool *ret_quit)
{
    struct drv_err err = DRV_ERR_INIT;
    struct call_job *c = (struct call_job *)ds_job_new(sizeof *c, run_call);
    if (!c) {
        drv_err(&err, DRV_ENOSPACE, "out of memory");
        return error_reply(&err);
    }
    c->job.done = call_done;
    c->st = st;
    char *text;
    if (parse(line, len, c, &err) < 0) {
        text = error_reply(&err);
    } else if (c->call->at_once) {
        run_call(&c->job);
        text = reply(c);
        *ret_quit = c->rc == 0 && c->call->run == call_quit;
    } else {
        ds_thread_submit(st->thread, &c->job);
        if (wait_for_call(st, c)) {
            text = reply(c);
        } else {
            drv_err(&err, DRV_ETIMEDOUT, "%s: the file server did not answer within %d ms",
                    c->call->name, c->timeout_ms);
            text = error_reply(&err);
        }
    }
    ds_job_put(st->thread, &c->job);
    return text;
}
