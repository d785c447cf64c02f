// SPDX-License-Identifier: GPL-3.0-or-later
// Questions on worker threads: see link.h.
#include "link.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "drover/connect.h"
#include "drover/permit.h"
#include "drover/wire.h"
#include "drover/worker.h"

enum kind { ROUND, SLOW, MOVES, ASIDE };

struct item {
    struct item *next;
    struct tui_ask *ask;
};

struct line {
    struct line *next;
    struct tui_links *links;
    char host[256]; // "" = the local agent
    enum kind kind;
    struct item *head, **tail; // loop thread
    struct item *now;          // with the worker; NULL = the line is idle
    struct drv_client *client; // the worker's while now is set
    bool unreachable;          // the worker's word: it could not connect
};

struct follow {
    struct tui_links *links;
    char host[256], move[DRV_UUID_LEN];
    struct drv_client *client; // made by the worker, freed on the loop
    atomic_int fd;             // of client, so that the loop can end the wait; -1 before
    atomic_bool stop;
    json_t *result;
    struct drv_err err;
};

struct tui_links {
    struct drv_loop *loop;
    struct tui *tui;
    struct line *lines;
    struct follow *follow; // whose words count
};

// ---- questions ----

static enum kind kind_of(const struct tui_ask *a)
{
    if (!strcmp(a->call, "move.check") || !strcmp(a->call, "move.start"))
        return MOVES;
    switch ((int)a->want) {
    case TUI_WANT_SHOW:
    case TUI_WANT_VMS:
    case TUI_WANT_JOBS:
    case TUI_WANT_CANCEL:
    case TUI_WANT_CHOICE:
        return ROUND;
    case TUI_WANT_CPUS:
        return ASIDE;
    default:
        return SLOW;
    }
}

static struct line *line_for(struct tui_links *l, const char *host, enum kind kind)
{
    for (struct line *n = l->lines; n; n = n->next)
        if (!strcmp(n->host, host) && n->kind == kind)
            return n;
    struct line *n = drv_xcalloc(1, sizeof *n);
    DRV_COPY(n->host, host);
    n->kind = kind;
    n->links = l;
    n->tail = &n->head;
    n->next = l->lines;
    l->lines = n;
    return n;
}

// Worker. All agents listen on one port: the one that the host was named with.
static int add_permit(struct line *n, struct tui_ask *a)
{
    char permit[DRV_PERMIT_LEN], host[256];
    unsigned port = DRV_WIRE_PORT;
    if (n->host[0] && drv_host_port(n->host, host, sizeof host, &port, &a->err) < 0)
        return -1;
    struct drv_permit_request rq = {
        .source = n->client,
        .vm = drv_json_text(a->args, "vm"),
        .to = drv_json_text(a->args, "to"),
        .port = port,
        .for_move = a->want == TUI_WANT_START,
    };
    if (drv_permit_get(&rq, permit, &a->err) < 0)
        return drv_err_prefix(&a->err, "a permit instead of delegation");
    json_object_set_new(a->args, "permit", json_string(permit));
    explicit_bzero(permit, sizeof permit);
    return 0;
}

// args of the call, with a permit in it: wiped once it has been sent.
static void wipe_permit(json_t *args)
{
    json_t *permit = json_object_get(args, "permit");
    if (permit)
        explicit_bzero((char *)(uintptr_t)json_string_value(permit), json_string_length(permit));
    json_decref(args);
}

// Worker. On the local socket a move needs a Kerberos user; all else goes by who root is.
static void work(void *arg)
{
    struct line *n = arg;
    struct tui_ask *a = n->now->ask;
    bool no_ticket;
    if (!n->client)
        n->client =
            drv_connect(n->host[0] ? n->host : NULL,
                        n->kind == MOVES ? DRV_TICKET_MUST : DRV_TICKET_NO, &no_ticket, &a->err);
    n->unreachable = !n->client;
    if (n->client && (!a->permit || add_permit(n, a) == 0))
        a->reply =
            drv_client_call(n->client, a->call, json_incref(a->args), a->timeout_ms, &a->err);
    wipe_permit(DRV_TAKE(a->args));
    if (n->client && !a->reply &&
        (a->err.code == DRV_EUNREACHABLE || a->err.code == DRV_ETIMEDOUT)) {
        drv_client_free(n->client); // the next question dials anew
        n->client = NULL;
    }
}

static void run(struct line *n);

static struct item *pop(struct line *n)
{
    struct item *i = n->head;
    n->head = i->next;
    if (!n->head)
        n->tail = &n->head;
    return i;
}

static void deliver(struct line *n, struct item *i)
{
    tui_answer(n->links->tui, i->ask);
    free(i);
}

