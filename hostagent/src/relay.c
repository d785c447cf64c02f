// SPDX-License-Identifier: GPL-3.0-or-later
// Relaying consoles: see relay.h.
#include "relay.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent.h"
#include "drover/log.h"
#include "drover/unix.h"
#include "move.h"
#include "server.h"

enum { READ_MAX = 16 << 10 };

struct viewer {
    struct ha_stream stream; // its first member
    struct viewer *next;
    struct ha_relay *relay;
    uint64_t lost_bytes; // that it was too slow for, and has not been told of
};

// One connection to QEMU.
struct ha_relay {
    struct ha_relay *next; // ha->relays
    struct ha *ha;
    char uuid[DRV_UUID_LEN];
    enum ha_relay_kind kind;
    struct bufferevent *qemu;
    struct viewer *viewers;
    bool full; // QEMU takes no more input: its viewers are held
};

// --- the table ---

static void relay_free(struct ha_relay *r)
{
    struct ha_relay **p = &r->ha->relays;
    while (*p != r)
        p = &(*p)->next;
    *p = r->next;
    bufferevent_free(r->qemu);
    free(r);
}

static unsigned count(const struct ha_vm *vm, enum ha_relay_kind kind)
{
    unsigned n = 0;
    for (const struct ha_relay *r = vm->ha->relays; r; r = r->next)
        if (r->kind == kind && !strcmp(r->uuid, vm->def.uuid))
            for (const struct viewer *v = r->viewers; v; v = v->next)
                n++;
    return n;
}

// --- from QEMU to the viewers ---

static void tell_lost(struct viewer *v)
{
    DRV_AUTO_JSON json_t *m = json_pack("{s:I}", "lost", (json_int_t)v->lost_bytes);
    v->lost_bytes = 0;
    ha_stream_tell(&v->stream, m);
}

static void send_serial(struct viewer *v, const void *bytes, size_t len)
{
    if (!v->stream.session)
        return; // its answer is still on the way
    if (ha_stream_pending(&v->stream) > HA_OUTPUT_EVENTS) {
        v->lost_bytes += len;
        return;
    }
    if (v->lost_bytes)
        tell_lost(v);
    ha_stream_send(&v->stream, bytes, len);
}

static void on_qemu_read(struct bufferevent *bev, void *arg)
{
    struct ha_relay *r = arg;
    uint8_t bytes[READ_MAX];
    for (size_t n; (n = bufferevent_read(bev, bytes, sizeof bytes)) > 0;) {
        if (r->kind == HA_RELAY_SERIAL)
            for (struct viewer *v = r->viewers; v; v = v->next)
                send_serial(v, bytes, n);
        else
            ha_stream_send(&r->viewers->stream, bytes, n);
    }
    if (r->kind == HA_RELAY_SCREEN && ha_stream_pending(&r->viewers->stream) > HA_OUTPUT_EVENTS)
        bufferevent_disable(bev, EV_READ); // until on_drained()
}

static void on_drained(struct ha_stream *st)
{
    struct viewer *v = (struct viewer *)st;
    if (v->lost_bytes)
        tell_lost(v);
    bufferevent_enable(v->relay->qemu, EV_READ);
}

// --- from the viewers to QEMU ---

static void on_bytes(struct ha_stream *st, const void *bytes, size_t len)
{
    struct ha_relay *r = ((struct viewer *)st)->relay;
    struct evbuffer *out = bufferevent_get_output(r->qemu);
    evbuffer_add(out, bytes, len);
    if (evbuffer_get_length(out) <= HA_RELAY_INPUT_MAX)
        return;
    r->full = true;
    for (struct viewer *v = r->viewers; v; v = v->next)
        if (v->stream.session)
            ha_stream_hold(&v->stream, true);
}

static void on_qemu_written(struct bufferevent *bev, void *arg)
{
    (void)bev;
    struct ha_relay *r = arg;
    if (!r->full)
        return;
    r->full = false;
    // What a viewer sends meanwhile may fill it again.
    for (struct viewer *v = r->viewers; v && !r->full; v = v->next)
        if (v->stream.session)
            ha_stream_hold(&v->stream, false);
}

// --- the ends ---

// Where the VM went, if its QEMU has ended here because it moved: a move that is under way still or
// has taken the VM from this host's table. "" = it did not.
static const char *moved_to(const struct ha_relay *r)
{
    const struct ha_move *last = NULL;
    bool here = ha_vm_find(r->ha, r->uuid);
    for (const struct ha_move *m = r->ha->moves; m; m = m->next)
        if (m->source && !mv_plan_is_storage(&m->plan) && !strcmp(m->plan.def.uuid, r->uuid) &&
            (!atomic_load(&m->over) || !here) && (!last || m->begun_ms > last->begun_ms))
            last = m;
    return last ? last->plan.to : "";
}

static void on_qemu_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev, (void)what;
    struct ha_relay *r = arg;
    const char *to = moved_to(r);
    DRV_AUTO_JSON json_t *m = *to ? json_pack("{s:s, s:s}", "end", "moved", "to", to)
                                  : json_pack("{s:s}", "end", "closed");
    drv_log(LOG_INFO, "console.ended", F_STR("uuid", r->uuid), F_STR("moved_to", to));
    for (struct viewer *v = r->viewers, *next; v; v = next) {
        next = v->next;
        if (!v->stream.session) { // told once its answer is sent
            v->relay = NULL;
            continue;
        }
        ha_stream_end(&v->stream, m);
        free(v);
    }
    relay_free(r);
}

