// SPDX-License-Identifier: GPL-3.0-or-later
// Do packets as large as this host's interface sends them arrive? A switch or a host on the way
// with a smaller MTU drops them without a word, and a stream that began well stops for good.
#ifndef HOSTAGENT_PMTU_H
#define HOSTAGENT_PMTU_H

#include "drover/err.h"

enum ha_pmtu { HA_PMTU_PASSES, HA_PMTU_STUCK, HA_PMTU_UNKNOWN };

// Ping `to` from `from` (both in numbers, of one family; from is an address of this host) with a
// small packet and with one of the interface's full size that may not be fragmented. UNKNOWN: not
// even the small one is answered (a firewall may be in the way), or it could not be tried.
// *ret_mtu: of the interface. Needs CAP_NET_RAW. Blocks for up to 2 s; any thread.
enum ha_pmtu ha_pmtu_probe(const char *from, const char *to, unsigned *ret_mtu);

#endif
