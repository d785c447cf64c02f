// SPDX-License-Identifier: GPL-3.0-or-later
// Fixed newstyle negotiation: see nbd.h. Any export name is the one export.
#include "nbd_int.h"

#include <stdlib.h>
#include <string.h>

enum { META_ID = 1, ZEROES = 124, PREFERRED_BLOCK = 4096 };

static const char meta_name[] = "base:allocation";
static const uint16_t transmission_flags = NBD_T_HAS_FLAGS | NBD_T_FLUSH | NBD_T_FUA | NBD_T_TRIM |
                                           NBD_T_ZEROES | NBD_T_MULTI_CONN | NBD_T_FAST_ZERO;

int nbd_greet(struct nbd_conn *c)
{
    uint8_t msg[18];
    uint8_t *p = nbd_put64(msg, NBD_MAGIC);
    p = nbd_put64(p, NBD_OPTION_MAGIC);
    nbd_put16(p, NBD_HS_FIXED_NEWSTYLE | NBD_HS_NO_ZEROES);
    return nbd_send_all(c, msg, sizeof msg);
}

static int reply(struct nbd_conn *c, uint32_t option, uint32_t type, const void *data, size_t len)
{
    uint8_t msg[20 + 256];
    uint8_t *p = nbd_put64(msg, NBD_REPLY_MAGIC);
    p = nbd_put32(p, option);
    p = nbd_put32(p, type);
    p = nbd_put32(p, (uint32_t)len);
    if (len > sizeof msg - 20)
        return -1;
    if (len > 0)
        memcpy(p, data, len);
    return nbd_send_all(c, msg, 20 + len);
}

static int refuse(struct nbd_conn *c, uint32_t option, uint32_t type, const char *why)
{
    return reply(c, option, type, why, strlen(why));
}

static int export_size(struct nbd_conn *c, uint64_t *ret)
{
    return c->server->ops->size(c->server->arg, ret);
}

static int opt_export_name(struct nbd_conn *c)
{
    uint8_t msg[10 + ZEROES] = {0};
    uint64_t size;
    if (export_size(c, &size) != 0)
        return -1; // this option knows no error
    nbd_put16(nbd_put64(msg, size), transmission_flags);
    c->phase = NBD_TRANSMISSION;
    return nbd_send_all(c, msg, c->no_zeroes ? 10 : sizeof msg);
}

static int send_info(struct nbd_conn *c, uint32_t option, uint64_t size)
{
    uint8_t export[12], block[14];
    nbd_put16(nbd_put64(nbd_put16(export, NBD_INFO_EXPORT), size), transmission_flags);
    uint8_t *p = nbd_put32(nbd_put16(block, NBD_INFO_BLOCK_SIZE), 1);
    nbd_put32(nbd_put32(p, PREFERRED_BLOCK), NBD_PAYLOAD_MAX);
    if (reply(c, option, NBD_REP_INFO, export, sizeof export) < 0 ||
        reply(c, option, NBD_REP_INFO, block, sizeof block) < 0)
        return -1;
    return reply(c, option, NBD_REP_ACK, NULL, 0);
}

static int opt_go(struct nbd_conn *c, uint32_t option, const uint8_t *data, uint32_t len)
{
    uint64_t size;
    uint32_t name_len = len >= 6 ? nbd_get32(data) : UINT32_MAX;
    if (len < 6 || name_len > len - 6 ||
        nbd_get16(data + 4 + name_len) * UINT32_C(2) != len - 6 - name_len)
        return refuse(c, option, NBD_REP_ERR_INVALID, "malformed");
    if (export_size(c, &size) != 0)
        return refuse(c, option, NBD_REP_ERR_UNKNOWN, "the image has not been opened");
    if (send_info(c, option, size) < 0)
        return -1;
    if (option == NBD_OPT_GO)
        c->phase = NBD_TRANSMISSION;
    return 0;
}

static int opt_list(struct nbd_conn *c, uint32_t len)
{
    static const uint8_t unnamed[4];
    if (len != 0)
        return refuse(c, NBD_OPT_LIST, NBD_REP_ERR_INVALID, "malformed");
    if (reply(c, NBD_OPT_LIST, NBD_REP_SERVER, unnamed, sizeof unnamed) < 0)
        return -1;
    return reply(c, NBD_OPT_LIST, NBD_REP_ACK, NULL, 0);
}

