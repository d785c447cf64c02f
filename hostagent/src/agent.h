// SPDX-License-Identifier: GPL-3.0-or-later
// The agent as a whole: its settings, stores, VMs and moves, and who may touch what from where.
//
// Threads. The loop thread owns struct ha and everything that hangs from it. A procedure on a
// worker thread sees: `conf`, `db`, `probe`, names (set before the loop runs, never changed);
// copies that ha_settings_get() and friends make on the loop; and the one VM whose lock it holds
// (ha_vm_lock), of which it alone may use `run`. What others see of a VM is its public part,
// changed on the loop only.
#ifndef HOSTAGENT_AGENT_H
#define HOSTAGENT_AGENT_H

#include "calls.h"
#include "drover/authz.h"
#include "drover/conf.h"
#include "drover/db.h"
#include "drover/delegation.h"
#include "drover/loop.h"
#include "drover/store.h"
#include "owner.h"
#include "probe.h"
#include "qemu_proc.h"

struct ha_move;
struct ha_permits;
struct ha_relay;
struct ha_autostart;

// Settings of `drover host set`, as used (DESIGN.md section 5). Plain copy.
struct ha_settings {
    bool receive, send, encrypt;
    unsigned max_moves, max_storage_moves;
    unsigned data_port_first, data_port_last;
    uint32_t max_blackout_ms;
    uint64_t bandwidth_bps;
    int64_t keep_source_s; // -1: delete
    int64_t autostart_wait_ms, shutdown_wait_ms;
    char move_networks[512];   // "10.0.1.0/24, 10.0.2.0/24" in order of preference
    char arbiter[SS_NAME_MAX]; // name of an SMB store, "" = none
    enum az_auth auth;         // what moves to and from here are authorised by
    struct az_roles roles;
};

// The running side of a VM; belongs to the holder of the VM's lock.
struct ha_run {
    struct ha_qemu *qemu;
    struct ha_owner *owner; // its drover-stores and record
};

// What `why` says that time does not mend.
enum ha_trouble {
    HA_TROUBLE_NONE,
    HA_TROUBLE_FENCED, // another host has it
    HA_TROUBLE_LOOK    // a person has to look
};

struct ha_vm {
    struct ha_vm *next;
    struct ha *ha;
    // Public part: loop thread.
    struct ss_vmdef def;
    char home_store[SS_NAME_MAX], home[SS_PATH_MAX];
    uint64_t epoch;
    char state[24]; // "stopped", or QEMU's run state, or "incoming"
    char why[384];  // why it is paused or needs attention, "" = nothing to say
    enum ha_trouble trouble;
    char panic[96]; // its system has crashed since the last reset; stands in `why` if nothing else
    char busy[24];  // operation that holds the lock, "" = free
    char move[DRV_UUID_LEN];
    bool wanted_running;
    pid_t pid;
    int64_t stopped_us; // monotonic time of the last STOP event; 0 after RESUME
    bool ended;         // QEMU is gone and nobody has cleaned up yet
    // Lock holder's part.
    struct ha_run run;
    int64_t retry_ms;  // not before this will a lost drover-store be tried again by itself
    bool said_stalled; // `why` says that the guest waits for its file server
};

struct ha {
    // Fixed after start.
    struct drv_loop *loop;
    struct drv_conf *conf;
    struct db *db;
    struct ha_probe *probe;
    char fqdn[256], boot_id[DRV_UUID_LEN];
    char store_program[512], smb_helper[512];
    struct ha_launcher launcher;
    uid_t qemu_uid;
    gid_t qemu_gid;     // a group of its: what it may read or write is given to this one
    int64_t started_ms; // monotonic
    // Loop thread.
    struct ha_settings settings;
    struct ha_vm *vms;
    struct ha_move *moves;
    struct ha_server *server;
    struct ha_permits *permits;
    struct ha_relay *relays;         // relay.c
    struct ha_autostart *autostarts; // autostart.c
};

// --- settings.c ---
extern const struct drv_option ha_conf_options[];    // drover.conf
extern const struct drv_option ha_setting_options[]; // host settings, kept in the database
int ha_settings_load(struct ha *ha,
                     struct drv_err *err); // start-up, or on a worker: then copied by the loop
// Check all changes together with what is set, store all or none, and use them at once (worker).
int ha_settings_change(struct ha *ha, const struct db_setting *list, unsigned n,
                       struct drv_err *err);
json_t *ha_settings_to_json(struct ha *ha, struct drv_err *err); // worker; key: canonical text
void ha_settings_get(struct ha *ha, struct ha_settings *ret);    // any thread
// What az_decide() goes by; borrows ha's name and the roles of *s.
struct az_policy ha_policy(const struct ha *ha, const struct ha_settings *s);

