// SPDX-License-Identifier: GPL-3.0-or-later
// IOCTL, QUERY_INFO, SET_INFO: MS-SMB2 2.2.31, 2.2.32, 2.2.37 to 2.2.40, and the MS-FSCC structures
// in them. See msg.h.
#include "msg_int.h"

enum {
    IOCTL_FIXED = 56,
    IOCTL_ANSWER_FIXED = 48,
    IOCTL_IS_FSCTL = 1,
    RANGE_BYTES = 16, // FILE_ALLOCATED_RANGE_BUFFER
    QUERY_FIXED = 40,
    QUERY_ANSWER_FIXED = 8,
    SET_FIXED = 32,
    TYPE_FILE = 1, // InfoType
    TYPE_FILESYSTEM = 2,
    END_OF_FILE = 20, // MS-FSCC 2.4: FileEndOfFileInformation
    LABEL_MAX = 512,  // bytes of a volume label that are let in, and not read
};

// --- IOCTL ---

size_t smb2_put_ioctl(uint8_t *out, size_t cap, const struct smb2_fid *fid, uint32_t code,
                      const void *in, size_t in_len, uint32_t max_out)
{
    // StructureSize 57 counts a byte of buffer, which is there even when there is no input.
    size_t buffer = in_len ? in_len : 1;
    if (in_len > SMB2_REQUEST_MAX)
        return 0;
    uint8_t *b = smb2_body(out, cap, 57, IOCTL_FIXED + buffer);
    if (!b)
        return 0;
    smb2_put32(b + 4, code);
    smb2_put_fid(b + 8, fid);
    if (in_len) {
        smb2_put32(b + 24, SMB2_HDR_BYTES + IOCTL_FIXED);
        smb2_put32(b + 28, (uint32_t)in_len);
        memcpy(b + IOCTL_FIXED, in, in_len);
    }
    smb2_put32(b + 44, max_out);
    smb2_put32(b + 48, IOCTL_IS_FSCTL);
    return SMB2_HDR_BYTES + IOCTL_FIXED + buffer;
}

int smb2_get_ioctl(const uint8_t *msg, size_t len, uint32_t code, const uint8_t **ret_out,
                   size_t *ret_len, struct drv_err *err)
{
    const uint8_t *b = smb2_answer_body(msg, len, 49, IOCTL_ANSWER_FIXED, "IOCTL", err);
    if (!b)
        return -1;
    if (smb2_u32(b + 4) != code)
        return drv_err(err, DRV_EPEER, "answer to IOCTL: code 0x%X instead of 0x%X",
                       smb2_u32(b + 4), code);
    size_t n = smb2_u32(b + 36);
    if (smb2_part(msg, len, SMB2_HDR_BYTES + IOCTL_ANSWER_FIXED, smb2_u32(b + 32), n, ret_out,
                  "IOCTL", err) < 0)
        return -1;
    *ret_len = n;
    return 0;
}

void smb2_put_zero_range(uint8_t out[16], uint64_t offset, uint64_t len)
{
    smb2_put64(out, offset);
    smb2_put64(out + 8, offset + len); // BeyondFinalZero
}

void smb2_put_range_query(uint8_t out[16], uint64_t offset, uint64_t len)
{
    smb2_put64(out, offset);
    smb2_put64(out + 8, len);
}

int smb2_get_ranges(const uint8_t *data, size_t len, uint64_t offset, uint64_t span,
                    struct smb2_range *ret, unsigned max, unsigned *ret_n, struct drv_err *err)
{
    const uint64_t stop = span > UINT64_MAX - offset ? UINT64_MAX : offset + span;
    uint64_t reached = 0;
    unsigned n = 0;
    if (len % RANGE_BYTES != 0)
        return drv_err(err, DRV_EPEER, "allocated ranges: %zu bytes are no list of ranges", len);
    for (size_t at = 0; at < len; at += RANGE_BYTES) {
        uint64_t begin = smb2_u64(data + at), size = smb2_u64(data + at + 8);
        if (begin > INT64_MAX || size > INT64_MAX - begin)
            return drv_err(err, DRV_EPEER, "allocated ranges: a negative number");
        if (begin < reached)
            return drv_err(err, DRV_EPEER, "allocated ranges: unordered or overlapping");
        uint64_t end = reached = begin + size;
        if (begin < offset)
            begin = offset;
        if (end > stop)
            end = stop;
        if (begin >= end)
            continue;
        if (n == max) // to leave one out would turn data into a hole
            return drv_err(err, DRV_EPEER, "allocated ranges: more than the %u asked for", max);
        ret[n++] = (struct smb2_range){begin, end - begin};
    }
    *ret_n = n;
    return 0;
}

