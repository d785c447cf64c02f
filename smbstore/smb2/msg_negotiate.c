// SPDX-License-Identifier: GPL-3.0-or-later
// NEGOTIATE with dialect 3.1.1 and its contexts, MS-SMB2 2.2.3, 2.2.4 and 3.2.5.2. See msg.h.
#include "msg_int.h"

#include "drover/util.h"

enum {
    DIALECT = 0x0311,
    SIGNING_REQUIRED = 2, // 2.2.3 SecurityMode: we take no unsigned answer
    CTX_PREAUTH = 1,      // 2.2.3.1 context types
    CTX_ENCRYPTION = 2,
    CTX_NETNAME = 5,
    CTX_SIGNING = 8,
    CTX_KNOWN_ = 9, // they index a bit set
    SHA512 = 1,     // 2.2.3.1.1
    AES_CMAC = 1,   // 2.2.3.1.7
    REQUEST_FIXED = 36,
    CONTEXTS_AT = 104, // of the request: header, fixed part, one dialect, aligned to 8
    ANSWER_FIXED = 64,
    CONTEXT_HEAD = 8,
    MAX_SIZE_LEAST = 65536, // 3.2.5.2
};

// --- request ---

// The contexts of a request, one after the other.
struct writer {
    uint8_t *out;
    size_t cap, end;
    uint16_t n;
};

// Room for a context of len bytes, zeros. NULL: it does not fit.
static uint8_t *add_context(struct writer *w, uint16_t type, size_t len)
{
    size_t at = smb2_align8(w->end);
    if (at > w->cap || w->cap - at < CONTEXT_HEAD + len || len > UINT16_MAX)
        return NULL;
    memset(w->out + w->end, 0, at - w->end + CONTEXT_HEAD + len);
    smb2_put16(w->out + at, type);
    smb2_put16(w->out + at + 2, (uint16_t)len);
    w->end = at + CONTEXT_HEAD + len;
    w->n++;
    return w->out + at + CONTEXT_HEAD;
}

static bool add_preauth(struct writer *w, const uint8_t salt[32])
{
    uint8_t *p = add_context(w, CTX_PREAUTH, 38);
    if (!p)
        return false;
    smb2_put16(p, 1);      // HashAlgorithmCount
    smb2_put16(p + 2, 32); // SaltLength
    smb2_put16(p + 4, SHA512);
    memcpy(p + 6, salt, 32);
    return true;
}

// A count and a list of algorithms: 2.2.3.1.2 and 2.2.3.1.7. Nothing to offer: no context.
static bool add_list(struct writer *w, uint16_t type, const uint16_t ids[2], unsigned n)
{
    if (n == 0)
        return true;
    uint8_t *p = n <= 2 ? add_context(w, type, 2 + 2 * (size_t)n) : NULL;
    if (!p)
        return false;
    smb2_put16(p, (uint16_t)n);
    for (unsigned i = 0; i < n; i++)
        smb2_put16(p + 2 + 2 * (size_t)i, ids[i]);
    return true;
}

static bool add_netname(struct writer *w, const char *server)
{
    const uint8_t *p = add_context(w, CTX_NETNAME, 0);
    if (!p || !*server)
        return false;
    size_t at = w->end;
    size_t end = smb2_put_utf16(w->out, w->cap, at, server, false);
    if (end == 0 || end - at > UINT16_MAX)
        return false;
    smb2_put16(w->out + at - CONTEXT_HEAD + 2, (uint16_t)(end - at));
    w->end = end;
    return true;
}

size_t smb2_put_negotiate(uint8_t *out, size_t cap, const struct smb2_negotiate *n)
{
    uint8_t *b = smb2_body(out, cap, REQUEST_FIXED, CONTEXTS_AT - SMB2_HDR_BYTES);
    struct writer w = {.out = out, .cap = cap, .end = CONTEXTS_AT};
    if (!b || !add_preauth(&w, n->salt) ||
        !add_list(&w, CTX_ENCRYPTION, n->ciphers, n->n_ciphers) ||
        !add_list(&w, CTX_SIGNING, n->signings, n->n_signings) || !add_netname(&w, n->server))
        return 0;
    smb2_put16(b + 2, 1); // DialectCount
    smb2_put16(b + 4, SIGNING_REQUIRED);
    smb2_put32(b + 8, SMB2_CAP_LARGE_MTU | SMB2_CAP_ENCRYPTION);
    memcpy(b + 12, n->client_guid, sizeof n->client_guid);
    smb2_put32(b + 28, CONTEXTS_AT);
    smb2_put16(b + 32, w.n);
    smb2_put16(b + REQUEST_FIXED, DIALECT);
    return w.end;
}

// --- answer ---

static int bad(struct drv_err *err, const char *what)
{
    return drv_err(err, DRV_EPEER, "answer to NEGOTIATE: %s", what);
}

