// SPDX-License-Identifier: GPL-3.0-or-later
// TCP byte counts over NETLINK_SOCK_DIAG: see tcpstat.h.
#include "tcpstat.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "drover/util.h"

enum {
    ESTABLISHED = 1,
    TIMEOUT_S = 2
}; // TCP state; the header that names it clashes with linux/tcp.h

// Addresses are compared as IPv6 ones: QEMU's sockets speak IPv4 through IPv6 sockets as well.
static int to_v6(const char *text, struct in6_addr *ret)
{
    char mapped[64];
    snprintf(mapped, sizeof mapped, "::ffff:%s", text);
    return inet_pton(AF_INET6, strchr(text, ':') ? text : mapped, ret) == 1 ? 0 : -1;
}

static void socket_peer(const struct inet_diag_msg *m, struct in6_addr *ret)
{
    memcpy(ret, m->id.idiag_dst, sizeof *ret);
    if (m->idiag_family == AF_INET) {
        memset(ret, 0, sizeof *ret);
        ret->s6_addr[10] = ret->s6_addr[11] = 0xff;
        memcpy(&ret->s6_addr[12], m->id.idiag_dst, 4);
    }
}

static uint64_t bytes_acked(struct nlmsghdr *h)
{
    struct inet_diag_msg *m = NLMSG_DATA(h);
    int left = (int)h->nlmsg_len - (int)NLMSG_LENGTH(sizeof *m);
    for (struct rtattr *a = (struct rtattr *)(m + 1); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        struct tcp_info info = {.tcpi_state = 0};
        if (a->rta_type != INET_DIAG_INFO)
            continue;
        size_t size = RTA_PAYLOAD(a);
        memcpy(&info, RTA_DATA(a), size < sizeof info ? size : sizeof info);
        return info.tcpi_bytes_acked;
    }
    return 0;
}

static int ask(int fd, int family, unsigned port, struct drv_err *err)
{
    struct {
        struct nlmsghdr h;
        struct inet_diag_req_v2 r;
    } req = {
        .h = {.nlmsg_len = sizeof req,
              .nlmsg_type = SOCK_DIAG_BY_FAMILY,
              .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .r = {.sdiag_family = (uint8_t)family,
              .sdiag_protocol = IPPROTO_TCP,
              .idiag_ext = 1 << (INET_DIAG_INFO - 1),
              .idiag_states = 1U << ESTABLISHED,
              .id = {.idiag_dport = htons((uint16_t)port)}},
    };
    if (send(fd, &req, sizeof req, 0) < 0)
        return drv_err_os(err, errno, "cannot ask for TCP statistics");
    return 0;
}

// Add up one dump. The kernel filtered by port already.
static int add_up(int fd, const struct in6_addr *peer, uint64_t *sum, struct drv_err *err)
{
    _Alignas(struct nlmsghdr) char buf[16384];
    for (;;) {
        ssize_t n = recv(fd, buf, sizeof buf, 0);
        if (n < 0)
            return drv_err_os(err, errno, "cannot read TCP statistics");
        unsigned left = (unsigned)n;
        for (struct nlmsghdr *h = (struct nlmsghdr *)buf; NLMSG_OK(h, left);
             h = NLMSG_NEXT(h, left)) {
            if (h->nlmsg_type == NLMSG_DONE)
                return 0;
            if (h->nlmsg_type == NLMSG_ERROR)
                return drv_err(err, DRV_EIO, "the kernel gives no TCP statistics");
            struct in6_addr dst;
            socket_peer(NLMSG_DATA(h), &dst);
            if (!memcmp(&dst, peer, sizeof dst))
                *sum += bytes_acked(h);
        }
    }
}

int ha_tcp_sent(const char *addr, unsigned port, uint64_t *ret_bytes, struct drv_err *err)
{
    static const int families[] = {AF_INET, AF_INET6};
    struct in6_addr peer;
    if (to_v6(addr, &peer) < 0)
        return drv_err(err, DRV_EINVAL, "%s is no IP address", addr);
    DRV_AUTO_CLOSE int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return drv_err_os(err, errno, "cannot ask for TCP statistics");
    struct timeval limit = {.tv_sec = TIMEOUT_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    uint64_t sum = 0;
    for (size_t i = 0; i < DRV_ARRAY_LEN(families); i++)
        if (ask(fd, families[i], port, err) < 0 || add_up(fd, &peer, &sum, err) < 0)
            return -1;
    *ret_bytes = sum;
    return 0;
}