// --- QUERY_INFO ---

static int get_standard(const uint8_t *p, struct smb2_info_reply *r)
{
    r->allocated_bytes = smb2_u64(p);
    r->size_bytes = smb2_u64(p + 8);
    r->delete_pending = p[20] != 0;
    return r->allocated_bytes <= INT64_MAX && r->size_bytes <= INT64_MAX ? 0 : -1;
}

static int get_internal(const uint8_t *p, struct smb2_info_reply *r)
{
    r->file_id = smb2_u64(p);
    return 0;
}

static int get_volume(const uint8_t *p, struct smb2_info_reply *r)
{
    r->volume_serial = smb2_u32(p + 8);
    return 0;
}

// INT64_MAX when there is more than can be told.
static uint64_t units(uint64_t n, uint64_t unit_bytes)
{
    uint64_t v;
    return __builtin_mul_overflow(n, unit_bytes, &v) || v > INT64_MAX ? INT64_MAX : v;
}

static int get_full_size(const uint8_t *p, struct smb2_info_reply *r)
{
    uint64_t total = smb2_u64(p), available = smb2_u64(p + 8); // to this user: quotas count
    uint64_t unit_bytes = (uint64_t)smb2_u32(p + 24) * smb2_u32(p + 28);
    r->total_bytes = units(total, unit_bytes);
    r->free_bytes = units(available, unit_bytes);
    return total <= INT64_MAX && available <= INT64_MAX && unit_bytes > 0 ? 0 : -1;
}

static const struct info {
    uint8_t type, class;
    uint16_t bytes; // of the fixed part that must be there
    uint16_t extra; // bytes that may follow
    int (*get)(const uint8_t *p, struct smb2_info_reply *r);
} infos[] = {
    [SMB2_INFO_STANDARD] = {TYPE_FILE, 5, 24, 0, get_standard},
    [SMB2_INFO_INTERNAL] = {TYPE_FILE, 6, 8, 0, get_internal},
    [SMB2_INFO_VOLUME] = {TYPE_FILESYSTEM, 1, 18, LABEL_MAX, get_volume},
    [SMB2_INFO_FULL_SIZE] = {TYPE_FILESYSTEM, 7, 32, 0, get_full_size},
};
_Static_assert(sizeof infos / sizeof *infos == SMB2_INFO_MAX_, "a row per kind");

size_t smb2_put_query_info(uint8_t *out, size_t cap, const struct smb2_fid *fid,
                           enum smb2_info what)
{
    uint8_t *b = smb2_body(out, cap, 41, QUERY_FIXED + 1); // a byte of empty input
    if (!b)
        return 0;
    b[2] = infos[what].type;
    b[3] = infos[what].class;
    smb2_put32(b + 4, (uint32_t)infos[what].bytes + infos[what].extra);
    smb2_put_fid(b + 24, fid);
    return SMB2_HDR_BYTES + QUERY_FIXED + 1;
}

int smb2_get_query_info(const uint8_t *msg, size_t len, enum smb2_info what,
                        struct smb2_info_reply *ret, struct drv_err *err)
{
    const struct info *i = &infos[what];
    const uint8_t *b = smb2_answer_body(msg, len, 9, QUERY_ANSWER_FIXED, "QUERY_INFO", err);
    const uint8_t *p;
    if (!b)
        return -1;
    uint32_t n = smb2_u32(b + 4);
    if (smb2_part(msg, len, SMB2_HDR_BYTES + QUERY_ANSWER_FIXED, smb2_u16(b + 2), n, &p,
                  "QUERY_INFO", err) < 0)
        return -1;
    if (n < i->bytes || n > (uint32_t)i->bytes + i->extra)
        return drv_err(err, DRV_EPEER, "answer to QUERY_INFO: %u bytes instead of %u", n, i->bytes);
    struct smb2_info_reply r = {0};
    if (i->get(p, &r) < 0)
        return drv_err(err, DRV_EPEER, "answer to QUERY_INFO: a size that cannot be");
    *ret = r;
    return 0;
}

// --- SET_INFO ---

size_t smb2_put_set_eof(uint8_t *out, size_t cap, const struct smb2_fid *fid, uint64_t size_bytes)
{
    uint8_t *b = smb2_body(out, cap, 33, SET_FIXED + 8);
    if (!b)
        return 0;
    b[2] = TYPE_FILE;
    b[3] = END_OF_FILE;
    smb2_put32(b + 4, 8);
    smb2_put16(b + 8, SMB2_HDR_BYTES + SET_FIXED);
    smb2_put_fid(b + 16, fid);
    smb2_put64(b + SET_FIXED, size_bytes);
    return SMB2_HDR_BYTES + SET_FIXED + 8;
}
