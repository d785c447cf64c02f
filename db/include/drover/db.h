// SPDX-License-Identifier: GPL-3.0-or-later
// The host's database: settings, stores, VMs, the move journal, the audit log. One SQLite file.
//
// Every function here blocks (most wait for the disk): worker threads and start-up only, never the
// loop thread. One connection serves all threads; a function holds it from its first statement to
// its last, so each is atomic. What a function wrote is on disk (WAL, synchronous=FULL) when it
// returns 0.
//
// Common errors: DRV_ENOSPACE the disk is full; DRV_EIO the file is damaged (the hint says what to
// do); DRV_EBUSY another process keeps it locked; DRV_EDENIED it cannot be written. Errors carry
// origin "sqlite" and its number. Text goes in and out as UTF-8; JSON columns hold text that the
// caller made. Times are wall-clock milliseconds since 1970, for people: nothing is decided by
// them but when a kept image has had its time.
#ifndef DROVER_DB_H
#define DROVER_DB_H

#include "drover/err.h"
#include "drover/util.h"
#include <stdbool.h>
#include <stdint.h>

enum {
    DB_KEY_LEN = 64,   // names of settings, stores, VMs; with NUL
    DB_HOST_LEN = 256, // FQDNs and principals
    DB_PHASE_LEN = 32, // names of phases
};

struct db;

// Open the database at path, creating it (mode 0600) or migrating it to this version's schema.
// Errors name the file: not a database, somebody else's, damaged (quick_check), written by a newer
// drover (DRV_ESTATE; such a file is left exactly as it was).
struct db *db_open(const char *path, struct drv_err *err);
void db_close(struct db *db); // NULL allowed; no other call may be under way
#define DB_AUTO_CLOSE DRV_CLEANUP(db_cleanup_close)
void db_cleanup_close(struct db **db);

// ---- settings: keys and values of `drover host set`; their meaning and defaults are the caller's
// ----

struct db_setting {
    char key[DB_KEY_LEN];
    char *value; // in db_setting_set_all: NULL removes the key
};
struct db_settings {
    struct db_setting *list;
    unsigned n;
};
// *ret_value: the value (caller frees), NULL when the key is not set. 0 in both cases.
int db_setting_get(struct db *db, const char *key, char **ret_value, struct drv_err *err);
// Set one key; value NULL removes it.
int db_setting_set(struct db *db, const char *key, const char *value, struct drv_err *err);
// Set n keys, all or none.
int db_setting_set_all(struct db *db, const struct db_setting *list, unsigned n,
                       struct drv_err *err);
// All that are set, by key.
int db_setting_all(struct db *db, struct db_settings *ret, struct drv_err *err);
void db_settings_done(struct db_settings *s);

// ---- stores ----

struct db_store {
    char name[DB_KEY_LEN];
    char *url; // smb://server/share[/path] or local:/path
};
struct db_stores {
    struct db_store *list;
    unsigned n;
};
int db_store_add(struct db *db, const char *name, const char *url,
                 struct drv_err *err); // DRV_EEXIST
// DRV_ENOTFOUND; DRV_EBUSY while a VM of this host has its home there.
int db_store_remove(struct db *db, const char *name, struct drv_err *err);
// *ret_url: caller frees. DRV_ENOTFOUND.
int db_store_get(struct db *db, const char *name, char **ret_url, struct drv_err *err);
int db_store_list(struct db *db, struct db_stores *ret, struct drv_err *err); // by name
void db_stores_done(struct db_stores *s);
// A store's settings: text by key; their meaning is the caller's. set: DRV_ENOTFOUND without the
// store. get: *ret_value NULL when it is not set, else the caller frees.
int db_store_setting_set(struct db *db, const char *store, const char *key, const char *value,
                         struct drv_err *err);
int db_store_setting_get(struct db *db, const char *store, const char *key, char **ret_value,
                         struct drv_err *err);

// ---- VMs: a cache of what the stores hold (vm.json and the owner record are the truth) ----

