// SPDX-License-Identifier: GPL-3.0-or-later
// What the codec's files share: little-endian numbers, the frame of a request and of an answer.
#ifndef DROVER_SMB2_MSG_INT_H
#define DROVER_SMB2_MSG_INT_H

#include "msg.h"

#include <endian.h>
#include <string.h>

static inline uint16_t smb2_u16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return le16toh(v);
}

static inline uint32_t smb2_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return le32toh(v);
}

static inline uint64_t smb2_u64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

static inline void smb2_put16(uint8_t *p, uint16_t v)
{
    v = htole16(v);
    memcpy(p, &v, sizeof v);
}

static inline void smb2_put32(uint8_t *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof v);
}

static inline void smb2_put64(uint8_t *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof v);
}

static inline void smb2_put_fid(uint8_t *p, const struct smb2_fid *fid)
{
    smb2_put64(p, fid->persistent);
    smb2_put64(p + 8, fid->volatile_);
}

static inline size_t smb2_align8(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

// --- msg.c ---
// A request's body of `bytes` zeros with its StructureSize. NULL: it does not fit in cap.
uint8_t *smb2_body(uint8_t *out, size_t cap, uint16_t structure_size, size_t bytes);
// An answer's body, whose fixed part of `bytes` is there. NULL DRV_EPEER: too short, or another
// StructureSize. `what` names the command.
const uint8_t *smb2_answer_body(const uint8_t *msg, size_t len, uint16_t structure_size,
                                size_t bytes, const char *what, struct drv_err *err);
// Is [at, at+n) in the message and behind its fixed part, which ends at `from`? Nothing (n == 0)
// lies anywhere: servers leave its offset 0. Then *ret is the end of the fixed part.
int smb2_part(const uint8_t *msg, size_t len, size_t from, uint64_t at, uint64_t n,
              const uint8_t **ret, const char *what, struct drv_err *err);

// --- utf16.c ---
// UTF-8 s to UTF-16LE at out[at..cap); `path`: '/' becomes '\\'. Returns the end of what was
// written; 0 when it does not fit, is not strict UTF-8 or holds a backslash, which servers would
// take for a separator.
size_t smb2_put_utf16(uint8_t *out, size_t cap, size_t at, const char *s, bool path);

#endif
