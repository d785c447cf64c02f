// SPDX-License-Identifier: GPL-3.0-or-later
// Numbers of the NBD protocol (doc/proto.md of the NBD project), as far as we speak it. All
// integers on the wire are big-endian.
#ifndef DROVER_STORE_NBD_PROTO_H
#define DROVER_STORE_NBD_PROTO_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define NBD_MAGIC UINT64_C(0x4e42444d41474943)        // "NBDMAGIC"
#define NBD_OPTION_MAGIC UINT64_C(0x49484156454F5054) // "IHAVEOPT"
#define NBD_REPLY_MAGIC UINT64_C(0x0003e889045565a9)
#define NBD_REQUEST_MAGIC 0x25609513u
#define NBD_SIMPLE_MAGIC 0x67446698u
#define NBD_CHUNK_MAGIC 0x668e33efu

enum {
    // handshake flags, both ways
    NBD_HS_FIXED_NEWSTYLE = 1,
    NBD_HS_NO_ZEROES = 2,
    // options
    NBD_OPT_EXPORT_NAME = 1,
    NBD_OPT_ABORT = 2,
    NBD_OPT_LIST = 3,
    NBD_OPT_INFO = 6,
    NBD_OPT_GO = 7,
    NBD_OPT_STRUCTURED_REPLY = 8,
    NBD_OPT_LIST_META = 9,
    NBD_OPT_SET_META = 10,
    // replies to options
    NBD_REP_ACK = 1,
    NBD_REP_SERVER = 2,
    NBD_REP_INFO = 3,
    NBD_REP_META = 4,
    // information
    NBD_INFO_EXPORT = 0,
    NBD_INFO_BLOCK_SIZE = 3,
    // transmission flags
    NBD_T_HAS_FLAGS = 1,
    NBD_T_FLUSH = 4,
    NBD_T_FUA = 8,
    NBD_T_TRIM = 0x20,
    NBD_T_ZEROES = 0x40,
    NBD_T_MULTI_CONN = 0x100,
    NBD_T_FAST_ZERO = 0x800,
    // commands and their flags
    NBD_CMD_READ = 0,
    NBD_CMD_WRITE = 1,
    NBD_CMD_DISC = 2,
    NBD_CMD_FLUSH = 3,
    NBD_CMD_TRIM = 4,
    NBD_CMD_ZEROES = 6,
    NBD_CMD_STATUS = 7,
    NBD_F_FUA = 1,
    NBD_F_REQ_ONE = 8,
    // structured replies
    NBD_CHUNK_DONE = 1,
    NBD_CHUNK_NONE = 0,
    NBD_CHUNK_DATA = 1,
    NBD_CHUNK_STATUS = 5,
    NBD_CHUNK_ERROR = 0x8001,
    NBD_STATE_HOLE = 1,
    NBD_STATE_ZERO = 2,
    // sizes
    NBD_REQUEST_BYTES = 28,
    NBD_SIMPLE_BYTES = 16,
    NBD_CHUNK_BYTES = 20,
    NBD_OPTION_BYTES = 16,
};

#define NBD_REP_ERR_UNSUP 0x80000001u
#define NBD_REP_ERR_INVALID 0x80000003u
#define NBD_REP_ERR_UNKNOWN 0x80000006u

static inline uint16_t nbd_get16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return be16toh(v);
}

static inline uint32_t nbd_get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return be32toh(v);
}

static inline uint64_t nbd_get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return be64toh(v);
}

// Each returns what follows what it wrote.
static inline uint8_t *nbd_put16(uint8_t *p, uint16_t v)
{
    v = htobe16(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

static inline uint8_t *nbd_put32(uint8_t *p, uint32_t v)
{
    v = htobe32(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

static inline uint8_t *nbd_put64(uint8_t *p, uint64_t v)
{
    v = htobe64(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

#endif
