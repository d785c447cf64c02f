// SPDX-License-Identifier: GPL-3.0-or-later
// CREATE, CLOSE, FLUSH, READ, WRITE: MS-SMB2 2.2.13 to 2.2.22. See msg.h.
#include "msg_int.h"

#include "drover/util.h"

enum {
    IMPERSONATION = 2,       // 2.2.13 ImpersonationLevel
    ATTRIBUTE_NORMAL = 0x80, // MS-FSCC 2.6
    CREATE_FIXED = 56,       // request
    CREATED_FIXED = 88,      // answer
    CONTEXT_HEAD = 16,       // 2.2.13.2
    QFID_BYTES = 24,         // our context: head, "QFid", aligned
    QFID_ANSWER_BYTES = 32,  // 2.2.14.2.9
    WRITE_THROUGH = 1,       // 2.2.21
    RW_FIXED = 48,           // of READ's and WRITE's requests
    RW_ANSWER_FIXED = 16,
};
_Static_assert(SMB2_WRITE_DATA_AT == SMB2_HDR_BYTES + RW_FIXED, "WRITE's data");
_Static_assert(SMB2_READ_DATA_AT == SMB2_HDR_BYTES + RW_ANSWER_FIXED, "READ's data");

// --- CREATE ---

size_t smb2_put_create(uint8_t *out, size_t cap, const struct smb2_create *c)
{
    const size_t name_at = SMB2_HDR_BYTES + CREATE_FIXED;
    uint8_t *b = smb2_body(out, cap, 57, CREATE_FIXED);
    if (!b || c->path[0] == '/' || strlen(c->path) >= SMB2_NAME_MAX)
        return 0;
    size_t end = smb2_put_utf16(out, cap, name_at, c->path, true);
    size_t at = smb2_align8(end);
    if (!end || at > cap || cap - at < QFID_BYTES)
        return 0;
    smb2_put32(b + 4, IMPERSONATION);
    smb2_put32(b + 24, c->access);
    smb2_put32(b + 28, ATTRIBUTE_NORMAL);
    smb2_put32(b + 32, c->share);
    smb2_put32(b + 36, c->disposition);
    smb2_put32(b + 40, c->options);
    smb2_put16(b + 44, (uint16_t)name_at);
    smb2_put16(b + 46, (uint16_t)(end - name_at));
    smb2_put32(b + 48, (uint32_t)at);
    smb2_put32(b + 52, QFID_BYTES);
    memset(out + end, 0, at - end + QFID_BYTES);
    smb2_put16(out + at + 4, CONTEXT_HEAD); // NameOffset; the only context, without data
    smb2_put16(out + at + 6, 4);
    memcpy(out + at + CONTEXT_HEAD, "QFid", 4);
    return at + QFID_BYTES;
}

static int bad_create(struct drv_err *err, const char *what)
{
    return drv_err(err, DRV_EPEER, "answer to CREATE: %s", what);
}

static int get_context(const uint8_t *name, const uint8_t *data, size_t len,
                       struct smb2_opened *ret, struct drv_err *err)
{
    // Each would let a handle behave, or outlive us, as nobody here expects.
    static const char *const unwanted[] = {"RqLs", "DHnQ", "DHnC", "DH2Q", "DH2C"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(unwanted); i++)
        if (memcmp(name, unwanted[i], 4) == 0)
            return bad_create(err, "a lease or durable handle that was not asked for");
    if (memcmp(name, "QFid", 4) != 0)
        return 0;
    if (ret->has_ids)
        return bad_create(err, "the file's ids stand in it twice");
    if (len != QFID_ANSWER_BYTES)
        return bad_create(err, "the file's ids have a wrong length");
    ret->has_ids = true;
    ret->file_id = smb2_u64(data);
    ret->volume_id = smb2_u64(data + 8);
    return 0;
}

// A chain of contexts that fills p[0..left). Each ends where the next begins.
static int get_contexts(const uint8_t *p, size_t left, struct smb2_opened *ret, struct drv_err *err)
{
    while (left > 0) {
        if (left < CONTEXT_HEAD)
            return bad_create(err, "a context is cut short");
        size_t next = smb2_u32(p), name_at = smb2_u16(p + 4), name_len = smb2_u16(p + 6);
        size_t data_at = smb2_u16(p + 10), data_len = smb2_u32(p + 12);
        if (next != 0 && (next < CONTEXT_HEAD || next % 8 != 0 || next >= left))
            return bad_create(err, "a context's successor lies where none can be");
        size_t size = next ? next : left;
        if (name_at < CONTEXT_HEAD || name_at > size || name_len > size - name_at)
            return bad_create(err, "a context's name lies outside it");
        if (data_len > 0 &&
            (data_at < name_at + name_len || data_at > size || data_len > size - data_at))
            return bad_create(err, "a context's data lies outside it");
        if (name_len == 4 &&
            get_context(p + name_at, p + (data_len ? data_at : 0), data_len, ret, err) < 0)
            return -1;
        p += size;
        left -= size;
    }
    return 0;
}

