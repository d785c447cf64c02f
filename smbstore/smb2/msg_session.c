// SPDX-License-Identifier: GPL-3.0-or-later
// SESSION_SETUP and TREE_CONNECT, MS-SMB2 2.2.5, 2.2.6, 2.2.9, 2.2.10. See msg.h.
#include "msg_int.h"

enum {
    SIGNING_REQUIRED = 2, // SecurityMode
    TOKEN_AT = 88,        // header and fixed part of SESSION_SETUP
    PATH_AT = 72,         // header and fixed part of TREE_CONNECT
};

size_t smb2_put_session_setup(uint8_t *out, size_t cap, uint64_t previous, const void *token,
                              size_t token_len)
{
    uint8_t *b = smb2_body(out, cap, 25, TOKEN_AT - SMB2_HDR_BYTES);
    if (!b || token_len == 0 || token_len > SMB2_TOKEN_MAX || cap - TOKEN_AT < token_len)
        return 0;
    b[3] = SIGNING_REQUIRED;
    smb2_put16(b + 12, TOKEN_AT);
    smb2_put16(b + 14, (uint16_t)token_len);
    smb2_put64(b + 16, previous);
    memcpy(out + TOKEN_AT, token, token_len);
    return TOKEN_AT + token_len;
}

int smb2_get_session_setup(const uint8_t *msg, size_t len, struct smb2_session_reply *ret,
                           struct drv_err *err)
{
    const uint8_t *b = smb2_answer_body(msg, len, 9, 8, "SESSION_SETUP", err);
    if (!b)
        return -1;
    struct smb2_session_reply r = {.flags = smb2_u16(b + 2), .token_len = smb2_u16(b + 6)};
    if (smb2_part(msg, len, SMB2_HDR_BYTES + 8, smb2_u16(b + 4), r.token_len, &r.token,
                  "SESSION_SETUP", err) < 0)
        return -1;
    *ret = r;
    return 0;
}

// A server's or share's name, with the backslashes that go before it.
static size_t put_name(uint8_t *out, size_t cap, size_t at, unsigned backslashes, const char *name)
{
    if (!*name || strchr(name, '/') || at > cap || cap - at < 2 * (size_t)backslashes)
        return 0;
    for (unsigned i = 0; i < backslashes; i++, at += 2)
        smb2_put16(out + at, '\\');
    return smb2_put_utf16(out, cap, at, name, false);
}

size_t smb2_put_tree_connect(uint8_t *out, size_t cap, const char *server, const char *share)
{
    uint8_t *b = smb2_body(out, cap, 9, PATH_AT - SMB2_HDR_BYTES);
    size_t end = b ? put_name(out, cap, PATH_AT, 2, server) : 0;
    if (end)
        end = put_name(out, cap, end, 1, share);
    if (!end || end - PATH_AT > UINT16_MAX)
        return 0;
    smb2_put16(b + 4, PATH_AT);
    smb2_put16(b + 6, (uint16_t)(end - PATH_AT));
    return end;
}

int smb2_get_tree_connect(const uint8_t *msg, size_t len, struct smb2_tree *ret,
                          struct drv_err *err)
{
    const uint8_t *b = smb2_answer_body(msg, len, 16, 16, "TREE_CONNECT", err);
    if (!b)
        return -1;
    *ret =
        (struct smb2_tree){.type = b[2], .flags = smb2_u32(b + 4), .capabilities = smb2_u32(b + 8)};
    return 0;
}
