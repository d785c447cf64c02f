// SPDX-License-Identifier: GPL-3.0-or-later
// Bringing the agent up and down: see start.h.
#include "start.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "audit.h"
#include "autostart.h"
#include "drover/log.h"
#include "drover/worker.h"
#include "kept.h"
#include "machine.h"
#include "move.h"
#include "peers.h"
#include "permit.h"
#include "supervisor.h"
#include "tables.h"
#include "vm_log.h"

// A move that is cancelled needs a while to bring everything back.
enum { STOP_POLL_MS = 100, STOP_WAIT_MS = 5000, STOP_MOVES_MS = 30000 };

// --- one table of calls ---

const struct ha_call *const ha_call_tables[] = {ha_calls_host,   ha_calls_store,
                                                ha_calls_vm,     ha_calls_vm_set,
                                                ha_calls_move,   ha_calls_peer,
                                                ha_calls_audit,  ha_calls_doctor,
                                                ha_calls_permit, ha_calls_console,
                                                ha_calls_log,    ha_calls_shutdown,
                                                ha_calls_health, NULL};

static struct ha_call *all_calls(void)
{
    size_t n = 1;
    for (size_t t = 0; ha_call_tables[t]; t++)
        for (const struct ha_call *c = ha_call_tables[t]; c->name; c++)
            n++;
    struct ha_call *all = drv_xcalloc(n, sizeof *all), *next = all;
    for (size_t t = 0; ha_call_tables[t]; t++)
        for (const struct ha_call *c = ha_call_tables[t]; c->name; c++)
            *next++ = *c;
    return all;
}

// --- up ---

struct agent { // struct ha and what only this file uses
    struct ha ha;
    struct ha_call *calls;
    int lock_fd;
    struct event *stop_timer, *watch;
    int64_t stopping_ms; // since when
};

static struct agent *agent_of(struct ha *ha)
{
    return (struct agent *)ha; // its first member
}

static int open_database(struct ha *ha, struct drv_err *err)
{
    DRV_AUTO_FREE char *path = drv_xasprintf("%s/drover.db", drv_conf_str(ha->conf, "state_dir"));
    ha->db = db_open(path, err);
    return ha->db ? 0 : -1;
}

static int probe(struct ha *ha, struct drv_err *err)
{
    DRV_AUTO_FREE char *cache = drv_xasprintf("%s/probe.json", drv_conf_str(ha->conf, "state_dir"));
    int64_t start = drv_now_ms();
    const struct ha_probe_spec spec = {.launcher = &ha->launcher,
                                       .dir = drv_conf_str(ha->conf, "run_dir"),
                                       .uid = ha->qemu_uid,
                                       .gid = ha->qemu_gid,
                                       .cache_path = cache};
    ha->probe = ha_probe_run(&spec, err);
    if (!ha->probe)
        return drv_err_prefix(err, "what QEMU can do here");
    drv_log(LOG_INFO, "agent.probe", F_STR("qemu", ha->probe->qemu_package),
            F_INT("kvm", ha->probe->kvm), F_INT("took_ms", drv_now_ms() - start));
    return 0;
}

// A socket that was passed is used in place of the configured one.
static int listen_local(struct ha *ha, struct drv_err *err)
{
    char path[256];
    int fd;
    const char *socket = drv_conf_str(ha->conf, "socket");
    if (ha_supervisor_socket(&fd, err) < 0)
        return -1;
    if (fd >= 0)
        return ha_server_adopt_unix(ha->server, fd, err);
    if (socket[0])
        DRV_COPY(path, socket);
    else
        snprintf(path, sizeof path, "%s/drover.sock", drv_conf_str(ha->conf, "run_dir"));
    return ha_server_listen_unix(ha->server, path, err);
}

static int listen_all(struct ha *ha, struct drv_err *err)
{
    const char *const *addresses;
    unsigned n = drv_conf_list(ha->conf, "listen", &addresses);
    unsigned port = (unsigned)drv_conf_int(ha->conf, "port");
    if (listen_local(ha, err) < 0)
        return -1;
    for (unsigned i = 0; i < n; i++)
        if (ha_server_listen_tcp(ha->server, addresses[i], port, NULL, err) < 0)
            return drv_err_prefix(err, "listen");
    return 0;
}

static void attach(void *arg)
{
    struct drv_err err = DRV_ERR_INIT;
    if (ha_host_ccache_renew(arg, &err) < 0) { // the one from before may still do
        drv_log_err(LOG_WARNING, "agent.ticket", &err);
        drv_err_clear(&err);
    }
    if (ha_vms_attach(arg, &err) < 0)
        drv_log_err(LOG_ERR, "agent.attach", &err);
    ha_vmlog_prune(arg);
    ha_autostart_begin(arg);
}

static void role_advice(struct ha *ha, enum az_role need, const char *account, struct drv_err *err)
{
    struct ha_settings s;
    char text[sizeof err->hint];
    ha_settings_get(ha, &s);
    az_role_advice(&s.roles, need, account, ha->fqdn, text, sizeof text);
    drv_err_hint(err, "%s", text);
}

