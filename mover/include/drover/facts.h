// SPDX-License-Identifier: GPL-3.0-or-later
// Facts that one host reports about itself with regard to a plan, and the rules that turn the facts
// of both hosts into findings. The rules are pure: they see facts only, ask nobody, change nothing.
#ifndef DROVER_FACTS_H
#define DROVER_FACTS_H

#include "drover/finding.h"
#include "drover/plan.h"

enum { MV_MAX_ADDRS = 8, MV_MAX_STORES = 8 };
enum { // differences of clocks: Kerberos's limit (RFC 4120 8.2), and when to say so
    MV_SKEW_WARN_MS = 60 * 1000,
    MV_SKEW_ERROR_MS = 300 * 1000,
};

struct mv_net_fact {
    char network[SS_NAME_MAX];
    bool present;
};

struct mv_store_fact {
    char name[SS_NAME_MAX];
    char url[MV_URL_MAX]; // "" = the host does not know this store
    bool is_smb;
    bool writable;   // by the host's own account
    bool user_may;   // by the user on whose behalf (SMB stores, source only)
    bool user_asked; // user_may is meaningful
    uint64_t free_bytes;
    char error[256]; // why not reachable or writable, "" = fine
    // The user did not get as far as the file server, which alone knows what she may: the finding
    // that tells why, and its remedy. "" = the server has answered.
    char user_id[DRV_ID_LEN], user_fix[384];
};

struct mv_disk_fact {
    char id[SS_NAME_MAX];
    bool accessible;
    bool has_backing, has_snapshots;
    bool target_exists; // destination: a file stands where the image shall go
    uint64_t virtual_bytes;
    uint64_t allocated_bytes;
    char error[256];
};

struct mv_facts {
    char host[MV_HOST_MAX];
    char version[32];      // drover
    char qemu_version[32]; // installed
    int64_t wall_ms;       // CLOCK_REALTIME when asked: for the skew finding alone
    bool send, receive;
    bool encrypt; // the host's setting: streams to and from it are encrypted
    unsigned slots_used, slots_max;
    uint64_t mem_free_kib;
    unsigned cpus;
    bool machine_ok, cpu_ok, accel_ok;
    char cpu_missing[256];      // features that the CPU model lacks here
    char firmware_missing[128]; // file that a UEFI VM needs and that is not here, "" = all there
    struct mv_net_fact nets[SS_MAX_NICS];
    unsigned n_nets;
    struct mv_store_fact stores[MV_MAX_STORES];
    unsigned n_stores;
    char arbiter_url[MV_URL_MAX]; // the host's setting, resolved; "" = none
    bool arbiter_ok;
    char arbiter_error[256];
    char addrs[MV_MAX_ADDRS][64];   // own addresses within move_networks, in their order
    char subnets[MV_MAX_ADDRS][64]; // the network each one lies in, "10.0.1.0/24"
    unsigned n_addrs;
    struct mv_disk_fact disks[SS_MAX_DISKS];
    unsigned n_disks;
    bool vm_known; // a VM of this uuid or name is defined here
    // Source only:
    char vm_state[24]; // QEMU run state, "" = no process
    char vm_qemu_version[32];
    bool record_ours; // the owner record says running, here, this instance, at the plan's epoch
    char record_error[256];
    char other_move[DRV_UUID_LEN]; // a move of this VM under way
    char host_device[64];          // a passed-through device, "" = none
    // Source only, not on the wire.
    unsigned displays; // that are open: somebody looks at the VM's screen
    bool by_permit;    // the user brought a permit: nobody acts as the user at the stores
    // The same, asked once both sides' addresses are known.
    char unreachable[256]; // why the destination's migration address does not answer, "" = it does
};

json_t *mv_facts_to_json(const struct mv_facts *f);
int mv_facts_from_json(const json_t *j, struct mv_facts *ret, struct drv_err *err);

// All findings of DESIGN.md section 4 that follow from the facts. skew_ms: destination's clock
// minus the source's (measured by the caller around the question). dst NULL: only the source's own.
void mv_judge(const struct mv_plan *plan, const struct mv_facts *src, const struct mv_facts *dst,
              int64_t skew_ms, struct drv_findings *ret);

// The same for two hosts without a VM in view: could any VM move from src to dst?
void mv_judge_hosts(const struct mv_facts *src, const struct mv_facts *dst, int64_t skew_ms,
                    struct drv_findings *ret);

// The first pair of addresses on a migration network that both hosts have, in the destination's
// order. -1: none (N02).
int mv_common_network(const struct mv_facts *src, const struct mv_facts *dst, char dst_addr[64]);

#endif
