// SPDX-License-Identifier: GPL-3.0-or-later
// The header, and the messages whose body says nothing. See msg.h.
#include "msg_int.h"

// --- header, 2.2.1 ---

static const uint8_t protocol_id[4] = {0xFE, 'S', 'M', 'B'};

void smb2_put_hdr(uint8_t out[SMB2_HDR_BYTES], const struct smb2_hdr *h)
{
    memset(out, 0, SMB2_HDR_BYTES);
    memcpy(out, protocol_id, sizeof protocol_id);
    smb2_put16(out + 4, SMB2_HDR_BYTES);
    smb2_put16(out + 6, h->credit_charge);
    smb2_put32(out + 8, h->status);
    smb2_put16(out + 12, h->command);
    smb2_put16(out + 14, h->credits);
    smb2_put32(out + 16, h->flags);
    smb2_put32(out + 20, h->next);
    smb2_put64(out + 24, h->message_id);
    if (h->flags & SMB2_F_ASYNC)
        smb2_put64(out + 32, h->async_id);
    else
        smb2_put32(out + 36, h->tree_id);
    smb2_put64(out + 40, h->session_id);
}

int smb2_get_hdr(const uint8_t *msg, size_t len, struct smb2_hdr *ret, struct drv_err *err)
{
    if (len < SMB2_HDR_BYTES)
        return drv_err(err, DRV_EPEER, "an answer of %zu bytes has no SMB2 header", len);
    if (memcmp(msg, protocol_id, sizeof protocol_id) != 0 || smb2_u16(msg + 4) != SMB2_HDR_BYTES)
        return drv_err(err, DRV_EPEER, "an answer is not SMB2");
    struct smb2_hdr h = {
        .credit_charge = smb2_u16(msg + 6),
        .status = smb2_u32(msg + 8),
        .command = smb2_u16(msg + 12),
        .credits = smb2_u16(msg + 14),
        .flags = smb2_u32(msg + 16),
        .next = smb2_u32(msg + 20),
        .message_id = smb2_u64(msg + 24),
        .session_id = smb2_u64(msg + 40),
    };
    if (!(h.flags & SMB2_F_RESPONSE))
        return drv_err(err, DRV_EPEER, "the server sent a request");
    if (h.command >= SMB2_COMMAND_MAX_)
        return drv_err(err, DRV_EPEER, "an answer to unknown command %u", h.command);
    if (h.next != 0)
        return drv_err(err, DRV_EPEER, "compounded answers, which were not asked for");
    if (h.flags & SMB2_F_ASYNC)
        h.async_id = smb2_u64(msg + 32);
    else
        h.tree_id = smb2_u32(msg + 36);
    *ret = h;
    return 0;
}

// --- frames ---

uint8_t *smb2_body(uint8_t *out, size_t cap, uint16_t structure_size, size_t bytes)
{
    if (cap < SMB2_HDR_BYTES || cap - SMB2_HDR_BYTES < bytes)
        return NULL;
    uint8_t *b = out + SMB2_HDR_BYTES;
    memset(b, 0, bytes);
    smb2_put16(b, structure_size);
    return b;
}

const uint8_t *smb2_answer_body(const uint8_t *msg, size_t len, uint16_t structure_size,
                                size_t bytes, const char *what, struct drv_err *err)
{
    if (len < SMB2_HDR_BYTES + bytes) {
        drv_err(err, DRV_EPEER, "answer to %s: cut short, %zu bytes", what, len);
        return NULL;
    }
    const uint8_t *b = msg + SMB2_HDR_BYTES;
    if (smb2_u16(b) != structure_size) {
        drv_err(err, DRV_EPEER, "answer to %s: structure size %u, not %u", what, smb2_u16(b),
                structure_size);
        return NULL;
    }
    return b;
}

int smb2_part(const uint8_t *msg, size_t len, size_t from, uint64_t at, uint64_t n,
              const uint8_t **ret, const char *what, struct drv_err *err)
{
    if (n == 0)
        at = from;
    if (at < from || at > len || n > len - at)
        return drv_err(err, DRV_EPEER,
                       "answer to %s: %llu bytes at %llu do not lie in its body, %zu to %zu", what,
                       (unsigned long long)n, (unsigned long long)at, from, len);
    *ret = msg + at;
    return 0;
}

// --- bodies without anything in them ---

static size_t put_empty(uint8_t *out, size_t cap)
{
    return smb2_body(out, cap, 4, 4) ? SMB2_HDR_BYTES + 4 : 0;
}

size_t smb2_put_logoff(uint8_t *out, size_t cap)
{
    return put_empty(out, cap);
}

size_t smb2_put_tree_disconnect(uint8_t *out, size_t cap)
{
    return put_empty(out, cap);
}

size_t smb2_put_echo(uint8_t *out, size_t cap)
{
    return put_empty(out, cap);
}

size_t smb2_put_cancel(uint8_t *out, size_t cap)
{
    return put_empty(out, cap);
}

int smb2_get_empty(const uint8_t *msg, size_t len, enum smb2_command command, struct drv_err *err)
{
    static const struct {
        const char *name;
        uint16_t bytes; // its StructureSize, even, and its length
    } empty[SMB2_COMMAND_MAX_] = {
        [SMB2_LOGOFF] = {"LOGOFF", 4},                   // 2.2.8
        [SMB2_TREE_DISCONNECT] = {"TREE_DISCONNECT", 4}, // 2.2.12
        [SMB2_CLOSE] = {"CLOSE", 60},                    // 2.2.16
        [SMB2_FLUSH] = {"FLUSH", 4},                     // 2.2.18
        [SMB2_ECHO] = {"ECHO", 4},                       // 2.2.29
        [SMB2_SET_INFO] = {"SET_INFO", 2},               // 2.2.40
    };
    if ((unsigned)command >= SMB2_COMMAND_MAX_ || !empty[command].name)
        return drv_err(err, DRV_EINTERNAL, "answers to SMB2 command %u are not empty",
                       (unsigned)command);
    uint16_t bytes = empty[command].bytes;
    return smb2_answer_body(msg, len, bytes, bytes, empty[command].name, err) ? 0 : -1;
}
