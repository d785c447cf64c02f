// SPDX-License-Identifier: GPL-3.0-or-later
// drover-wizard: the options, which hosts to begin with, and the loop.
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drover/connect.h"
#include "drover/loop.h"
#include "drover/worker.h"
#include "hostlist.h"
#include "link.h"
#include "options.h"
#include "plain.h"
#include "screen.h"

enum { TICK_MS = 500, LAST_MS = 500 };

const char *argp_program_version = "drover-wizard " DROVER_VERSION;

struct app {
    struct drv_loop *loop;
    struct tui tui;
    struct tui_links *links;
    struct event *tick, *term, *hup;
    void (*show)(void *unused);
};

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct app *a = arg;
    (void)fd;
    (void)what;
    tui_tick(&a->tui, drv_now_ms());
    a->show(NULL);
}

static void on_end(evutil_socket_t sig, short what, void *arg)
{
    struct app *a = arg;
    (void)sig;
    (void)what;
    drv_loop_stop(a->loop);
}

// -H, DROVER_HOST, the agent of this computer, the saved list. Full names, as the domain lists
// them.
static int choose_hosts(struct tui_options *o, struct tui_hostlist *l, struct drv_err *err)
{
    const char *env = getenv("DROVER_HOST"), *path = getenv("DROVER_SOCKET");
    if (!o->n && env && *env)
        o->hosts[o->n++] = env;
    if (!o->n && access(path && *path ? path : DRV_SOCKET, F_OK) < 0) {
        tui_hostlist_load(l);
        if (!l->n) {
            drv_err(err, DRV_EINVAL, "there is no agent on this computer");
            return drv_err_hint(err, "name any host: drover-wizard -H HOST; it names the others");
        }
        for (unsigned i = 0; i < l->n; i++)
            o->hosts[o->n++] = l->name[i];
    }
    for (unsigned i = 0; i < o->n; i++) {
        char name[256], fqdn[256];
        unsigned port;
        if (drv_host_port(o->hosts[i], name, sizeof name, &port, err) ||
            drv_host_fqdn(name, fqdn, sizeof fqdn, err))
            return -1;
        if (!strchr(o->hosts[i], ':'))
            DRV_COPY(l->name[i], fqdn);
        else
            DRV_COPY(l->name[i], o->hosts[i]);
        o->hosts[i] = l->name[i];
    }
    return 0;
}

static int set_up(struct app *a, const struct tui_options *o, struct drv_err *err)
{
    struct timeval every = {.tv_usec = TICK_MS * 1000};
    struct tui_port port;
    if (!(a->loop = drv_loop_new(err)))
        return -1;
    struct event_base *base = drv_loop_base(a->loop);
    a->links = tui_links_new(a->loop, &a->tui);
    tui_links_port(a->links, &port);
    tui_init(&a->tui, &port, o->hosts, o->n);
    a->tick = event_new(base, -1, EV_PERSIST, on_tick, a);
    a->term = evsignal_new(base, SIGTERM, on_end, a);
    a->hup = evsignal_new(base, SIGHUP, on_end, a);
    if (!a->tick || !a->term || !a->hup || event_add(a->tick, &every) < 0 ||
        event_add(a->term, NULL) < 0 || event_add(a->hup, NULL) < 0)
        return drv_err(err, DRV_EINTERNAL, "cannot create the event loop");
    tui_tick(&a->tui, drv_now_ms());
    return 0;
}

static void tear_down(struct app *a)
{
    a->tui.port.unfollow(a->tui.port.arg);
    fflush(stdout);
    // What is under way with hosts that answer ends in a moment.
    event_del(a->tick);
    for (int i = 0, idle = 0; i < LAST_MS / 10 && !idle; i++) {
        idle = !drv_work_running();
        event_base_loop(drv_loop_base(a->loop), EVLOOP_NONBLOCK);
        idle = idle && !drv_work_running(); // an answer may have led to another question
        if (!idle)
            drv_sleep_ms(10);
    }
    if (!tui_links_free(a->links))
        _exit(EXIT_SUCCESS); // a thread waits for a silent host; nothing of ours is left to do
    event_free(a->tick);
    event_free(a->term);
    event_free(a->hup);
    tui_done(&a->tui);
    drv_loop_free(a->loop);
}

static int run(struct app *a, const struct tui_options *o, struct drv_err *err)
{
    char why[128], farewell[2048];
    bool ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
    const char *mouse = getenv("DROVER_MOUSE");
    bool use_mouse = !o->no_mouse && (!mouse || strcmp(mouse, "0") != 0);
    bool plain = o->plain || !tui_screen_capable(why, sizeof why);
    if (plain && !o->plain)
        fprintf(stderr, "drover-wizard: %s; going on as with --plain\n", why);
    a->show = plain ? tui_plain_show : tui_screen_tick;
    if (set_up(a, o, err) < 0 ||
        (plain ? tui_plain_begin(a->loop, &a->tui, ascii, err)
               : tui_screen_begin(a->loop, &a->tui, ascii, use_mouse, err)) < 0)
        return -1;
    drv_loop_run(a->loop);
    tui_screen_end();
    tui_plain_end();
    tui_farewell(&a->tui, farewell, sizeof farewell);
    fputs(farewell, stdout);
    if (a->tui.entry[0] && o->n)
        return tui_hostlist_save(&a->tui, err);
    return 0;
}

int main(int argc, char **argv)
{
    static struct app app;
    static struct tui_hostlist list;
    struct tui_options o = {0};
    struct drv_err err = DRV_ERR_INIT;
    setlocale(LC_ALL, "");
    argp_err_exit_status = DRV_EXIT_USAGE;
    argp_parse(&tui_argp, argc, argv, 0, NULL, &o);
    signal(SIGPIPE, SIG_IGN);
    if (choose_hosts(&o, &list, &err) < 0 || run(&app, &o, &err) < 0) {
        fprintf(stderr, "drover-wizard: %s\n", err.msg);
        if (err.hint[0])
            fprintf(stderr, "  hint: %s\n", err.hint);
        return (int)drv_err_exit(&err);
    }
    tear_down(&app);
    return 0;
}
