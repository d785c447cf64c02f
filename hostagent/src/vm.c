// SPDX-License-Identifier: GPL-3.0-or-later
// The table of this host's VMs, their locks and their public state. See agent.h for who may touch
// what.
#include "agent.h"
#include "drover/log.h"

#include <stdlib.h>
#include <string.h>

#include "vm_event.h"
#include "vm_log.h"
#include "vm_panic.h"

enum { LOCK_WAIT_MS = 3000 };

struct ha_vm *ha_vm_find(struct ha *ha, const char *name_or_uuid)
{
    for (struct ha_vm *vm = ha->vms; vm; vm = vm->next)
        if (!strcmp(vm->def.name, name_or_uuid) || !strcmp(vm->def.uuid, name_or_uuid))
            return vm;
    return NULL;
}

// --- locks ---

struct lock_call {
    struct ha *ha;
    const char *key, *op;
    struct drv_err *err;
    struct ha_vm *ret;
    bool wait; // worth waiting for
};

static void lock_on_loop(void *arg)
{
    struct lock_call *c = arg;
    struct ha_vm *vm = ha_vm_find(c->ha, c->key);
    if (!vm) {
        c->wait = false;
        drv_err(c->err, DRV_ENOTFOUND, "there is no VM \"%.64s\" on %s", c->key, c->ha->fqdn);
        drv_err_hint(c->err, "`drover vm list` shows this host's VMs");
    } else if (c->wait && !strcmp(vm->busy, HA_BUSY_WATCH)) {
        return;
    } else if (vm->busy[0]) {
        c->wait = false;
        drv_err(c->err, DRV_EBUSY, "VM %s is busy: %s", vm->def.name, vm->busy);
        if (vm->move[0]) {
            drv_err_id(c->err, "G04");
            drv_err_hint(c->err, "follow it with `drover attach %s`", vm->move);
        }
    } else {
        DRV_COPY(vm->busy, c->op);
        c->ret = vm;
    }
}

struct ha_vm *ha_vm_lock(struct ha *ha, const char *name_or_uuid, const char *op,
                         struct drv_err *err)
{
    struct lock_call c = {.ha = ha, .key = name_or_uuid, .op = op, .err = err};
    int64_t deadline = drv_now_ms() + LOCK_WAIT_MS;
    do {
        c.wait = drv_now_ms() < deadline;
        drv_loop_call(ha->loop, lock_on_loop, &c);
        if (c.wait && !c.ret)
            drv_sleep_ms(10);
    } while (c.wait && !c.ret);
    return c.ret;
}

static void unlock_on_loop(void *arg)
{
    struct ha_vm *vm = arg;
    vm->busy[0] = '\0';
    vm->move[0] = '\0';
    if (vm->ended) // QEMU went away while the lock was held
        ha_vm_reap(vm);
}

void ha_vm_unlock(struct ha_vm *vm)
{
    if (vm)
        drv_loop_call(vm->ha->loop, unlock_on_loop, vm);
}

// --- adding and removing ---

struct add_call {
    struct ha_vm *vm;
    struct drv_err *err;
    int rc;
};

static void add_on_loop(void *arg)
{
    struct add_call *c = arg;
    struct ha *ha = c->vm->ha;
    if (ha_vm_find(ha, c->vm->def.name) || ha_vm_find(ha, c->vm->def.uuid)) {
        c->rc =
            drv_err(c->err, DRV_EEXIST, "%s already has a VM \"%s\"", ha->fqdn, c->vm->def.name);
        return;
    }
    c->vm->next = ha->vms;
    ha->vms = c->vm;
}

struct ha_vm *ha_vm_add(struct ha *ha, const struct ss_vmdef *def, const char *home_store,
                        const char *home, const char *op, struct drv_err *err)
{
    struct ha_vm *vm = drv_xcalloc(1, sizeof *vm);
    vm->ha = ha;
    vm->def = *def;
    DRV_COPY(vm->home_store, home_store);
    DRV_COPY(vm->home, home);
    DRV_COPY(vm->busy, op);
    DRV_COPY(vm->state, "stopped");
    struct add_call c = {.vm = vm, .err = err};
    drv_loop_call(ha->loop, add_on_loop, &c);
    if (c.rc == 0)
        return vm;
    free(vm);
    return NULL;
}

