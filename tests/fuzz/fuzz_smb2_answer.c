// SPDX-License-Identifier: GPL-3.0-or-later
// Answers of an SMB2 server. The first byte selects the decoder (low half) and what had been asked
// for (high half), the rest is the message. What a decoder gives out is read, whole.
#include <stdlib.h>
#include <string.h>

#include "drover/util.h"
#include "fuzz.h"
#include "msg.h"

static volatile uint8_t sink;

// [p, p+n) must be in the message msg[0..len).
static void touch(const uint8_t *msg, size_t len, const uint8_t *p, size_t n)
{
    FUZZ_CHECK(p >= msg && p <= msg + len && n <= (size_t)(msg + len - p));
    for (size_t i = 0; i < n; i++)
        sink ^= p[i];
}

static int header(const uint8_t *msg, size_t len, unsigned how, struct drv_err *err)
{
    (void)how;
    struct smb2_hdr h, back;
    uint8_t again[SMB2_HDR_BYTES];
    if (smb2_get_hdr(msg, len, &h, err) < 0)
        return -1;
    FUZZ_CHECK(len >= SMB2_HDR_BYTES && h.next == 0 && h.command < SMB2_COMMAND_MAX_);
    smb2_put_hdr(again, &h);
    FUZZ_CHECK(!memcmp(msg, again, 32) && !memcmp(msg + 36, again + 36, 12));
    FUZZ_CHECK(smb2_get_hdr(again, sizeof again, &back, err) == 0);
    FUZZ_CHECK(back.async_id == h.async_id && back.tree_id == h.tree_id);
    return 0;
}

static int negotiate(const uint8_t *msg, size_t len, unsigned how, struct drv_err *err)
{
    const struct smb2_negotiate asked = {
        .ciphers = {2, 4}, .n_ciphers = how % 3, .signings = {2, 1}, .n_signings = how / 3 % 3};
    struct smb2_negotiated n;
    if (smb2_get_negotiate(msg, len, &asked, &n, err) < 0)
        return -1;
    touch(msg, len, n.token, n.token_len);
    FUZZ_CHECK(n.dialect == 0x0311 && (n.signing == 1 || n.signing == 2));
    FUZZ_CHECK(n.cipher == 0 || (n.cipher == 2 && asked.n_ciphers > 0) ||
               (n.cipher == 4 && asked.n_ciphers > 1));
    FUZZ_CHECK(n.signing == 1 || asked.n_signings > 0);
    FUZZ_CHECK(n.max_read >= 65536 && n.max_write >= 65536 && n.max_transact >= 65536);
    return 0;
}

static int session_setup(const uint8_t *msg, size_t len, unsigned how, struct drv_err *err)
{
    (void)how;
    struct smb2_session_reply r;
    if (smb2_get_session_setup(msg, len, &r, err) < 0)
        return -1;
    touch(msg, len, r.token, r.token_len);
    return 0;
}

static int tree_connect(const uint8_t *msg, size_t len, unsigned how, struct drv_err *err)
{
    (void)how;
    struct smb2_tree t;
    return smb2_get_tree_connect(msg, len, &t, err);
}

static int create(const uint8_t *msg, size_t len, unsigned how, struct drv_err *err)
{
    (void)how;
    struct smb2_opened o;
    if (smb2_get_create(msg, len, &o, err) < 0)
        return -1;
    FUZZ_CHECK(o.size_bytes <= INT64_MAX && o.allocated_bytes <= INT64_MAX);
    FUZZ_CHECK(o.has_ids || (o.file_id == 0 && o.volume_id == 0));
    return 0;
}

