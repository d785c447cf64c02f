// SPDX-License-Identifier: GPL-3.0-or-later
// A move as the agent sees it: the mover's job plus what its ports need on this host.
#ifndef HOSTAGENT_MOVE_H
#define HOSTAGENT_MOVE_H

#include <pthread.h>

#include "agent.h"
#include "calls.h"
#include "drover/client.h"
#include "drover/delegation.h"
#include "drover/mover.h"
#include "drover/permit.h"

enum { HA_KEY_BYTES = 32 };

struct ha_move {
    struct ha_move *next; // loop thread
    struct ha *ha;
    struct mv_job *job;
    struct mv_plan plan;
    bool source;
    char decision[1024]; // how it was authorised, for the journal
    // Loop thread: what attached clients see.
    json_t *progress; // last event
    unsigned progress_seq;
    json_t *result;   // set once, at the end
    atomic_bool over; // nothing more will happen here; kept for a while for those who ask late
    int64_t over_ms;
    // Procedure's own (source: the move's thread; destination: one peer call at a time).
    struct ha_vm *vm;             // locked while the move lasts
    struct ha_peer *user;         // source: whose ticket authorises it; dropped after reserve
    char permit[DRV_PERMIT_LEN];  // source: in place of that ticket; wiped after reserve
    struct drv_client *channel;   // source
    struct ha_peer *channel_peer; // destination: the host channel it was reserved on (loop thread)
    uint8_t memory_key[HA_KEY_BYTES], disk_key[HA_KEY_BYTES];
    bool have_keys;
    unsigned users;                // procedures that use it (loop thread)
    int64_t begun_ms;              // wall clock, for people
    atomic_bool journalled;        // has its row in the journal
    bool reserved;                 // counts in the host's slots (loop thread)
    bool added_vm;                 // destination: the VM was not known here before
    bool arrived;                  // destination: it runs here
    unsigned created;              // destination: bit per disk whose image this move made
    char json_sha256[65];          // of the definition that was written ahead, "" = none was
    bool migrating;                // source: migrate was sent
    unsigned mirrors;              // source: bit per disk with a mirror
    struct mv_endpoints disk_peer; // source: where the mirrors write to
    uint64_t event_seq;            // QMP events seen so far
    struct ha_owner *targets;      // storage move: drover-stores of the new images
    unsigned pivoted;              // storage move: bit per disk of which QEMU uses the new image
    pthread_mutex_t step;          // destination: peer calls and the end of the channel take turns
};

// --- move.c ---
// Not in the table yet: the caller completes it, then adds it.
struct ha_move *ha_move_new(struct ha *ha, const struct mv_plan *plan, bool source);
// channel: the call on a host channel that it belongs to, NULL = none. From here on the end of that
// channel ends the move. -1: the move is freed; DRV_EEXIST, or DRV_EUNREACHABLE: the channel has
// closed already.
int ha_move_add(struct ha_move *m, const struct ha_ctx *channel, struct drv_err *err);
void ha_move_free(struct ha_move *m);                        // one that is in no table
struct ha_move *ha_move_find(struct ha *ha, const char *id); // loop thread
// Any thread: find it and keep it in memory until ha_move_put(). NULL: not in memory.
struct ha_move *ha_move_get(struct ha *ha, const char *id);
void ha_move_put(struct ha_move *m);                      // NULL allowed
unsigned ha_moves_active(struct ha *ha, bool with_disks); // any thread
// The agent ends (loop thread): cancel what can be cancelled; the VMs stay where they are.
void ha_moves_stop(struct ha *ha);
bool ha_moves_open(const struct ha *ha);              // is one still under way?
void ha_moves_free(struct ha *ha);                    // no procedure runs any more
void ha_move_over(struct ha_move *m, json_t *result); // any thread; result stolen, NULL allowed
void ha_move_show(struct ha_move *m, json_t *event);  // any thread; stolen
// Source, worker thread: the whole move from opening the channel to the end.
void ha_move_main(void *move);
// Source: write the result down and give everything back; nothing happens to the VM any more.
void ha_move_end_source(struct ha_move *m, enum mv_result result, const struct drv_err *why);
// Destination, step lock held: the move is over here; the VM's lock is given back.
void ha_move_end_destination(struct ha_move *m, enum db_move_state state);
// Destination, step lock held, VM taken: the last phase without the source.
void ha_move_finish_alone(struct ha_move *m);
// Destination, loop thread: a host channel closed; its unfinished moves are abandoned.
void ha_moves_channel_closed(struct ha *ha, const struct ha_peer *peer);
// An error as the journal keeps it: JSON text, malloc'd.
char *ha_move_error_text(const struct drv_err *e, const char *phase);

// --- move_ports.c ---
extern const struct mv_ports ha_move_ports;