// A host channel has ended, and with it what hangs on it (loop thread).
static void channel_closed(struct ha *ha, const struct ha_peer *peer)
{
    ha_permits_closed(ha->permits, peer);
    ha_moves_channel_closed(ha, peer);
}

static int start(struct agent *a, struct drv_err *err)
{
    static const struct ha_server_ops ops = {.credential = ha_credential,
                                             .classify = ha_classify,
                                             .refused = ha_audit_refused,
                                             .role_advice = role_advice,
                                             .closed = channel_closed};
    struct ha *ha = &a->ha;
    if (ha_machine_init(ha, err) < 0 || (a->lock_fd = ha_machine_lock(ha, err)) < 0 ||
        open_database(ha, err) < 0 || probe(ha, err) < 0)
        return -1;
    ha_ccache_forget(ha);
    ha->loop = drv_loop_new(err);
    if (!ha->loop || ha_settings_load(ha, err) < 0 || ha_vms_load(ha, err) < 0 ||
        ha_moves_load(ha, err) < 0)
        return -1;
    ha->permits = ha_permits_new(ha->fqdn, drv_now_ms);
    a->calls = all_calls();
    ha->server = ha_server_new(ha, ha->loop, &ops, a->calls, ha->fqdn);
    if (listen_all(ha, err) < 0)
        return -1;
    a->watch = ha_watch_start(ha);
    if (!a->watch || drv_work(ha->loop, attach, NULL, ha) < 0)
        return drv_err(err, DRV_ENOSPACE, "no thread can be had");
    ha_kept_start(ha);
    return 0;
}

struct ha *ha_start(struct drv_conf *conf, struct drv_err *err)
{
    struct agent *a = drv_xcalloc(1, sizeof *a);
    a->ha.conf = conf;
    a->ha.started_ms = drv_now_ms();
    a->lock_fd = -1;
    if (start(a, err) == 0)
        return &a->ha;
    ha_free(&a->ha);
    return NULL;
}

// --- down ---

// Procedures under way need the loop to end: it runs until they are done, or for a while.
static void stop_when_idle(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct agent *a = arg;
    int64_t late_ms = drv_now_ms() - a->stopping_ms;
    if (drv_work_running() == 0 ||
        late_ms >= (ha_moves_open(&a->ha) ? STOP_MOVES_MS : STOP_WAIT_MS))
        drv_loop_stop(a->ha.loop);
}

void ha_stop(struct ha *ha)
{
    struct agent *a = agent_of(ha);
    const struct timeval poll = {.tv_usec = STOP_POLL_MS * 1000L};
    if (a->stop_timer)
        return;
    ha_server_free(ha->server); // incoming moves are abandoned with their channels
    ha->server = NULL;
    ha_moves_stop(ha);
    ha_autostart_stop(ha);
    event_del(a->watch);
    a->stopping_ms = drv_now_ms();
    a->stop_timer = event_new(drv_loop_base(ha->loop), -1, EV_PERSIST, stop_when_idle, a);
    event_add(a->stop_timer, &poll);
}

void ha_free(struct ha *ha)
{
    struct agent *a = agent_of(ha);
    if (drv_work_running() > 0) // a procedure still uses all this: end now, as in a crash
        _exit(EXIT_SUCCESS);
    ha_server_free(ha->server);
    ha_moves_free(ha);
    ha_autostart_free(ha);
    ha_permits_free(ha->permits);
    for (struct ha_vm *vm = ha->vms; vm;) {
        struct ha_vm *next = vm->next;
        ha_qemu_free(vm->run.qemu); // closes its monitor; the guest runs on
        ha_owner_free(vm->run.owner);
        free(vm);
        vm = next;
    }
    if (a->stop_timer)
        event_free(a->stop_timer);
    if (a->watch)
        event_free(a->watch);
    drv_loop_free(ha->loop);
    free(a->calls);
    free(ha->probe);
    db_close(ha->db);
    if (a->lock_fd >= 0)
        close(a->lock_fd);
    drv_conf_free(ha->conf);
    free(a);
}

// --- reload ---

int ha_log_level(const struct drv_conf *conf)
{
    static const struct {
        const char *name;
        int priority;
    } levels[] = {{"err", LOG_ERR},
                  {"warning", LOG_WARNING},
                  {"notice", LOG_NOTICE},
                  {"info", LOG_INFO},
                  {"debug", LOG_DEBUG}};
    const char *level = drv_conf_str(conf, "log_level");
    for (size_t i = 0; i < DRV_ARRAY_LEN(levels); i++)
        if (!strcmp(levels[i].name, level))
            return levels[i].priority;
    return LOG_INFO;
}

void ha_reload(struct ha *ha, struct drv_conf *next)
{
    char ignored[512];
    drv_conf_reload(ha->conf, next, ignored, sizeof ignored);
    drv_log_level(ha_log_level(ha->conf));
    drv_log(LOG_NOTICE, "agent.reload", F_STR("needs_restart", ignored));
}