static int read_at(const uint8_t *msg, size_t len, unsigned how, struct drv_err *err)
{
    const uint32_t max = how == 15 ? UINT32_MAX : how * 17;
    // The transport shows only the head; a copy of it, so that ASan sees a look behind it.
    size_t head_len = len < SMB2_READ_DATA_AT ? len : SMB2_READ_DATA_AT;
    DRV_AUTO_FREE uint8_t *head = malloc(head_len ? head_len : 1);
    FUZZ_CHECK(head);
    memcpy(head, msg, head_len);
    size_t at;
    uint32_t n;
    if (smb2_get_read(head, head_len, len, max, &at, &n, err) < 0)
        return -1;
    FUZZ_CHECK(n <= max && at >= SMB2_READ_DATA_AT && at <= len);
    touch(msg, len, msg + at, n);
    return 0;
}

static int written(const uint8_t *msg, size_t len, unsigned how, struct drv_err *err)
{
    (void)how;
    uint32_t n;
    return smb2_get_write(msg, len, &n, err);
}

// The answer's list, with exactly the room that was asked for.
static int list(const uint8_t *data, size_t len, uint64_t offset, uint64_t span, unsigned max,
                struct drv_err *err)
{
    DRV_AUTO_FREE struct smb2_range *r = malloc(max ? max * sizeof *r : 1);
    unsigned n;
    FUZZ_CHECK(r);
    if (smb2_get_ranges(data, len, offset, span, r, max, &n, err) < 0)
        return -1;
    FUZZ_CHECK(n <= max && n <= len / 16);
    uint64_t reached = offset;
    for (unsigned i = 0; i < n; i++) {
        FUZZ_CHECK(r[i].len > 0 && r[i].offset >= reached && r[i].len <= INT64_MAX - r[i].offset);
        reached = r[i].offset + r[i].len;
        FUZZ_CHECK(reached - offset <= span);
    }
    return 0;
}

static int ranges(const uint8_t *msg, size_t len, unsigned how, struct drv_err *err)
{
    uint64_t window[2];
    if (len < sizeof window)
        return drv_err(err, DRV_EPEER, "too short");
    memcpy(window, msg, sizeof window);
    return list(msg + sizeof window, len - sizeof window, window[0], window[1], how, err);
}

static int ioctl_(const uint8_t *msg, size_t len, unsigned how, struct drv_err *err)
{
    const uint8_t *data;
    size_t n;
    const uint32_t code = how == 0 ? SMB2_FSCTL_SET_SPARSE : SMB2_FSCTL_QUERY_ALLOCATED_RANGES;
    if (smb2_get_ioctl(msg, len, code, &data, &n, err) < 0)
        return -1;
    touch(msg, len, data, n);
    return list(data, n, (uint64_t)how << 16, UINT64_MAX, how, err);
}

static int info(const uint8_t *msg, size_t len, unsigned how, struct drv_err *err)
{
    struct smb2_info_reply r;
    if (smb2_get_query_info(msg, len, (enum smb2_info)(how % SMB2_INFO_MAX_), &r, err) < 0)
        return -1;
    FUZZ_CHECK(r.size_bytes <= INT64_MAX && r.allocated_bytes <= INT64_MAX);
    FUZZ_CHECK(r.free_bytes <= INT64_MAX && r.total_bytes <= INT64_MAX);
    return 0;
}

static int empty(const uint8_t *msg, size_t len, unsigned how, struct drv_err *err)
{
    static const enum smb2_command commands[] = {
        SMB2_LOGOFF, SMB2_TREE_DISCONNECT, SMB2_CLOSE, SMB2_FLUSH, SMB2_ECHO, SMB2_SET_INFO};
    return smb2_get_empty(msg, len, commands[how % DRV_ARRAY_LEN(commands)], err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int (*const decoders[])(const uint8_t *, size_t, unsigned, struct drv_err *) = {
        header,  negotiate, session_setup, tree_connect, create, read_at,
        written, ranges,    ioctl_,        info,         empty};
    if (size == 0 || data[0] % 16 >= DRV_ARRAY_LEN(decoders))
        return 0;
    struct drv_err err = DRV_ERR_INIT;
    int rc = decoders[data[0] % 16](data + 1, size - 1, data[0] / 16, &err);
    FUZZ_CHECK(rc == 0 ? err.code == DRV_OK : err.code == DRV_EPEER && err.msg[0]);
    return 0;
}
