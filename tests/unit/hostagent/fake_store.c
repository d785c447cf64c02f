// SPDX-License-Identifier: GPL-3.0-or-later
// See fake_store.h.
#include "fake_store.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static json_t *status(const struct fake_store *f)
{
    return json_pack("{s:i, s:i, s:I, s:i, s:I, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:b, "
                     "s:b, s:s}",
                     "state", (int)f->state, "pid", 1, "epoch", (json_int_t)f->epoch, "volume_id",
                     7, "file_id", (json_int_t)f->file_id, "size_bytes", 4096, "reads", 0, "writes",
                     0, "read_bytes", 0, "write_bytes", 0, "refused_writes", 0, "log_bytes", 0,
                     "replays", 0, "stalled_ms", 0, "guest_paused", f->guest_paused, "attention", 0,
                     "lost_reason", f->state == SS_PS_LOST ? "the server is gone" : "");
}

static json_t *no_record(void)
{
    return json_pack("{s:{s:s, s:s, s:s}}", "error", "code", "not-found", "msg", "no record yet",
                     "hint", "");
}

// Do a call and make its whole answer.
static json_t *act(struct fake_store *f, const char *call, const json_t *args)
{
    struct fake_file_server *s = f->server;
    struct ss_record next;
    if (!strcmp(call, "status"))
        return json_pack("{s:o}", "return", status(f));
    if (!strcmp(call, "read_record"))
        return s->have_record ? json_pack("{s:o}", "return", ss_record_to_json(&s->record))
                              : no_record();
    if (!strcmp(call, "write_record") &&
        ss_record_from_json(json_object_get(args, "record"), &next, NULL) == 0) {
        next.write_counter = s->record.write_counter + 1;
        s->record = next;
        s->have_record = true;
    } else if (!strncmp(call, "hold_", 5) || !strcmp(call, "reopen")) {
        f->state = SS_PS_HELD;
    } else if (!strcmp(call, "promote")) {
        f->state = SS_PS_PROMOTED;
        f->epoch = (uint64_t)json_integer_value(json_object_get(args, "epoch"));
    } else if (!strncmp(call, "release_", 8)) {
        f->state = SS_PS_RELEASED;
    } else if (!strcmp(call, "drop")) {
        f->state = SS_PS_OBSERVING;
    } else if (!strcmp(call, "quit")) {
        s->quitting = true;
    }
    return json_pack("{s:{}}", "return");
}

static bool takes_fault(struct fake_store *f, const char *call)
{
    struct fake_file_server *s = f->server;
    if (!s->fault.call || strcmp(s->fault.call, call) != 0 || strcmp(s->fault.store, f->name) != 0)
        return false;
    s->fault.call = NULL;
    return true;
}

// The answer to one line; NULL = hang up.
static char *answer(struct fake_store *f, const char *line, size_t len)
{
    struct fake_file_server *s = f->server;
    DRV_AUTO_JSON json_t *j = json_loadb(line, len, 0, NULL);
    const char *call = json_string_value(json_object_get(j, "call"));
    DRV_AUTO_JSON json_t *reply = NULL;
    if (!call)
        return NULL;
    pthread_mutex_lock(&s->lock);
    if (strcmp(call, "status") != 0 && s->n_log < FAKE_LOG_MAX)
        snprintf(s->log[s->n_log++], sizeof s->log[0], "%.20s %.20s", f->name, call);
    bool fault = takes_fault(f, call);
    enum fake_fault kind = s->fault.kind;
    if (fault && kind == FAKE_REFUSES)
        reply = json_pack("{s:{s:s, s:s, s:s}}", "error", "code", s->fault.code, "msg",
                          "as the test wants", "hint", "");
    else if (!fault || kind == FAKE_FORGETS)
        reply = act(f, call, json_object_get(j, "args"));
    pthread_mutex_unlock(&s->lock);
    return fault && kind != FAKE_REFUSES ? NULL : json_dumps(reply, JSON_COMPACT);
}

static void serve(struct fake_store *f)
{
    static const size_t max = 65536;
    DRV_AUTO_FREE char *buf = drv_xcalloc(1, max);
    size_t len = 0;
    for (;;) {
        ssize_t n = recv(f->fd, buf + len, max - len, 0);
        if (n <= 0)
            return;
        len += (size_t)n;
        if (buf[len - 1] != '\n')
            continue;
        DRV_AUTO_FREE char *text = answer(f, buf, len);
        len = 0;
        if (!text)
            return;
        DRV_AUTO_FREE char *line = drv_xasprintf("%s\n", text);
        send(f->fd, line, strlen(line), MSG_NOSIGNAL);
        pthread_mutex_lock(&f->server->lock);
        f->server->quit = f->server->quitting;
        pthread_mutex_unlock(&f->server->lock);
    }
}

static void *store_main(void *arg)
{
    struct fake_store *f = arg;
    while ((f->fd = accept(f->listen_fd, NULL, NULL)) >= 0) {
        serve(f);
        close(f->fd);
    }
    return NULL;
}

void fake_server_init(struct fake_file_server *s)
{
    memset(s, 0, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
}

void fake_server_stop(struct fake_file_server *s)
{
    for (unsigned i = 0; i < s->n_stores; i++) { // their clients have hung up
        shutdown(s->stores[i].listen_fd, SHUT_RDWR);
        pthread_join(s->stores[i].thread, NULL);
        close(s->stores[i].listen_fd);
    }
    pthread_mutex_destroy(&s->lock);
}

struct fake_store *fake_store_start(struct fake_file_server *s, const char *dir, const char *name,
                                    uint64_t file_id)
{
    struct fake_store *f = &s->stores[s->n_stores++];
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    mkdir(dir, 0700);
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s/%s.ctl", dir, name);
    *f = (struct fake_store){.server = s, .file_id = file_id};
    DRV_COPY(f->name, name);
    f->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(f->listen_fd, (struct sockaddr *)&sa, sizeof sa) < 0 || listen(f->listen_fd, 4) < 0 ||
        pthread_create(&f->thread, NULL, store_main, f) != 0)
        abort();
    return f;
}

void fake_fault(struct fake_file_server *s, const char *store, const char *call,
                enum fake_fault kind, const char *code)
{
    pthread_mutex_lock(&s->lock);
    s->fault.store = store;
    s->fault.call = call;
    s->fault.kind = kind;
    s->fault.code = code;
    pthread_mutex_unlock(&s->lock);
}

bool fake_asked_to_quit(struct fake_file_server *s)
{
    pthread_mutex_lock(&s->lock);
    bool quit = s->quit;
    pthread_mutex_unlock(&s->lock);
    return quit;
}

unsigned fake_count(struct fake_file_server *s, const char *entry)
{
    unsigned n = 0;
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->n_log; i++)
        n += !strcmp(s->log[i], entry);
    pthread_mutex_unlock(&s->lock);
    return n;
}

const char *fake_log(struct fake_file_server *s, char *ret, size_t size)
{
    size_t len = 0;
    ret[0] = '\0';
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->n_log && len < size; i++)
        len += (size_t)snprintf(ret + len, size - len, "%s%s", i ? ", " : "", s->log[i]);
    s->n_log = 0;
    pthread_mutex_unlock(&s->lock);
    return ret;
}
