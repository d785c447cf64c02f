// SPDX-License-Identifier: GPL-3.0-or-later
// What the wizard knows: the hosts as they answered, the move being planned, the one being watched.
// No terminal, no thread, no clock of its own: questions leave through struct tui_port, answers
// come in through tui_answer(), the time through tui_tick(). Loop thread only.
//
// Answers are kept as the JSON that came, bounded by a frame's size; what is missing or of another
// type reads as "" or 0 (docs/WIRE.md: clients ignore what they do not know).
#ifndef TUI_MODEL_H
#define TUI_MODEL_H

#include "drover/err.h"
#include "drover/finding.h"
#include "drover/util.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { TUI_HOSTS_MAX = 32, TUI_DISKS_MAX = 16, TUI_NICS_MAX = 8, TUI_SAMPLES = 120 };

struct tui;

int64_t tui_number(const json_t *obj, const char *key); // not negative
bool tui_listed(const json_t *names, const char *name); // in an array of strings
struct tui_name {                                       // by value
    char s[64];
};
struct tui_name tui_short(const char *fqdn); // "hv1" of "hv1.example.lan"

// ---- hosts ----

enum tui_reach { TUI_ASKING, TUI_UP, TUI_DOWN };
struct tui_host {
    char fqdn[256]; // HOST[:PORT] as it is dialled; "" = the local agent until it told its name
    bool local;     // over the local socket
    enum tui_reach reach;
    struct drv_err err;                                 // of the last failure, while TUI_DOWN
    json_t *show, *vms, *stores, *jobs, *doctor, *help; // last answers, NULL before the first
    struct drv_err stores_err, doctor_err;
    bool doctor_asked;
    int64_t due_ms; // of the next round of questions
    unsigned open;  // questions of this round without an answer
};
const char *tui_setting(const struct tui_host *h, const char *key);
const json_t *tui_vm_of(const struct tui_host *h, const char *name);
const json_t *tui_store_of(const struct tui_host *h, const char *name);
bool tui_move_active(const json_t *job); // a row of move.list that has not ended
// The host with this name, NULL = it is not known.
const struct tui_host *tui_host_named(const struct tui *t, const char *fqdn);
// May the asker do what takes the role ("operator", "admin") on this host? Unknown = yes.
bool tui_may(const struct tui_host *h, const char *role);
// Why a VM of vm.list cannot be moved at all, NULL = it can.
const char *tui_vm_refusal(const json_t *vm);
// Why this host cannot take the VM of the plan, as far as is known; NULL = nothing against it.
const char *tui_host_refusal(const struct tui *t, const struct tui_host *h, char *buf, size_t size);

// ---- questions ----

enum tui_want {
    TUI_WANT_HOSTS,
    TUI_WANT_SHOW,
    TUI_WANT_VMS,
    TUI_WANT_STORES,
    TUI_WANT_JOBS,
    TUI_WANT_VM,
    TUI_WANT_CHECK,
    TUI_WANT_START,
    TUI_WANT_CANCEL,
    TUI_WANT_CHOICE,
    TUI_WANT_SET,
    TUI_WANT_HELP,
    TUI_WANT_CPUS,
    TUI_WANT_DOCTOR,
    TUI_WANT_MAX_,
};
struct tui_ask {
    char host[256]; // "" = the local agent
    enum tui_want want;
    unsigned ticket; // a late answer to a question that nobody waits for any more only frees
    char call[64];
    json_t *args;
    bool permit; // add one of the destination to args
    int timeout_ms;
    json_t *reply; // NULL: err says why
    struct drv_err err;
};
struct tui_port {
    // Put the question; tui_answer(t, ask) follows once, from the loop.
    void (*ask)(void *arg, struct tui_ask *ask);
    // Follow a move (move.attach): tui_followed() for {event:"greeting",capabilities}, each event,
    // the result, or the loss of it.
    void (*follow)(void *arg, const char *host, const char *move);
    void (*unfollow)(void *arg);
    void *arg;
};
void tui_answer(struct tui *t, struct tui_ask *ask); // frees it
// message: an event, the result, or NULL when the way to the agent was lost.
void tui_followed(struct tui *t, const json_t *message, const struct drv_err *err);
void tui_tick(struct tui *t, int64_t now_ms);

// ---- the plan of a move (plan.c) ----