int smb2_get_create(const uint8_t *msg, size_t len, struct smb2_opened *ret, struct drv_err *err)
{
    const uint8_t *b = smb2_answer_body(msg, len, 89, CREATED_FIXED, "CREATE", err);
    if (!b)
        return -1;
    if (b[2] != 0)
        return bad_create(err, "an oplock or lease that was not asked for");
    struct smb2_opened r = {
        .fid = {smb2_u64(b + 64), smb2_u64(b + 72)},
        .action = smb2_u32(b + 4),
        .attributes = smb2_u32(b + 56),
        .size_bytes = smb2_u64(b + 48),
        .allocated_bytes = smb2_u64(b + 40),
    };
    if (r.size_bytes > INT64_MAX || r.allocated_bytes > INT64_MAX)
        return bad_create(err, "a negative size");
    const uint8_t *contexts;
    size_t contexts_len = smb2_u32(b + 84);
    if (smb2_part(msg, len, SMB2_HDR_BYTES + CREATED_FIXED, smb2_u32(b + 80), contexts_len,
                  &contexts, "CREATE", err) < 0 ||
        get_contexts(contexts, contexts_len, &r, err) < 0)
        return -1;
    *ret = r;
    return 0;
}

// --- CLOSE and FLUSH ---

static size_t put_fid_only(uint8_t *out, size_t cap, const struct smb2_fid *fid)
{
    uint8_t *b = smb2_body(out, cap, 24, 24);
    if (!b)
        return 0;
    smb2_put_fid(b + 8, fid);
    return SMB2_HDR_BYTES + 24;
}

size_t smb2_put_close(uint8_t *out, size_t cap, const struct smb2_fid *fid)
{
    return put_fid_only(out, cap, fid);
}

size_t smb2_put_flush(uint8_t *out, size_t cap, const struct smb2_fid *fid)
{
    return put_fid_only(out, cap, fid);
}

// --- READ and WRITE ---

size_t smb2_put_read(uint8_t *out, size_t cap, const struct smb2_fid *fid, uint32_t len,
                     uint64_t offset)
{
    uint8_t *b = smb2_body(out, cap, 49, RW_FIXED + 1); // a byte of empty channel information
    if (!b)
        return 0;
    b[2] = SMB2_READ_DATA_AT; // Padding: where the data shall begin in the answer
    smb2_put32(b + 4, len);
    smb2_put64(b + 8, offset);
    smb2_put_fid(b + 16, fid);
    return SMB2_HDR_BYTES + RW_FIXED + 1;
}

int smb2_get_read(const uint8_t *fixed, size_t fixed_len, size_t msg_len, uint32_t max,
                  size_t *ret_at, uint32_t *ret_len, struct drv_err *err)
{
    const uint8_t *b = smb2_answer_body(fixed, fixed_len < msg_len ? fixed_len : msg_len, 17,
                                        RW_ANSWER_FIXED, "READ", err);
    if (!b)
        return -1;
    uint32_t n = smb2_u32(b + 4);
    size_t at = n ? b[2] : SMB2_READ_DATA_AT;
    if (n > max)
        return drv_err(err, DRV_EPEER, "answer to READ: %u bytes instead of %u", n, max);
    if (at < SMB2_READ_DATA_AT || at > msg_len || n > msg_len - at)
        return drv_err(err, DRV_EPEER, "answer to READ: %u bytes at %zu do not lie in its body", n,
                       at);
    *ret_at = at;
    *ret_len = n;
    return 0;
}

size_t smb2_put_write(uint8_t *out, size_t cap, const struct smb2_fid *fid, uint32_t len,
                      uint64_t offset, bool write_through)
{
    uint8_t *b = smb2_body(out, cap, 49, RW_FIXED);
    if (!b)
        return 0;
    smb2_put16(b + 2, SMB2_WRITE_DATA_AT);
    smb2_put32(b + 4, len);
    smb2_put64(b + 8, offset);
    smb2_put_fid(b + 16, fid);
    smb2_put32(b + 44, write_through ? WRITE_THROUGH : 0);
    return SMB2_WRITE_DATA_AT;
}

int smb2_get_write(const uint8_t *msg, size_t len, uint32_t *ret_len, struct drv_err *err)
{
    const uint8_t *b = smb2_answer_body(msg, len, 17, RW_ANSWER_FIXED, "WRITE", err);
    if (!b)
        return -1;
    *ret_len = smb2_u32(b + 4);
    return 0;
}