// --- move_recover.c: moves that the agent left open when it last ended ---
// At start, before the loop runs, VMs loaded: those that were arriving are in the table again, busy
// "attaching".
int ha_moves_load(struct ha *ha, struct drv_err *err);
// Worker, VM attached and locked: bring its open move to an end, on a thread of its own. False:
// there is none; else the lock is the move's.
bool ha_move_recover(struct ha_vm *vm);

// --- move_plan.c ---
struct ha_move_request {
    char vm[SS_NAME_MAX], to[MV_HOST_MAX], storage[SS_NAME_MAX]; // storage "" or "keep" = stay
    bool storage_move;             // "to" is this host, disks go to another store
    const json_t *disks, *network; // objects or NULL
    uint32_t max_blackout_ms;
    uint64_t bandwidth_bps;
    int64_t keep_source_s;
    bool keep_source_set;
    char permit[DRV_PERMIT_LEN]; // "" = the source acts for the user; the parser's caller wipes it
};
int ha_move_request_parse(const json_t *args, struct ha_move_request *ret, struct drv_err *err);
int ha_storage_request_parse(const json_t *args, struct ha_move_request *ret, struct drv_err *err);
// "hv2" becomes "hv2.example.lan" by this host's own domain.
void ha_complete_name(const char *fqdn, const char *to, char *ret, size_t size);
// Where a disk goes: pure. target: the store asked for, NULL = no word about it; target_url: its
// URL as this host knows it, "" = not known here.
int ha_place_disk(const struct ss_disk *from, const char *from_url, const char *vm,
                  const char *target, const char *target_url, struct mv_disk *ret,
                  struct drv_err *err);
// Build the plan for a locked VM. user: principal.
int ha_move_plan(struct ha_vm *vm, const struct ha_move_request *rq, const char *user,
                 struct mv_plan *ret, struct drv_err *err);

// --- move_channel.c ---
// Open the host channel to `to` and prove the user inside it: by the permit, if that is neither
// NULL nor "", else by delegation, which is then not even tried. Both NULL: this host alone. Errors
// carry K, D, A or R ids.
struct drv_client *ha_channel_open(struct ha *ha, const char *to, struct ha_peer *user,
                                   const char *permit, struct drv_err *err);

// --- move_facts.c ---
// Facts of this host about a plan. vm: the VM at the source, NULL at the destination. user: asked
// for at the source when not NULL (as the user at each SMB store).
int ha_facts(struct ha *ha, const struct mv_plan *plan, struct ha_vm *vm, struct ha_peer *user,
             struct mv_facts *ret, struct drv_err *err);

// Those of them that need no VM.
void ha_host_facts(struct ha *ha, struct mv_facts *ret);
// Another host's clock minus ours, from its facts that have just come as an answer that took so
// long.
int64_t ha_skew_ms(const struct mv_facts *theirs, int64_t took_ms);

// Does the migration address of another host answer?
int ha_move_reach(struct ha *ha, const char *addr, struct drv_err *err);

// --- move_qemu.c, move_store.c ---
extern const struct mv_qemu_ports ha_move_qemu_ports;
extern const struct mv_store_ports ha_move_store_ports;
// The definition that was written for the move's end, of a move that came to nothing.
int ha_move_remove_next(struct ha_move *m, struct drv_err *err);
// --- move_storage.c: what those do in a storage move ---
void ha_disk_node(const struct ha_qemu *q, const char *id, char *ret, size_t size);
void ha_storage_node(const struct ha_move *m, const struct mv_disk *d, char *ret, size_t size);
int ha_storage_open(struct ha_move *m, struct drv_err *err);
int ha_storage_close(struct ha_move *m, struct drv_err *err);
int ha_storage_mirror_start(struct ha_move *m, const struct mv_disk *d, uint64_t bandwidth_bps,
                            struct drv_err *err);
uint64_t ha_storage_written(struct ha_move *m, const struct mv_disk *d);
int ha_storage_freeze(struct ha_move *m, int timeout_ms, struct drv_err *err);
int ha_storage_pivot(struct ha_move *m, const struct mv_disk *d, int timeout_ms,
                     struct drv_err *err);
int ha_storage_is_pivoted(struct ha_move *m, const struct mv_disk *d, bool *ret,
                          struct drv_err *err);
int ha_storage_commit(struct ha_move *m, struct drv_err *err);
int ha_storage_adopt(struct ha_move *m, struct drv_err *err);
int ha_storage_take_back(struct ha_move *m, struct drv_err *err);
void ha_storage_arrived(struct ha_move *m);
int ha_storage_write_view(struct ha_move *m, struct drv_err *err);
int ha_storage_retire_home(struct ha_move *m, struct drv_err *err);
// Bit per moving disk of which the record names the new image.
unsigned ha_storage_named(const struct ha_move *m, const struct ss_record *rec);
// Derive the stream keys from the channel's context (both sides get the same).
int ha_move_keys(struct ha_move *m, struct drv_gss *channel, struct drv_err *err);
// The streams are over: no key outlives them, in QEMU or as a file. Idempotent.
void ha_move_drop_keys(struct ha_move *m);

#endif