static void done(void *arg)
{
    struct line *n = arg;
    struct item *i = DRV_TAKE(n->now);
    struct drv_err err = i->ask->err;
    // What waits behind a host that cannot be reached does not try again one by one.
    struct item *waiting = NULL;
    if (n->unreachable) {
        waiting = n->head;
        n->head = NULL;
        n->tail = &n->head;
    }
    deliver(n, i);
    while (waiting) {
        i = waiting;
        waiting = i->next;
        i->ask->err = err;
        json_decref(DRV_TAKE(i->ask->args));
        deliver(n, i);
    }
    run(n);
}

static void run(struct line *n)
{
    if (n->now || !n->head)
        return;
    n->now = pop(n);
    if (drv_work(n->links->loop, work, done, n) < 0) {
        drv_err(&n->now->ask->err, DRV_EBUSY, "no thread to be had");
        json_decref(DRV_TAKE(n->now->ask->args));
        drv_loop_post(n->links->loop, done, n);
    }
}

static void ask(void *arg, struct tui_ask *a)
{
    struct tui_links *l = arg;
    struct line *n = line_for(l, a->host, kind_of(a));
    struct item *i = drv_xcalloc(1, sizeof *i);
    i->ask = a;
    *n->tail = i;
    n->tail = &i->next;
    run(n);
}

// ---- following a move ----

struct said { // by a worker, to the loop
    struct follow *follow;
    json_t *message;
};

static void hear(void *arg)
{
    struct said *s = arg;
    struct tui_links *l = s->follow->links;
    if (l->follow == s->follow)
        tui_followed(l->tui, s->message, NULL);
    json_decref(s->message);
    free(s);
}

// Worker. message is stolen.
static void say(struct follow *f, json_t *message)
{
    struct said *s = drv_xcalloc(1, sizeof *s);
    s->follow = f;
    s->message = message;
    drv_loop_post(f->links->loop, hear, s);
}

// Worker, within the call. A copy of its own: the client lets go of the event on this thread.
static void on_event(const json_t *event, void *arg)
{
    say(arg, json_deep_copy(event));
}

static void follow_work(void *arg)
{
    struct follow *f = arg;
    bool no_ticket;
    f->client = drv_connect(f->host[0] ? f->host : NULL, DRV_TICKET_NO, &no_ticket, &f->err);
    if (!f->client)
        return;
    atomic_store(&f->fd, drv_client_fd(f->client));
    if (atomic_load(&f->stop))
        return;
    json_t *can = json_deep_copy(drv_client_capabilities(f->client));
    say(f, json_pack("{s:s, s:o?}", "event", "greeting", "capabilities", can));
    drv_client_on_event(f->client, on_event, f);
    f->result =
        drv_client_call(f->client, "move.attach", json_pack("{s:s}", "move", f->move), 0, &f->err);
}

static void follow_done(void *arg)
{
    struct follow *f = arg;
    struct tui_links *l = f->links;
    if (l->follow == f) {
        l->follow = NULL;
        tui_followed(l->tui, f->result, &f->err);
    }
    json_decref(f->result);
    drv_client_free(f->client);
    free(f);
}

static void unfollow(void *arg)
{
    struct tui_links *l = arg;
    struct follow *f = DRV_TAKE(l->follow);
    if (!f)
        return;
    // The descriptor is closed on this thread alone, so it is still the client's.
    atomic_store(&f->stop, true);
    int fd = atomic_load(&f->fd);
    if (fd >= 0)
        shutdown(fd, SHUT_RDWR);
}

static void follow(void *arg, const char *host, const char *move)
{
    struct tui_links *l = arg;
    struct follow *f = drv_xcalloc(1, sizeof *f);
    unfollow(l);
    f->links = l;
    atomic_init(&f->fd, -1);
    DRV_COPY(f->host, host);
    DRV_COPY(f->move, move);
    l->follow = f;
    if (drv_work(l->loop, follow_work, follow_done, f) < 0) {
        drv_err(&f->err, DRV_EBUSY, "no thread to be had");
        drv_loop_post(l->loop, follow_done, f);
    }
}

// ---- life ----

struct tui_links *tui_links_new(struct drv_loop *loop, struct tui *t)
{
    struct tui_links *l = drv_xcalloc(1, sizeof *l);
    l->loop = loop;
    l->tui = t;
    return l;
}

void tui_links_port(struct tui_links *l, struct tui_port *ret)
{
    *ret = (struct tui_port){.ask = ask, .follow = follow, .unfollow = unfollow, .arg = l};
}

bool tui_links_free(struct tui_links *l)
{
    if (drv_work_running())
        return false;
    while (l->lines) {
        struct line *n = l->lines;
        l->lines = n->next;
        while (n->head) {
            struct item *i = pop(n);
            json_decref(i->ask->args);
            free(i->ask);
            free(i);
        }
        drv_client_free(n->client);
        free(n);
    }
    free(l);
    return true;
}
