// SPDX-License-Identifier: GPL-3.0-or-later
// droverd: command line and signals. The agent itself is in ../src.
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <syslog.h>

#include "drover/log.h"
#include "options.h"
#include "start.h"
#include "supervisor.h"

const char *argp_program_version = "droverd " DROVER_VERSION;

static struct drv_conf *load(const struct droverd_options *o, struct drv_err *err)
{
    struct drv_err why = DRV_ERR_INIT;
    struct drv_conf *c =
        drv_conf_load(ha_conf_options, o->config ? o->config : DROVERD_CONFIG, &why);
    if (!c && why.code == DRV_ENOTFOUND && !o->config)
        return drv_conf_new(ha_conf_options);
    if (!c)
        *err = why;
    return c;
}

// --- signals, delivered on the loop ---

struct run {
    struct ha *ha;
    const struct droverd_options *options;
};

static void on_stop(evutil_socket_t sig, short what, void *arg)
{
    (void)what;
    struct run *r = arg;
    drv_log(LOG_NOTICE, "agent.stop", F_INT("signal", sig));
    ha_supervisor_stopping();
    ha_stop(r->ha);
}

static void on_hup(evutil_socket_t sig, short what, void *arg)
{
    (void)sig;
    (void)what;
    struct run *r = arg;
    struct drv_err err = DRV_ERR_INIT;
    struct drv_conf *next = load(r->options, &err);
    if (next)
        ha_reload(r->ha, next);
    else
        drv_log_err(LOG_ERR, "agent.reload", &err);
}

static void run(struct run *r)
{
    struct event_base *base = drv_loop_base(r->ha->loop);
    struct event *events[] = {evsignal_new(base, SIGTERM, on_stop, r),
                              evsignal_new(base, SIGINT, on_stop, r),
                              evsignal_new(base, SIGHUP, on_hup, r)};
    for (size_t i = 0; i < DRV_ARRAY_LEN(events); i++)
        if (!events[i] || event_add(events[i], NULL) < 0)
            abort();
    drv_log(LOG_NOTICE, "agent.up", F_STR("host", r->ha->fqdn), F_STR("version", DROVER_VERSION));
    struct event *watchdog = ha_supervisor_ready(r->ha->loop);
    drv_loop_run(r->ha->loop);
    if (watchdog)
        event_free(watchdog);
    for (size_t i = 0; i < DRV_ARRAY_LEN(events); i++)
        event_free(events[i]);
}

int main(int argc, char **argv)
{
    struct droverd_options o = {0};
    struct drv_err err = DRV_ERR_INIT;
    argp_parse(&droverd_argp, argc, argv, 0, NULL, &o);
    struct drv_conf *conf = load(&o, &err);
    if (conf && o.show) {
        drv_conf_show(conf, stdout);
        drv_conf_free(conf);
        return EXIT_SUCCESS;
    }
    struct run r = {.options = &o};
    if (conf) {
        drv_log_level(ha_log_level(conf));
        prctl(PR_SET_DUMPABLE, 0); // tickets and keys of moves: no core file
        umask(022);                // folders that QEMU must pass through say so themselves
        signal(SIGPIPE, SIG_IGN);
        r.ha = ha_start(conf, &err);
    }
    if (!r.ha) {
        drv_log_err(LOG_ERR, "agent.start", &err);
        return EXIT_FAILURE;
    }
    run(&r);
    ha_free(r.ha);
    drv_log(LOG_NOTICE, "agent.down");
    return EXIT_SUCCESS;
}