static void remove_on_loop(void *arg)
{
    struct ha_vm *vm = arg;
    struct ha_vm **p = &vm->ha->vms;
    while (*p != vm)
        p = &(*p)->next;
    *p = vm->next;
}

static void free_on_loop(void *arg)
{
    free(arg);
}

void ha_vm_remove(struct ha_vm *vm)
{
    struct ha *ha = vm->ha;
    drv_loop_call(ha->loop, remove_on_loop, vm);
    // First the QMP reader thread ends, so that no further event can name this VM; then, behind the
    // events that it has posted already, the memory goes.
    ha_qemu_free(vm->run.qemu);
    ha_owner_free(vm->run.owner);
    drv_loop_post(ha->loop, free_on_loop, vm);
}

// --- the public part ---

struct publish_call {
    struct ha_vm *vm;
    const char *state, *why;
    enum ha_trouble trouble; // that why is about
    uint64_t epoch;
    const struct ss_vmdef *def;
    const char *home_store, *home;
    bool only_if_silent; // not in place of another why
    bool news;           // why is another one
};

static void set_why(struct ha_vm *vm, const char *why, enum ha_trouble trouble)
{
    DRV_COPY(vm->why, why);
    vm->trouble = trouble;
}

static void publish_on_loop(void *arg)
{
    enum { SAME_BYTES = 24 }; // a reason that differs in a number behind these is the same
    struct publish_call *c = arg;
    if (c->only_if_silent && c->vm->why[0])
        return;
    if (c->state && !strcmp(c->state, "stopped"))
        c->vm->panic[0] = '\0';
    if (c->why && !c->why[0])
        c->why = c->vm->panic;
    c->news = c->why && c->why[0] && strncmp(c->why, c->vm->why, SAME_BYTES) != 0;
    if (c->state)
        DRV_COPY(c->vm->state, c->state);
    if (c->epoch)
        c->vm->epoch = c->epoch;
    if (c->why)
        set_why(c->vm, c->why, c->trouble);
    c->vm->pid = c->vm->run.qemu ? c->vm->run.qemu->pid : 0;
    if (c->def) {
        c->vm->def = *c->def;
        // The caller may pass what is there already.
        if (c->home_store != c->vm->home_store)
            DRV_COPY(c->vm->home_store, c->home_store);
        if (c->home != c->vm->home)
            DRV_COPY(c->vm->home, c->home);
    }
}

static void publish(struct publish_call c)
{
    drv_loop_call(c.vm->ha->loop, publish_on_loop, &c);
    if (c.news)
        ha_vmlog(c.vm->ha, c.vm->def.uuid, "%s", c.why);
}

void ha_vm_publish(struct ha_vm *vm, const char *state, uint64_t epoch, const char *why)
{
    publish((struct publish_call){.vm = vm, .state = state, .epoch = epoch, .why = why});
}

void ha_vm_alarm(struct ha_vm *vm, enum ha_trouble trouble, const char *why)
{
    publish((struct publish_call){.vm = vm, .trouble = trouble, .why = why});
}

void ha_vm_explain(struct ha_vm *vm, const char *state, const char *why)
{
    publish((struct publish_call){.vm = vm, .state = state, .why = why, .only_if_silent = true});
}

struct why_call {
    const struct ha_vm *vm;
    char *ret;
    size_t size;
};

static void why_on_loop(void *arg)
{
    struct why_call *c = arg;
    drv_copy(c->ret, c->size, c->vm->why);
}

void ha_vm_why(struct ha_vm *vm, char *ret, size_t size)
{
    drv_loop_call(vm->ha->loop, why_on_loop, &(struct why_call){vm, ret, size});
}

void ha_vm_set_def(struct ha_vm *vm, const struct ss_vmdef *def, const char *home_store,
                   const char *home)
{
    struct publish_call c = {.vm = vm, .def = def, .home_store = home_store, .home = home};
    drv_loop_call(vm->ha->loop, publish_on_loop, &c);
}

void ha_vm_dir(struct ha *ha, const char *uuid, char *ret, size_t size)
{
    snprintf(ret, size, "%s/vm/%s", drv_conf_str(ha->conf, "run_dir"), uuid);
}

