// SPDX-License-Identifier: GPL-3.0-or-later
// Which CPU models the hosts of the domain can run, and the best one that all of them can: what a
// new VM gets, so that it can move to each. Blocking; worker threads, but for the pure ones.
#ifndef HOSTAGENT_CPU_HOSTS_H
#define HOSTAGENT_CPU_HOSTS_H

#include "agent.h"

enum { HA_CPU_HOSTS_MAX = 32 };

struct ha_cpu_host {
    char fqdn[256];
    json_t *models;  // {kvm:[MODEL], tcg:[MODEL]}; NULL = it did not answer
    char error[256]; // why not
};

struct ha_cpu_hosts {
    struct ha_cpu_host list[HA_CPU_HOSTS_MAX]; // this host is not among them
    unsigned n;
    char error[256]; // why there is no list: without a hosts' group or directory; "" = there is
};

// Ask the members of the hosts' group, all at once; at most about 20 s. What fails is in *ret.
void ha_cpu_hosts_ask(struct ha *ha, struct ha_cpu_hosts *ret);
void ha_cpu_hosts_done(struct ha_cpu_hosts *h);

// Pure. The best versioned model for accel ("kvm", "tcg") that this host and each one that answered
// can run; a host that has none at all for accel (no KVM) takes no such VM and does not count.
// NULL: there is none.
const char *ha_cpu_best(const struct ha_probe *here, const struct ha_cpu_hosts *others,
                        const char *accel);
// Pure. The best that one answer allows, NULL = none.
const char *ha_cpu_best_of(const json_t *models, const char *accel);
// Pure. Can that host run it? models: as in struct ha_cpu_host, from another host.
bool ha_cpu_listed(const json_t *models, const char *accel, const char *model);

#endif
