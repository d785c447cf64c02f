// SPDX-License-Identifier: GPL-3.0-or-later
// A plan and the facts of two hosts with which nothing is wrong: tests change what they are about.
#ifndef TEST_MOVER_SCENE_H
#define TEST_MOVER_SCENE_H

#include "drover/facts.h"

// disks: both disks go from the SMB store "vms" to hv2's local store "fast"; else they stay.
void scene_plan(struct mv_plan *ret, bool disks);
void scene_facts(const struct mv_plan *plan, bool source, struct mv_facts *ret);

#endif
