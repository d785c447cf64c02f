// SPDX-License-Identifier: GPL-3.0-or-later
// From what a person calls a host to a connection to its agent: names, ports, and which identity is
// shown where. Blocking (DNS, KDC, the host itself); any thread.
#ifndef DROVER_CONNECT_H
#define DROVER_CONNECT_H

#include "drover/client.h"
#include <stdbool.h>
#include <stddef.h>

#define DRV_SOCKET                                                                                 \
    "/run/drover/drover.sock" // of the local agent, unless DROVER_SOCKET names another

// "hv1" → "hv1.example.lan" (the Kerberos realm's domain); full names stay. -1 DRV_EINVAL: an IP
// address, or no domain is known.
int drv_host_fqdn(const char *name, char *ret, size_t size, struct drv_err *err);
// Split HOST[:PORT]; *ret_port = DRV_WIRE_PORT if none. -1 DRV_EINVAL.
int drv_host_port(const char *text, char *ret_host, size_t size, unsigned *ret_port,
                  struct drv_err *err);

// What is shown on the local socket, where the kernel tells who root is. Over TCP it is always a
// ticket.
enum drv_ticket {
    DRV_TICKET_NO,    // nothing: root is who it is
    DRV_TICKET_MAYBE, // a ticket, if there is a good one
    DRV_TICKET_MUST,
};

// Connect to the agent of HOST[:PORT], or to the local one (host NULL), and log on.
// *ret_no_ticket: the local agent knows us by our uid alone, for want of a ticket.
// NULL: a K finding for want of a ticket, else what drv_client_tcp() and drv_client_unix() say.
struct drv_client *drv_connect(const char *host, enum drv_ticket wanted, bool *ret_no_ticket,
                               struct drv_err *err);

#endif