enum tui_what { TUI_WHAT_VM, TUI_WHAT_BOTH, TUI_WHAT_STORAGE, TUI_WHAT_MAX_ };
enum tui_page {
    TUI_PAGE_VM,
    TUI_PAGE_WHAT,
    TUI_PAGE_WHERE,
    TUI_PAGE_OPTIONS,
    TUI_PAGE_CHECK,
    TUI_PAGE_SUMMARY,
    TUI_PAGE_MAX_
};
struct tui_plan {
    enum tui_page page;
    char source[256], vm[64], to[256], store[64];
    enum tui_what what;
    bool what_chosen;   // by a person: no longer preselected
    json_t *definition; // of the VM, NULL before vm.show answered
    json_t *cpus;       // of all hosts, as the source knows them; NULL before it answered
    unsigned n_disks, n_nics;
    struct {
        char id[64], from[64], to[64]; // to "" = the store of the whole move
    } disks[TUI_DISKS_MAX];
    struct {
        char from[64], to[64];
    } nics[TUI_NICS_MAX];
    bool networks_wanted; // the check found one missing
    bool keep_source;
    int64_t keep_s;
    int64_t max_blackout_ms; // 0 = the host's setting
    unsigned ticket;         // of the check that counts
    bool checking, checked;
    bool by_permit; // delegation does not do: the destination is asked for a permit
    struct drv_findings findings;
    json_t *prediction;
    struct drv_err check_err;
    struct drv_err permit_err; // why there is none; what was found without one stands
    bool starting;
    struct drv_err start_err;
};
void tui_plan_begin(struct tui *t, const char *host, const char *vm);
void tui_plan_definition(struct tui *t, const json_t *vm); // vm.show answered
void tui_plan_what(struct tui *t, enum tui_what what);
void tui_plan_to(struct tui *t, const char *fqdn);
bool tui_plan_disks_move(const struct tui_plan *p);
const char *tui_plan_disk_store(const struct tui_plan *p, unsigned disk);
// Why the disks cannot go to this store of the destination, NULL = they can.
const char *tui_plan_store_refusal(const struct tui_plan *p, const json_t *store);
// Where disks can go: the stores of the destination, or of the source in a storage move.
const struct tui_host *tui_plan_target(const struct tui *t);
// What is missing on a page; NULL = nothing. *ret_id: the line to go to.
const char *tui_plan_missing(const struct tui *t, enum tui_page page, uint32_t *ret_id);
// The check found what blocks the move.
bool tui_plan_refused(const struct tui_plan *p);
json_t *tui_plan_args(const struct tui_plan *p); // of move.check and move.start, or of storage's
void tui_plan_command(const struct tui_plan *p, char *ret, size_t size); // `drover move …`
// A choice has changed: what was checked does not count any more.
void tui_plan_changed(struct tui_plan *p);
void tui_plan_check(struct tui *t); // ask for the findings
void tui_plan_start(struct tui *t);
void tui_plan_checked(struct tui *t, const struct tui_ask *ask);
void tui_plan_done(struct tui_plan *p);

// ---- the move being watched (progress.c) ----

enum tui_cancel { TUI_CANCEL_NO, TUI_CANCEL_REQUESTED, TUI_CANCEL_UNDER_WAY, TUI_CANCEL_FAILED };
struct tui_progress {
    char move[DRV_UUID_LEN], host[256]; // host: whom we follow
    char vm[64], from[256], to[256], kind[16], phase[32], waiting[256];
    unsigned phase_no, phases;
    bool can_cancel, lost, storage;
    enum tui_cancel cancel;
    struct drv_err err; // of a cancel that failed, or of the lost way
    int64_t elapsed_ms, max_blackout_ms, expected_ms;
    int64_t pass, remaining, total, transferred, rate_bps, dirty_bps;
    unsigned memory_permille; // highest seen
    unsigned n_disks;
    struct {
        char id[64];
        int64_t done, total, mark_done, mark_ms, rate_bps;
        unsigned permille; // highest seen: the bar never runs backwards
        bool in_sync;
    } disks[TUI_DISKS_MAX];
    int64_t rates[TUI_SAMPLES], dirty[TUI_SAMPLES]; // one a second, oldest first
    unsigned n_samples;
    int64_t sample_due_ms;
    json_t *capabilities; // of the agent that we follow, NULL = none told
    unsigned throttle;    // percent of its processors' time that is taken from the guest
    json_t *stuck;        // as the last event had it; NULL = the move gets on
    json_t *result;       // NULL while it goes on
};
void tui_progress_begin(struct tui *t, const char *host, const char *move);
void tui_progress_event(struct tui_progress *p, const json_t *event);
// "about 20 s to 40 s", or why nothing can be said.
void tui_progress_eta(const struct tui_progress *p, char *ret, size_t size);
// The next of the choices that the agent offers for a move that does not converge, and that its
// greeting lists; NULL = no more. *io_at: 0 before the first.
const json_t *tui_progress_choice(const struct tui_progress *p, size_t *io_at);
void tui_progress_done(struct tui_progress *p);
// What moves, and whereto, as a panel's title.
void tui_move_title(const struct tui_progress *p, char *ret, size_t size);

#endif
