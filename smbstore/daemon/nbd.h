// SPDX-License-Identifier: GPL-3.0-or-later
// An NBD server for one export on a unix socket, in drover-store's event loop: fixed newstyle
// negotiation, NBD_OPT_GO, structured replies, the metadata context base:allocation, many requests
// in flight, many connections. Specification: the NBD project's doc/proto.md. Loop thread only.
//
// The other side of struct nbd_ops does the work: disk.h, a fake in unit tests, memory in benches.
#ifndef DROVER_STORE_NBD_H
#define DROVER_STORE_NBD_H

#include "drover/err.h"
#include "drover/loop.h"
#include <stdint.h>
#include <sys/types.h>

enum {
    NBD_PAYLOAD_MAX = 1 << 20, // announced as the largest block; longer requests are EINVAL
    NBD_REQUESTS_MAX = 128,    // in flight per connection; then its socket is not read
    NBD_CONNECTIONS_MAX = 16,
    NBD_EXTENTS_MAX = 1024, // per block-status answer
};

enum nbd_op { NBD_OP_READ, NBD_OP_WRITE, NBD_OP_FLUSH, NBD_OP_TRIM, NBD_OP_ZERO, NBD_OP_STATUS };

struct nbd_extent {
    uint64_t len;
    bool hole; // reads as zeros and is not allocated
};

// One request. Made and freed by the server; offset and len are within the export.
struct nbd_request {
    enum nbd_op op;
    bool fua;
    bool req_one; // STATUS: one extent is enough
    uint64_t offset;
    uint32_t len;
    uint8_t *data;              // WRITE: as given by write_buffer(). READ: len bytes to be filled.
    struct nbd_extent *extents; // STATUS: NBD_EXTENTS_MAX of them, to be filled from offset on
    unsigned n_extents;
    void *user; // free for the other side
};

struct nbd_ops {
    // Size of the export now, in bytes. Returns 0 or an errno (a client's negotiation then fails).
    int (*size)(void *arg, uint64_t *ret_bytes);
    // Where a write's payload shall be received. NULL: no room now; the connection waits until
    // nbd_server_resume(). May be called for a request that is then never submitted: discard().
    uint8_t *(*write_buffer)(void *arg, struct nbd_request *r);
    void (*discard)(void *arg, struct nbd_request *r); // the connection ended before submit()
    // Do it, now or later, and then nbd_done() once.
    void (*submit)(void *arg, struct nbd_request *r);
};

struct nbd_server;
// Listens on a unix socket at path (removed first), 0660, of group gid, for uid, root and
// ourselves.
struct nbd_server *nbd_server_new(struct drv_loop *loop, const char *path, uid_t uid, gid_t gid,
                                  const struct nbd_ops *ops, void *arg, struct drv_err *err);
// Ends all connections. Requests under way are still completed by the other side with nbd_done()
// before it is gone: their answers go nowhere. NULL allowed.
void nbd_server_free(struct nbd_server *s);
void nbd_server_resume(struct nbd_server *s); // ask write_buffer() again where it said NULL
unsigned nbd_server_connections(const struct nbd_server *s);

// The request is done: errnum 0 or a positive errno. r is gone afterwards (its data may be used
// until then). Also from within submit().
void nbd_done(struct nbd_request *r, int errnum);

#endif
