// SPDX-License-Identifier: GPL-3.0-or-later
// Path MTU by ping: see pmtu.h. ICMP echo: RFC 792, RFC 4443; raw sockets: raw(7), ip(7), ipv6(7).
#include "pmtu.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drover/util.h"
#include "subnet.h"

enum { TRIES = 3, WAIT_MS = 300, SMALL_BYTES = 56, MTU_MAX = 65535, ECHO_HEADER = 8 };

struct path {
    int fd;
    bool v6;
    uint16_t id, seq;
};

// Bytes of an IP header without options, and of the ICMP header: what is not payload of a ping.
static unsigned overhead(const struct path *p)
{
    return (p->v6 ? 40 : 20) + ECHO_HEADER;
}

// --- the interface ---

static unsigned mtu_of(const char *from, int family)
{
    unsigned char ip[16];
    struct ifaddrs *all = NULL;
    struct ifreq rq = {0};
    DRV_AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || inet_pton(family, from, ip) != 1 || getifaddrs(&all) < 0)
        return 0;
    for (struct ifaddrs *i = all; i; i = i->ifa_next)
        if (ha_sockaddr_is(i->ifa_addr, family, ip))
            DRV_COPY(rq.ifr_name, i->ifa_name);
    freeifaddrs(all);
    return rq.ifr_name[0] && ioctl(fd, SIOCGIFMTU, &rq) == 0 ? (unsigned)rq.ifr_mtu : 0;
}

// --- pings ---

static int bind_and_connect(struct path *p, const char *from, const char *to)
{
    struct sockaddr_in a4 = {.sin_family = AF_INET}, b4 = a4;
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6}, b6 = a6;
    if (p->v6)
        return inet_pton(AF_INET6, from, &a6.sin6_addr) == 1 &&
                       inet_pton(AF_INET6, to, &b6.sin6_addr) == 1 &&
                       bind(p->fd, (struct sockaddr *)&a6, sizeof a6) == 0 &&
                       connect(p->fd, (struct sockaddr *)&b6, sizeof b6) == 0
                   ? 0
                   : -1;
    return inet_pton(AF_INET, from, &a4.sin_addr) == 1 &&
                   inet_pton(AF_INET, to, &b4.sin_addr) == 1 &&
                   bind(p->fd, (struct sockaddr *)&a4, sizeof a4) == 0 &&
                   connect(p->fd, (struct sockaddr *)&b4, sizeof b4) == 0
               ? 0
               : -1;
}

// A socket that never lets anybody fragment its packets, nor believes what it heard of the path.
static int open_path(struct path *p, const char *from, const char *to)
{
    int probe4 = IP_PMTUDISC_PROBE, probe6 = IPV6_PMTUDISC_PROBE;
    p->fd = socket(p->v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC,
                   p->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
    if (p->fd < 0)
        return -1;
    p->id = (uint16_t)getpid();
    int rc = p->v6 ? setsockopt(p->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe6, sizeof probe6)
                   : setsockopt(p->fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe4, sizeof probe4);
    return rc == 0 ? bind_and_connect(p, from, to) : -1;
}

// RFC 1071. The kernel does it for ICMPv6.
static uint16_t checksum(const uint8_t *data, size_t len)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum += (uint32_t)data[i] << (i % 2 ? 0 : 8);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void send_ping(struct path *p, unsigned payload)
{
    uint8_t *packet DRV_AUTO_FREE = drv_xcalloc(1, ECHO_HEADER + payload);
    packet[0] = p->v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
    put16(packet + 4, p->id);
    put16(packet + 6, ++p->seq);
    if (!p->v6)
        put16(packet + 2, checksum(packet, ECHO_HEADER + payload));
    (void)send(p->fd, packet, ECHO_HEADER + payload, 0); // lost is lost: there are more tries
}

// Is this the answer to the last ping? An IPv4 raw socket delivers the IP header, too.
static bool is_answer(const struct path *p, const uint8_t *data, size_t len)
{
    size_t skip = p->v6 || len < 1 ? 0 : (size_t)(data[0] & 15) * 4;
    if (len < skip + ECHO_HEADER)
        return false;
    uint8_t wanted[4];
    put16(wanted, p->id);
    put16(wanted + 2, p->seq);
    return data[skip] == (p->v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY) &&
           !memcmp(data + skip + 4, wanted, sizeof wanted);
}

static bool wait_answer(struct path *p)
{
    uint8_t head[128]; // the rest of the packet is cut off
    int64_t end = drv_now_ms() + WAIT_MS;
    for (int64_t left = WAIT_MS; left > 0; left = end - drv_now_ms()) {
        struct pollfd pfd = {.fd = p->fd, .events = POLLIN};
        if (poll(&pfd, 1, (int)left) <= 0)
            continue;
        ssize_t n = recv(p->fd, head, sizeof head, MSG_DONTWAIT);
        if (n > 0 && is_answer(p, head, (size_t)n))
            return true;
    }
    return false;
}

static bool passes(struct path *p, unsigned payload)
{
    for (int i = 0; i < TRIES; i++) {
        send_ping(p, payload);
        if (wait_answer(p))
            return true;
    }
    return false;
}

enum ha_pmtu ha_pmtu_probe(const char *from, const char *to, unsigned *ret_mtu)
{
    struct path p = {.fd = -1, .v6 = strchr(to, ':') != NULL};
    enum ha_pmtu ret = HA_PMTU_UNKNOWN;
    *ret_mtu = mtu_of(from, p.v6 ? AF_INET6 : AF_INET);
    if (*ret_mtu > overhead(&p) + SMALL_BYTES && *ret_mtu <= MTU_MAX &&
        open_path(&p, from, to) == 0 && passes(&p, SMALL_BYTES))
        ret = passes(&p, *ret_mtu - overhead(&p)) ? HA_PMTU_PASSES : HA_PMTU_STUCK;
    if (p.fd >= 0)
        close(p.fd);
    return ret;
}