struct db_vm {
    char uuid[DRV_UUID_LEN];
    char name[DB_KEY_LEN];
    char home_store[DB_KEY_LEN];
    char *home_path;          // folder within the store
    uint64_t last_epoch;      // out only: the highest seen, 0 = none
    bool wanted_running;      // started by a person and not stopped by one
    int64_t registered_at_ms; // out only
};
struct db_vms {
    struct db_vm *list;
    unsigned n;
};
// Insert the VM or replace what is known under its uuid. DRV_EEXIST: another VM has that name here;
// DRV_ENOTFOUND: no such store.
int db_vm_put(struct db *db, const struct db_vm *vm, struct drv_err *err);
// key: uuid or name. Caller ends *ret with db_vm_done(). DRV_ENOTFOUND.
int db_vm_get(struct db *db, const char *key, struct db_vm *ret, struct drv_err *err);
int db_vm_list(struct db *db, struct db_vms *ret, struct drv_err *err); // by name
// DRV_EEXIST: another VM has that name here; DRV_ENOTFOUND: no VM has this uuid.
int db_vm_rename(struct db *db, const char *uuid, const char *name, struct drv_err *err);
int db_vm_set_wanted(struct db *db, const char *uuid, bool running, struct drv_err *err);
// Forget the VM (moved away or deleted). Its highest epoch is kept for ever. Absent is no error.
int db_vm_remove(struct db *db, const char *uuid, struct drv_err *err);
void db_vm_done(struct db_vm *vm);
void db_vms_done(struct db_vms *v);

// The highest epoch seen of a VM, also of one that never ran here (DESIGN.md section 3, I3 and rule
// 1). Raise it: a lower or equal epoch changes nothing and is no error. epoch: 1..2^63-1.
int db_vm_epoch_raise(struct db *db, const char *uuid, uint64_t epoch, struct drv_err *err);
// Fails with DRV_EATTENTION when epoch is below the highest seen: the server lost a durable write,
// or an old record was restored, and nobody may act on it. 0 for equal, higher, or a VM never seen.
int db_vm_epoch_check(struct db *db, const char *uuid, uint64_t epoch, struct drv_err *err);
int db_vm_epoch_get(struct db *db, const char *uuid, uint64_t *ret_epoch, struct drv_err *err);

// ---- the move journal ----

enum db_role { DB_SOURCE, DB_DESTINATION, DB_ROLE_MAX_ };
enum db_move_state {
    DB_MOVE_ACTIVE,    // under way, or was when the agent died
    DB_MOVE_DONE,      //
    DB_MOVE_FAILED,    // undone, VM safe on the source
    DB_MOVE_CANCELLED, // the same, because a person asked
    DB_MOVE_REFUSED,   // destination's durable word: it has not taken and never will (rule 6)
    DB_MOVE_ATTENTION, // a person must look
    DB_MOVE_STATE_MAX_
};
const char *db_role_name(enum db_role r);             // "source"
const char *db_move_state_name(enum db_move_state s); // "active"

struct db_move {
    char id[DRV_UUID_LEN]; // the same on both hosts
    enum db_role role;     // of this host
    char vm_uuid[DRV_UUID_LEN];
    char vm_name[DB_KEY_LEN];
    char from_host[DB_HOST_LEN];
    char to_host[DB_HOST_LEN];
    char user[DB_HOST_LEN]; // who asked: Kerberos principal
    char *decision;         // how it was authorised: text, NULL if none
    char *plan;             // JSON
    uint64_t epoch_before;  // of the owner record when the move was planned
    enum db_move_state state;
    bool taking;              // out only: an epoch write may have been sent
    char phase[DB_PHASE_LEN]; // out only: the phase begun last, "" before the first
    int64_t created_at_ms;    // out only
    int64_t updated_at_ms;    // out only
    char *error;              // JSON or NULL
    char *result;             // JSON or NULL
};
struct db_moves {
    struct db_move *list;
    unsigned n;
};
// Add the row; state is normally DB_MOVE_ACTIVE. (A destination that is asked about a move it has
// no row of adds one as DB_MOVE_REFUSED: then that move can never begin here.) DRV_EEXIST: the id
// is there; DRV_EBUSY: the VM has another active move on this host.
int db_move_add(struct db *db, const struct db_move *m, struct drv_err *err);
// Caller ends *ret with db_move_done(). DRV_ENOTFOUND.
int db_move_get(struct db *db, const char *id, struct db_move *ret, struct drv_err *err);
// Newest first, at most limit; active_only: those in state active or attention.
int db_move_list(struct db *db, bool active_only, unsigned limit, struct db_moves *ret,
                 struct drv_err *err);