// --- store_settings.c: what `store set` keeps (worker threads) ---
extern const struct drv_option ha_store_options[];
struct ha_store_settings {
    unsigned stall_deadline_s;
    bool encrypt;
};
int ha_store_settings(struct ha *ha, const char *store, struct ha_store_settings *ret,
                      struct drv_err *err);
json_t *ha_store_settings_json(struct ha *ha, const char *store, struct drv_err *err);
int ha_store_settings_change(struct ha *ha, const char *store, const json_t *set,
                             struct drv_err *err);
// The longest of a VM's stores, the arbiter and drover.conf: what its owner record promises.
unsigned ha_stall_deadline_s(struct ha *ha, const struct ss_vmdef *def);

// --- stores.c: stores by name (worker threads) ---
// Open a store as the host itself. user_ccache: as that user instead (SMB only), NULL = the host.
struct ss_store *ha_store_open(struct ha *ha, const char *name, const char *user_ccache,
                               struct drv_err *err);
// The same as this host, each call on the server for at most timeout_ms.
struct ss_store *ha_store_open_within(struct ha *ha, const char *name, int timeout_ms,
                                      struct drv_err *err);
// May the user, who has come to this host with a ticket, write there? path: this existing file,
// NULL = make files in the store's folder. -1: no, or not to be found out; K, D and S ids.
int ha_store_user_may(struct ha *ha, const char *name, const struct ha_peer *user, const char *path,
                      struct drv_err *err);
// The last one's error: she did not get as far as the file server (K, D, T ids), so nothing is
// known of her rights there.
bool ha_store_user_unheard(const struct drv_err *err);
// URL of a store; DRV_ENOTFOUND S01.
int ha_store_url(struct ha *ha, const char *name, char *ret, size_t size, struct drv_err *err);
// The setting `arbiter`, resolved to its URL. DRV_ENOTFOUND S05.
int ha_arbiter_url(struct ha *ha, char *ret, size_t size, struct drv_err *err);
struct ss_store *ha_arbiter_open(struct ha *ha, struct drv_err *err);
// "<url>/<path>": what drover-store is given.
int ha_store_file_url(const char *url, const char *path, char *ret, size_t size,
                      struct drv_err *err);
// A fresh TGT of the host in <run_dir>/host.ccache (renewed when little is left); path without
// FILE:.
int ha_host_ccache(struct ha *ha, char *ret, size_t size, struct drv_err *err);
// A new TGT in any case: groups that the host has joined count from its next ticket on.
int ha_host_ccache_renew(struct ha *ha, struct drv_err *err);

// A path for a ticket that is used once, and unlinked by who made it.
void ha_ccache_once(struct ha *ha, char *ret, size_t size);
// Unlink those that an agent left that was killed (at start, the machine's lock held).
void ha_ccache_forget(struct ha *ha);

// --- directory.c: Active Directory as this host (worker threads) ---
struct dg_ldap *ha_directory(struct ha *ha, struct drv_err *err);
void ha_directory_close(struct dg_ldap **l);
#define HA_AUTO_DIRECTORY DRV_CLEANUP(ha_directory_close)
// The members of the hosts' group, from the directory; caller frees *ret. DRV_ENOTFOUND: the
// setting roles names no such group.
int ha_hosts(struct ha *ha, struct dg_host **ret, unsigned *ret_n, struct drv_err *err);
// What a diagnosis of this user's delegation may look at; borrows host_ccache.
void ha_delegation_env(struct ha *ha, const struct ha_peer *user, const char *host_ccache,
                       struct dg_env *ret);

// --- vm.c: the table of VMs ---
struct ha_vm *ha_vm_find(struct ha *ha, const char *name_or_uuid); // loop thread
// Lock a VM for a procedure. NULL: DRV_ENOTFOUND, or DRV_EBUSY naming what holds it.
struct ha_vm *ha_vm_lock(struct ha *ha, const char *name_or_uuid, const char *op,
                         struct drv_err *err);
void ha_vm_unlock(struct ha_vm *vm);
// Add a VM (locked by op) or remove one (lock held; frees it).
struct ha_vm *ha_vm_add(struct ha *ha, const struct ss_vmdef *def, const char *home_store,
                        const char *home, const char *op, struct drv_err *err);
void ha_vm_remove(struct ha_vm *vm);
// Change the public part from a procedure. why NULL: keep.
void ha_vm_publish(struct ha_vm *vm, const char *state, uint64_t epoch, const char *why);
// Say why, and that time does not mend it.
void ha_vm_alarm(struct ha_vm *vm, enum ha_trouble trouble, const char *why);
// The same as publish, but what is said already stays.
void ha_vm_explain(struct ha_vm *vm, const char *state, const char *why);
// What is said now; any thread.
void ha_vm_why(struct ha_vm *vm, char *ret, size_t size);
void ha_vm_set_def(struct ha_vm *vm, const struct ss_vmdef *def, const char *home_store,
                   const char *home);
