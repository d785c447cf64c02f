// SPDX-License-Identifier: GPL-3.0-or-later
// How much went over the wire: the kernel's own count of a TCP connection's bytes. QEMU does not
// tell it for mirrors (a node has no write statistics) and leaves TLS and compression out for
// memory.
#ifndef HOSTAGENT_TCPSTAT_H
#define HOSTAGENT_TCPSTAT_H

#include "drover/err.h"
#include <stdint.h>

// Bytes sent and acknowledged on all TCP connections of our network namespace that are now open to
// addr:port (IPv4 or IPv6 in numbers). Retransmissions do not count: they go on for a while when
// nobody is there any more, and are no progress. A closed connection no longer counts: ask before
// it ends. Blocking (short); any thread. Source: sock_diag(7), struct tcp_info.
int ha_tcp_sent(const char *addr, unsigned port, uint64_t *ret_bytes, struct drv_err *err);

#endif
