// SPDX-License-Identifier: GPL-3.0-or-later
// IP networks as the setting move_networks writes them. Pure code; any thread.
#ifndef HOSTAGENT_SUBNET_H
#define HOSTAGENT_SUBNET_H

#include <stdbool.h>
#include <sys/socket.h>

#include "drover/err.h"

struct ha_subnet {
    char text[64]; // as it was written
    int family;    // AF_INET or AF_INET6
    unsigned char addr[16];
    unsigned bits; // of the prefix
};

// "10.0.1.0/24", "fd00:1::/64". -1 DRV_EINVAL.
int ha_subnet_parse(const char *text, struct ha_subnet *ret, struct drv_err *err);
// NULL, and addresses of other families, lie in no network.
bool ha_subnet_has(const struct ha_subnet *s, const struct sockaddr *sa);
// The address within sa, in network order (family AF_INET or AF_INET6).
const void *ha_sockaddr_ip(const struct sockaddr *sa);
// Is sa, which may be NULL, the address ip of family AF_INET or AF_INET6? Ports do not count.
bool ha_sockaddr_is(const struct sockaddr *sa, int family, const void *ip);

#endif