// Does a query name our one context? Listing takes its namespace for it, too.
static bool names_meta(const uint8_t *query, uint32_t len, bool listing)
{
    static const char space[] = "base:";
    if (len == sizeof meta_name - 1 && memcmp(query, meta_name, len) == 0)
        return true;
    return listing && len == sizeof space - 1 && memcmp(query, space, len) == 0;
}

// -1: malformed, else whether the context is meant.
static int find_meta(const uint8_t *data, uint32_t len, bool listing)
{
    if (len < 8)
        return -1;
    uint32_t name_len = nbd_get32(data), at = 4 + name_len;
    if (name_len > len - 8)
        return -1;
    uint32_t queries = nbd_get32(data + at);
    bool found = listing && queries == 0;
    at += 4;
    for (; queries > 0; queries--) {
        if (len - at < 4 || nbd_get32(data + at) > len - at - 4)
            return -1;
        uint32_t query_len = nbd_get32(data + at);
        found |= names_meta(data + at + 4, query_len, listing);
        at += 4 + query_len;
    }
    return at == len ? found : -1;
}

static int opt_meta(struct nbd_conn *c, uint32_t option, const uint8_t *data, uint32_t len)
{
    bool listing = option == NBD_OPT_LIST_META;
    int found = find_meta(data, len, listing);
    if (found < 0 || !c->structured)
        return refuse(c, option, NBD_REP_ERR_INVALID,
                      found < 0 ? "malformed" : "structured replies come first");
    if (!listing)
        c->meta = found;
    uint8_t msg[4 + sizeof meta_name];
    memcpy(nbd_put32(msg, META_ID), meta_name, sizeof meta_name - 1);
    if (found && reply(c, option, NBD_REP_META, msg, 4 + sizeof meta_name - 1) < 0)
        return -1;
    return reply(c, option, NBD_REP_ACK, NULL, 0);
}

static int opt_structured(struct nbd_conn *c, uint32_t len)
{
    if (len != 0)
        return refuse(c, NBD_OPT_STRUCTURED_REPLY, NBD_REP_ERR_INVALID, "malformed");
    c->structured = true;
    return reply(c, NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK, NULL, 0);
}

static int handle_option(struct nbd_conn *c, uint32_t option, const uint8_t *data, uint32_t len)
{
    switch (option) {
    case NBD_OPT_EXPORT_NAME:
        return opt_export_name(c);
    case NBD_OPT_ABORT:
        (void)reply(c, option, NBD_REP_ACK, NULL, 0);
        return -1;
    case NBD_OPT_LIST:
        return opt_list(c, len);
    case NBD_OPT_INFO:
    case NBD_OPT_GO:
        return opt_go(c, option, data, len);
    case NBD_OPT_STRUCTURED_REPLY:
        return opt_structured(c, len);
    case NBD_OPT_LIST_META:
    case NBD_OPT_SET_META:
        return opt_meta(c, option, data, len);
    default:
        return refuse(c, option, NBD_REP_ERR_UNSUP, "not known here");
    }
}

static int client_flags(struct nbd_conn *c)
{
    uint32_t flags = nbd_get32(c->in + c->start);
    c->start += 4;
    c->no_zeroes = flags & NBD_HS_NO_ZEROES;
    c->phase = NBD_OPTIONS;
    // Without "fixed" a client could not make sense of our replies.
    return flags & NBD_HS_FIXED_NEWSTYLE && !(flags & ~3u) ? 0 : -1;
}

int nbd_handshake(struct nbd_conn *c)
{
    if (c->phase == NBD_CLIENT_FLAGS) {
        if (c->end - c->start < 4)
            return 0;
        if (client_flags(c) < 0)
            return -1;
    }
    while (c->phase == NBD_OPTIONS) {
        const uint8_t *p = c->in + c->start;
        size_t have = c->end - c->start;
        if (have < NBD_OPTION_BYTES)
            return 0;
        uint32_t option = nbd_get32(p + 8), len = nbd_get32(p + 12);
        if (nbd_get64(p) != NBD_OPTION_MAGIC || len > NBD_OPTION_MAX ||
            c->options >= NBD_OPTIONS_MAX)
            return -1;
        if (have < NBD_OPTION_BYTES + len)
            return 0;
        c->options++;
        c->start += NBD_OPTION_BYTES + len;
        if (handle_option(c, option, p + NBD_OPTION_BYTES, len) < 0)
            return -1;
    }
    return 0;
}