static int refuse_dialect(uint16_t dialect, struct drv_err *err)
{
    static const struct {
        uint16_t dialect;
        const char *name;
    } known[] = {{0x0202, "2.0.2"}, {0x0210, "2.1"}, {0x0300, "3.0"}, {0x0302, "3.0.2"}};
    for (size_t i = 0; i < DRV_ARRAY_LEN(known); i++)
        if (known[i].dialect == dialect) {
            drv_err(err, DRV_EPEER, "the server speaks SMB %s at most; drover needs 3.1.1",
                    known[i].name);
            return drv_err_hint(err, "let the server offer SMB 3.1.1 (Samba: server max protocol "
                                     "= SMB3)");
        }
    if (dialect == 0x02FF)
        return drv_err(err, DRV_EPEER,
                       "the server wants SMB 2 negotiated anew (dialect 0x02FF), as if it had been "
                       "asked in SMB 1; drover needs 3.1.1");
    return drv_err(err, DRV_EPEER, "the server chose unknown dialect 0x%04X; drover needs 3.1.1",
                   dialect);
}

static bool offered(const uint16_t *ids, unsigned n, uint16_t id)
{
    for (unsigned i = 0; i < n && i < 2; i++)
        if (ids[i] == id)
            return true;
    return false;
}

// The single algorithm that a context names; -1 when it names none or several.
static int single(const uint8_t *p, size_t len, const char *what, uint16_t *ret,
                  struct drv_err *err)
{
    if (len < 4 || smb2_u16(p) != 1)
        return drv_err(err, DRV_EPEER, "answer to NEGOTIATE: not one %s algorithm", what);
    *ret = smb2_u16(p + 2);
    return 0;
}

static int get_preauth(const uint8_t *p, size_t len, struct drv_err *err)
{
    if (len < 6 || smb2_u16(p) != 1)
        return bad(err, "not one hash algorithm");
    if (len - 6 < smb2_u16(p + 2))
        return bad(err, "the salt is cut off");
    if (smb2_u16(p + 4) != SHA512)
        return bad(err, "a hash algorithm that was not offered");
    return 0;
}

static int get_context(uint16_t type, const uint8_t *p, size_t len,
                       const struct smb2_negotiate *asked, struct smb2_negotiated *ret,
                       struct drv_err *err)
{
    switch (type) {
    case CTX_PREAUTH:
        return get_preauth(p, len, err);
    case CTX_ENCRYPTION:
        if (single(p, len, "encryption", &ret->cipher, err) < 0)
            return -1;
        if (ret->cipher != 0 && !offered(asked->ciphers, asked->n_ciphers, ret->cipher))
            return bad(err, "a cipher that was not offered");
        return 0;
    case CTX_SIGNING:
        if (single(p, len, "signing", &ret->signing, err) < 0)
            return -1;
        if (!offered(asked->signings, asked->n_signings, ret->signing))
            return bad(err, "a signing algorithm that was not offered");
        return 0;
    default:
        return 0; // 3.2.5.2: others are ignored
    }
}

static int get_contexts(const uint8_t *msg, size_t len, size_t at, unsigned n,
                        const struct smb2_negotiate *asked, struct smb2_negotiated *ret,
                        struct drv_err *err)
{
    unsigned seen = 0; // bit per context type
    if (n > 0 && (at < SMB2_HDR_BYTES + ANSWER_FIXED || at % 8 != 0))
        return bad(err, "its contexts lie where none can be");
    for (unsigned i = 0; i < n; i++) {
        if (at > len || len - at < CONTEXT_HEAD)
            return bad(err, "a context lies outside the message");
        uint16_t type = smb2_u16(msg + at), data_len = smb2_u16(msg + at + 2);
        if (len - at - CONTEXT_HEAD < data_len)
            return bad(err, "a context's data lies outside the message");
        if (type < CTX_KNOWN_) {
            if (seen & 1U << type)
                return bad(err, "a context stands in it twice");
            seen |= 1U << type;
        }
        if (get_context(type, msg + at + CONTEXT_HEAD, data_len, asked, ret, err) < 0)
            return -1;
        at = smb2_align8(at + CONTEXT_HEAD + data_len);
    }
    if (!(seen & 1U << CTX_PREAUTH))
        return bad(err, "no hash algorithm for pre-authentication integrity");
    return 0;
}

int smb2_get_negotiate(const uint8_t *msg, size_t len, const struct smb2_negotiate *asked,
                       struct smb2_negotiated *ret, struct drv_err *err)
{
    const uint8_t *b = smb2_answer_body(msg, len, 65, ANSWER_FIXED, "NEGOTIATE", err);
    if (!b)
        return -1;
    struct smb2_negotiated r = {
        .security_mode = smb2_u16(b + 2),
        .dialect = smb2_u16(b + 4),
        .signing = AES_CMAC,
        .capabilities = smb2_u32(b + 24),
        .max_transact = smb2_u32(b + 28),
        .max_read = smb2_u32(b + 32),
        .max_write = smb2_u32(b + 36),
        .token_len = smb2_u16(b + 58),
    };
    if (r.dialect != DIALECT)
        return refuse_dialect(r.dialect, err);
    if (r.max_transact < MAX_SIZE_LEAST || r.max_read < MAX_SIZE_LEAST ||
        r.max_write < MAX_SIZE_LEAST)
        return bad(err, "it allows less than 64 KiB at a time");
    if (smb2_part(msg, len, SMB2_HDR_BYTES + ANSWER_FIXED, smb2_u16(b + 56), r.token_len, &r.token,
                  "NEGOTIATE", err) < 0 ||
        get_contexts(msg, len, smb2_u32(b + 60), smb2_u16(b + 6), asked, &r, err) < 0)
        return -1;
    *ret = r;
    return 0;
}
