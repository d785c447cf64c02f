// SPDX-License-Identifier: GPL-3.0-or-later
// DNS SRV look-up of domain controllers (RFC 2782). A resolver state per call, since the library's
// own is shared by the thread; 2 s and two tries per name server.
#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>

#include "delegation_int.h"

enum { ANSWER_MAX = 8192, SRV_FIXED = 6 }; // priority, weight, port

// A name that may stand in a URL and in an SPN.
static bool host_valid(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && name[0] != '-' && name[0] != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == len;
}

static int read_srv(ns_msg *msg, int index, struct dg_server *ret)
{
    ns_rr rr;
    if (ns_parserr(msg, ns_s_an, index, &rr) < 0 || ns_rr_type(rr) != ns_t_srv ||
        ns_rr_rdlen(rr) <= SRV_FIXED)
        return -1;
    ret->priority = ns_get16(ns_rr_rdata(rr));
    if (dn_expand(ns_msg_base(*msg), ns_msg_end(*msg), ns_rr_rdata(rr) + SRV_FIXED, ret->name,
                  sizeof(ret->name)) < 0)
        return -1;
    return host_valid(ret->name) ? 0 : -1;
}

static int by_priority(const void *a, const void *b)
{
    unsigned pa = ((const struct dg_server *)a)->priority;
    unsigned pb = ((const struct dg_server *)b)->priority;
    return (pa > pb) - (pa < pb);
}

static int no_answer(const char *name, struct drv_err *err)
{
    drv_err(err, DRV_EUNREACHABLE, "DNS knows no domain controller (%s)", name);
    drv_err_hint(err,
                 "let /etc/resolv.conf name the domain's DNS server, or name a domain controller "
                 "in the configuration");
    return drv_err_id(err, "K04");
}

int dg_dns_ldap(const char *domain, struct dg_server ret[DG_SERVERS_MAX], unsigned *ret_n,
                struct drv_err *err)
{
    char *name DRV_AUTO_FREE = drv_xasprintf("_ldap._tcp.%s", domain);
    struct __res_state state = {0};
    if (res_ninit(&state) < 0)
        return drv_err(err, DRV_EINTERNAL, "DNS resolver cannot be set up");
    state.retrans = 2;
    state.retry = 2;
    unsigned char *answer DRV_AUTO_FREE = drv_xcalloc(1, ANSWER_MAX);
    int len = res_nquery(&state, name, ns_c_in, ns_t_srv, answer, ANSWER_MAX);
    res_nclose(&state);
    ns_msg msg;
    if (len <= 0 || len > ANSWER_MAX || ns_initparse(answer, len, &msg) < 0)
        return no_answer(name, err);

    unsigned n = 0;
    for (int i = 0; i < ns_msg_count(msg, ns_s_an) && n < DG_SERVERS_MAX; i++)
        if (read_srv(&msg, i, &ret[n]) == 0)
            n++;
    if (n == 0)
        return no_answer(name, err);
    qsort(ret, n, sizeof(*ret), by_priority);
    *ret_n = n;
    return 0;
}