// How many rows there are of each role and state: since this host has a journal, as rows stay.
int db_move_counts(struct db *db, uint64_t ret[DB_ROLE_MAX_][DB_MOVE_STATE_MAX_],
                   struct drv_err *err);
// The move that was started last as a source and is done; end with db_move_done(). DRV_ENOTFOUND.
int db_move_last_done(struct db *db, struct db_move *ret, struct drv_err *err);
void db_move_done(struct db_move *m);
void db_moves_done(struct db_moves *m);

// Set state, and error and result where not NULL. From active to anything but refused; from
// attention to anything but refused; a final state only to itself. Else DRV_ESTATE.
int db_move_set_state(struct db *db, const char *id, enum db_move_state state, const char *error,
                      const char *result, struct drv_err *err);

// These two exclude each other, whatever threads call them and in whatever order (rules 5 and 6).
// Destination: the epoch write may be sent from now on. Succeeds again if it did before.
// DRV_ESTATE: the move is not active: it must not take.
int db_move_taking(struct db *db, const char *id, struct drv_err *err);
// Destination: journal the durable word that this move has not taken and never will: active (or
// attention) becomes refused. 0 also when it had already ended without taking. DRV_ESTATE:
// db_move_taking() came first, so only the owner record can tell.
int db_move_refuse(struct db *db, const char *id, const char *error, struct drv_err *err);

enum db_step { DB_START, DB_UNDO, DB_STEP_MAX_ };
enum db_step_state { DB_BEGUN, DB_DONE, DB_FAILED, DB_STEP_STATE_MAX_ };
const char *db_step_name(enum db_step s);             // "start"
const char *db_step_state_name(enum db_step_state s); // "begun"

// Journal that a phase is about to start, or to be undone. On disk before it returns: only then may
// the phase act. detail: JSON or NULL. A start needs an active move (DRV_ESTATE); an undo any.
int db_move_phase_begin(struct db *db, const char *move, const char *phase, enum db_step step,
                        const char *detail, struct drv_err *err);
// Journal its end (DB_DONE or DB_FAILED). DRV_ESTATE when that step is not begun.
int db_move_phase_end(struct db *db, const char *move, const char *phase, enum db_step step,
                      enum db_step_state end, const char *detail, struct drv_err *err);

// One line of the journal: nothing is ever overwritten.
struct db_phase {
    unsigned seq; // 1.. within the move
    char phase[DB_PHASE_LEN];
    enum db_step step;
    enum db_step_state state;
    int64_t at_ms;
    char *detail; // JSON or NULL
};
struct db_phases {
    struct db_phase *list;
    unsigned n;
};
int db_move_phases(struct db *db, const char *move, struct db_phases *ret, struct drv_err *err);
void db_phases_done(struct db_phases *p);

// ---- images kept at the source after a move, until their time is over ----

struct db_kept {
    char move[DRV_UUID_LEN]; // the move that left it
    char store[DB_KEY_LEN];
    char *path; // within the store, under its new name
    int64_t until_ms;
};
struct db_kepts {
    struct db_kept *list;
    unsigned n;
};
// Note an image; again: with the newer time. The store need not be known.
int db_kept_add(struct db *db, const struct db_kept *k, struct drv_err *err);
// Those whose time is over at now_ms, by store, the oldest first.
int db_kept_due(struct db *db, int64_t now_ms, struct db_kepts *ret, struct drv_err *err);
// It is deleted. Absent is no error.
int db_kept_remove(struct db *db, const char *store, const char *path, struct drv_err *err);
void db_kepts_done(struct db_kepts *k);

// ---- audit: who asked for what, and how it was decided ----

struct db_audit {
    int64_t at_ms;   // out only
    char *who;       // principal or "uid 0"
    char *via;       // "unix", "tcp", "host hv1.example.lan"
    char *on_behalf; // the user for whom a host acts; NULL if none
    char *action;    // name of the wire call or phase
    char *object;    // VM, store, setting
    bool allowed;
    char *reason; // the decision in words
    char *move;   // id or NULL
};
struct db_audits {
    struct db_audit *list;
    unsigned n;
};
int db_audit_add(struct db *db, const struct db_audit *a, struct drv_err *err);
// Newest first. refused: only those.
int db_audit_list(struct db *db, unsigned limit, bool refused, struct db_audits *ret,
                  struct drv_err *err);
void db_audits_done(struct db_audits *a);

#endif
