// SPDX-License-Identifier: GPL-3.0-or-later
// What a move is to do: made and checked at the source, sent to the destination, kept in both
// journals. Never changed after `reserve`. Plain data; any thread.
#ifndef DROVER_PLAN_H
#define DROVER_PLAN_H

#include "drover/record.h"
#include "drover/vmdef.h"

enum { MV_HOST_MAX = 256, MV_URL_MAX = 600 };

struct mv_disk {
    char id[SS_NAME_MAX];
    bool moves;              // false: stays where it is, on a store that both hosts reach
    struct ss_disk from, to; // `to` equals `from` when it stays
    char to_url[MV_URL_MAX]; // URL of the store `to` lies on, as the source knows it
    uint64_t virtual_bytes;
    char image_id[DRV_UUID_LEN]; // of the image at the destination
};

struct mv_plan {
    char move[DRV_UUID_LEN];
    char user[256]; // on whose behalf, "alice@EXAMPLE.LAN"
    char from[MV_HOST_MAX], to[MV_HOST_MAX];
    struct ss_vmdef def; // the VM as it will be at the destination
    struct mv_disk disks[SS_MAX_DISKS];
    unsigned n_disks;
    char from_home_store[SS_NAME_MAX], from_home[SS_PATH_MAX];
    char to_home_store[SS_NAME_MAX], to_home[SS_PATH_MAX];
    char arbiter_url[MV_URL_MAX]; // the store that keeps the owner record
    uint64_t epoch;               // the source's epoch at reserve
    uint32_t max_blackout_ms;     // I7
    uint64_t bandwidth_bps;       // bytes a second for memory and disks together; 0 = no cap
    int64_t keep_source_s;        // <= 0: delete source images at finish; else keep them so long
    bool encrypt;
};

// A storage move: the VM stays on its host, some of its disks go to another store.
bool mv_plan_is_storage(const struct mv_plan *p);
bool mv_plan_moves_disks(const struct mv_plan *p);
bool mv_plan_moves_home(const struct mv_plan *p);

json_t *mv_plan_to_json(const struct mv_plan *p); // new reference
// Strict: unknown keys, wrong types and paths that leave their store are refused by name.
int mv_plan_from_json(const json_t *j, struct mv_plan *ret, struct drv_err *err);

#endif