json_t *ha_vm_to_json(const struct ha_vm *vm)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:i, s:s, s:s, s:I, s:s, s:s, s:I}", "name",
                     vm->def.name, "uuid", vm->def.uuid, "state", vm->state, "why", vm->why, "busy",
                     vm->busy, "memory_kib", (json_int_t)vm->def.memory_kib, "vcpus",
                     (int)vm->def.vcpus, "home_store", vm->home_store, "home", vm->home, "epoch",
                     (json_int_t)vm->epoch, "move", vm->move, "host", vm->ha->fqdn, "pid",
                     (json_int_t)vm->pid);
}

// --- events of its QEMU ---

struct event_post {
    struct ha_vm *vm;
    char name[32], detail[64];
    int panic; // as ha_event_panic()
    char panic_text[96];
    int64_t at_us;
    int64_t qemu_us; // QEMU's own time stamp, µs since 1970
};

// The guest stopped because a request failed: drover-store has lost its server, or a disk is full.
static void on_io_error(struct ha_vm *vm, const char *device)
{
    char why[384];
    snprintf(why, sizeof why,
             "paused: disk %s failed; `drover vm start %s` goes on when its store is back", device,
             vm->def.name);
    set_why(vm, why, HA_TROUBLE_NONE);
}

static void event_on_loop(void *arg)
{
    struct event_post *p = arg;
    struct ha_vm *vm = p->vm;
    if (!strcmp(p->name, "STOP") || !strcmp(p->name, "RESUME")) // when did which copy run?
        drv_log(LOG_INFO, "vm.cpus", F_STR("vm", vm->def.name), F_STR("event", p->name),
                F_INT("qemu_us", p->qemu_us));
    if (p->panic >= 0 && !strcmp(vm->why, vm->panic)) // nothing else is the matter
        set_why(vm, p->panic_text, HA_TROUBLE_NONE);
    if (p->panic >= 0)
        DRV_COPY(vm->panic, p->panic_text);
    if (!strcmp(p->name, "STOP")) {
        vm->stopped_us = p->at_us;
        DRV_COPY(vm->state, "paused");
    } else if (!strcmp(p->name, "RESUME")) {
        vm->stopped_us = 0;
        DRV_COPY(vm->state, "running");
        set_why(vm, vm->panic, HA_TROUBLE_NONE);
    } else if (!strcmp(p->name, "BLOCK_IO_ERROR")) {
        on_io_error(vm, p->detail);
    } else if (!strcmp(p->name, "SHUTDOWN")) {
        DRV_COPY(vm->state, "shutdown");
    } else if (!strcmp(p->name, "gone")) {
        vm->ended = true;
        if (!vm->busy[0])
            ha_vm_reap(vm);
    }
    free(p);
}

static struct event_post *new_event(struct ha_vm *vm, const char *name)
{
    struct event_post *p = drv_xcalloc(1, sizeof *p);
    p->vm = vm;
    p->at_us = drv_now_us();
    p->panic = -1;
    DRV_COPY(p->name, name);
    return p;
}

// The reader thread: what is written here goes into the kernel's cache and does not block.
static void on_event(const json_t *ev, void *arg)
{
    struct ha_vm *vm = arg;
    const char *name = json_string_value(json_object_get(ev, "event"));
    const char *device =
        json_string_value(json_object_get(json_object_get(ev, "data"), "node-name"));
    json_int_t s = 0, us = 0;
    char text[400];
    if (!name)
        return;
    struct event_post *p = new_event(vm, name);
    json_unpack((json_t *)ev, "{s:{s:I, s:I}}", "timestamp", "seconds", &s, "microseconds", &us);
    p->qemu_us = s * 1000000 + us;
    DRV_COPY(p->detail, device ? device : "");
    p->panic = ha_event_panic(ev, p->panic_text, sizeof p->panic_text);
    if (p->panic >= 0)
        ha_panic_keep(vm, p->panic_text);
    drv_loop_post(vm->ha->loop, event_on_loop, p);
    if (ha_event_text(ev, text, sizeof text))
        ha_vmlog(vm->ha, vm->def.uuid, "%s", text);
}

static void on_gone(const struct drv_err *why, void *arg)
{
    struct event_post *p = new_event(arg, "gone");
    DRV_COPY(p->detail, why->msg);
    drv_loop_post(p->vm->ha->loop, event_on_loop, p);
}

const struct qmp_handlers *ha_vm_handlers(struct ha_vm *vm, struct qmp_handlers *ret)
{
    *ret = (struct qmp_handlers){.on_event = on_event, .on_gone = on_gone, .arg = vm};
    return ret;
}