void ha_vm_dir(struct ha *ha, const char *uuid, char *ret, size_t size); // its run directory
void ha_vm_dir_remove(const char *dir);                                  // with all that is in it
const struct qmp_handlers *ha_vm_handlers(struct ha_vm *vm, struct qmp_handlers *ret);
json_t *ha_vm_to_json(const struct ha_vm *vm); // loop thread

#define HA_BUSY_ATTACH "attaching" // found at start, not looked at yet

// --- vm_watch.c ---
#define HA_BUSY_WATCH "being looked after" // a lock that ends within moments: others wait for it
// Begin to look after running VMs (loop thread). The caller frees the event at the end.
struct event *ha_watch_start(struct ha *ha);

// --- vm_start.c, vm_stop.c, vm_attach.c: procedures, VM locked ---
struct ha_start_opts {
    bool take_over, host_is_dead;
};
int ha_vm_start(struct ha_vm *vm, const struct ha_start_opts *opts, struct drv_err *err);
int ha_vm_stop(struct ha_vm *vm, bool force, int timeout_s, struct drv_err *err);
// The same, when it is not for a person's wish that the VM is off.
int ha_vm_shut(struct ha_vm *vm, bool force, int timeout_s, struct drv_err *err);
// QEMU is gone: record "stopped", stores ended, run directory removed.
int ha_vm_ended(struct ha_vm *vm, struct drv_err *err);
// QEMU's monitor is gone: connect again if the process lives, else ha_vm_ended.
void ha_vm_look(struct ha_vm *vm);
// Loop thread, VM not locked: lock it and run ha_vm_look on a worker.
void ha_vm_reap(struct ha_vm *vm);
// After a restart of the agent: first, at start-up, all VMs of the database, busy "attaching";
// then, on a worker, their definitions and processes.
int ha_vms_load(struct ha *ha, struct drv_err *err);
int ha_vms_attach(struct ha *ha, struct drv_err *err);
// The definition of a VM that does not run here, as its home has it.
int ha_vm_read_def(struct ha *ha, const char *home_store, const char *home, struct ss_vmdef *ret,
                   struct drv_err *err);
// The one gate (rule 7).
int ha_cont(struct ha *ha, struct ha_qemu *qemu, struct ha_owner *owner, struct drv_err *err);
// The same, and where it is closed, once more after the stores have been made sure of.
int ha_cont_again(struct ha *ha, struct ha_qemu *qemu, struct ha_owner *owner, struct drv_err *err);
// Start QEMU for def with the processes of owner serving its SMB disks.
struct ha_qemu *ha_run_qemu(struct ha *ha, const struct ss_vmdef *def, bool incoming,
                            const struct qmp_handlers *handlers, struct drv_err *err);

// --- home.c: the VM's home folder ---
// vm.<epoch>.json and the readable view vm.json. ha_home_write_change: another definition within an
// epoch, vm.<epoch>.<16 digits of its hash>.json, as the present one must stay until the record
// names the other, or as another host may write its own for the same epoch.
void ha_home_sha256(const struct ss_vmdef *def, char ret[65]);
int ha_home_write_epoch(struct ss_store *home_store, const char *home, const struct ss_vmdef *def,
                        uint64_t epoch, char ret_sha256[65], struct drv_err *err);
int ha_home_write_change(struct ss_store *home_store, const char *home, const struct ss_vmdef *def,
                         uint64_t epoch, char ret_sha256[65], struct drv_err *err);
// Path of the one (sha256 NULL) or the other within the home store; ret has SS_PATH_MAX bytes.
int ha_home_path(char *ret, const char *home, uint64_t epoch, const char *sha256,
                 struct drv_err *err);
int ha_home_remove_change(struct ss_store *home_store, const char *home, uint64_t epoch,
                          const char *sha256, struct drv_err *err);
// Remove the definitions of epochs up to last, but not the change of that hash ("" = all).
int ha_home_prune(struct ss_store *home_store, const char *home, uint64_t last,
                  const char *but_sha256, struct drv_err *err);
uint64_t ha_home_epoch_of(const char *file); // of such a file's name; 0 = it is none
int ha_home_write_view(struct ss_store *home_store, const char *home, const struct ss_vmdef *def,
                       uint64_t epoch, struct drv_err *err); // also removes those before epoch-1
// Read the definition that the record names and compare its hash.
int ha_home_read(struct ss_store *home_store, const char *home, uint64_t epoch, const char *sha256,
                 struct ss_vmdef *ret, struct drv_err *err);

#endif