static void on_closed(struct ha_stream *st)
{
    struct viewer *v = (struct viewer *)st;
    struct ha_relay *r = v->relay;
    if (r) {
        struct viewer **p = &r->viewers;
        while (*p != v)
            p = &(*p)->next;
        *p = v->next;
        if (!r->viewers)
            relay_free(r);
    }
    free(v);
}

static void on_opened(struct ha_stream *st)
{
    struct viewer *v = (struct viewer *)st;
    if (!v->relay) {
        DRV_AUTO_JSON json_t *m = json_pack("{s:s}", "end", "closed");
        ha_stream_end(st, m);
        free(v);
        return;
    }
    if (v->relay->full)
        ha_stream_hold(st, true);
    bufferevent_enable(v->relay->qemu, EV_READ | EV_WRITE);
}

static const struct ha_stream_ops ops = {
    .opened = on_opened, .bytes = on_bytes, .drained = on_drained, .closed = on_closed};

// --- opening ---

// The folder belongs to QEMU's user: what listens there must be this VM's QEMU, not whatever a
// QEMU that was taken over has put in its place.
static int check_listener(int fd, const struct ha_vm *vm, struct drv_err *err)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return drv_err_os(err, errno, "who listens on the console of %s", vm->def.name);
    if (peer.pid != vm->pid)
        return drv_err(err, DRV_EPEER, "process %d, not QEMU, listens on the console of %s",
                       (int)peer.pid, vm->def.name);
    return 0;
}

static int dial(const struct ha_vm *vm, enum ha_relay_kind kind, struct drv_err *err)
{
    char dir[256], path[HA_SOCK_MAX];
    ha_vm_dir(vm->ha, vm->def.uuid, dir, sizeof dir);
    if (ha_qemu_sock(dir, kind == HA_RELAY_SERIAL ? HA_SOCK_SERIAL : HA_SOCK_VNC, path, err) < 0)
        return -1;
    DRV_AUTO_CLOSE int fd = drv_unix_connect(path, SOCK_NONBLOCK, 0);
    if (fd < 0)
        return drv_err_os(err, errno, "the console of %s", vm->def.name);
    if (check_listener(fd, vm, err) < 0)
        return -1;
    int ret = fd;
    fd = -1;
    return ret;
}

static struct ha_relay *relay_new(struct ha_vm *vm, enum ha_relay_kind kind, struct drv_err *err)
{
    int fd = dial(vm, kind, err);
    if (fd < 0)
        return NULL;
    struct bufferevent *bev =
        bufferevent_socket_new(drv_loop_base(vm->ha->loop), fd, BEV_OPT_CLOSE_ON_FREE);
    if (!bev) {
        close(fd);
        drv_err(err, DRV_ENOSPACE, "no memory for a console");
        return NULL;
    }
    struct ha_relay *r = drv_xcalloc(1, sizeof *r);
    r->ha = vm->ha;
    r->kind = kind;
    r->qemu = bev;
    DRV_COPY(r->uuid, vm->def.uuid);
    bufferevent_setcb(bev, on_qemu_read, on_qemu_written, on_qemu_event, r);
    bufferevent_setwatermark(bev, EV_READ, 0, READ_MAX);
    r->next = vm->ha->relays;
    vm->ha->relays = r;
    return r;
}

static int check_state(const struct ha_vm *vm, enum ha_relay_kind kind, struct drv_err *err)
{
    const char *name = vm->def.name;
    if (!strcmp(vm->state, "incoming")) {
        drv_err(err, DRV_EBUSY, "%s is on its way to this host", name);
        return drv_err_hint(err, "ask the host that it comes from, or wait");
    }
    if (!vm->pid) {
        drv_err(err, DRV_ESTATE, "%s is not running", name);
        return drv_err_hint(err, "start it with `drover vm start %s`", name);
    }
    if (kind == HA_RELAY_SCREEN && strcmp(vm->def.graphics, "vnc") != 0) {
        drv_err(err, DRV_ESTATE, "%s has no screen", name);
        return drv_err_hint(err, "its serial line: `drover vm console %s`", name);
    }
    if (count(vm, kind) >= HA_RELAY_VIEWERS)
        return drv_err(err, DRV_EBUSY, "%d look at the console of %s already", HA_RELAY_VIEWERS,
                       name);
    return 0;
}

static struct ha_relay *shared_relay(const struct ha_vm *vm)
{
    struct ha_relay *r = vm->ha->relays;
    while (r && (r->kind != HA_RELAY_SERIAL || strcmp(r->uuid, vm->def.uuid) != 0))
        r = r->next;
    return r;
}

struct ha_stream *ha_relay_open(struct ha_vm *vm, enum ha_relay_kind kind, struct drv_err *err)
{
    if (check_state(vm, kind, err) < 0)
        return NULL;
    struct ha_relay *r = kind == HA_RELAY_SERIAL ? shared_relay(vm) : NULL;
    if (!r)
        r = relay_new(vm, kind, err);
    if (!r)
        return NULL;
    struct viewer *v = drv_xcalloc(1, sizeof *v);
    v->stream.ops = &ops;
    v->relay = r;
    v->next = r->viewers;
    r->viewers = v;
    return &v->stream;
}
