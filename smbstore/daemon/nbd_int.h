// SPDX-License-Identifier: GPL-3.0-or-later
// The NBD server from within: see nbd.h. nbd.c has server and connections, nbd_handshake.c the
// options, nbd_io.c requests and answers.
#ifndef DROVER_STORE_NBD_INT_H
#define DROVER_STORE_NBD_INT_H

#include "nbd.h"
#include "nbd_proto.h"

#include "drover/util.h"
#include <event2/event.h>
#include <sys/queue.h>

enum {
    NBD_IN_BYTES = 64 * 1024,
    NBD_OUT_MAX = 8 << 20,    // answers not sent yet; then no more requests are taken
    NBD_DRAIN_MAX = 64 << 20, // longest write that is refused rather than the connection ended
    NBD_OPTION_MAX = 8192,    // bytes of one option
    NBD_OPTIONS_MAX = 64,     // per connection
    NBD_HANDSHAKE_S = 10,
    NBD_SIZE_CLASSES = 3, // of READ buffers: 4 KiB, 64 KiB, 1 MiB
};

// A request and, when it is done, its answer.
struct nbd_io {
    struct nbd_request r; // first member
    struct nbd_conn *conn;
    uint64_t cookie;
    STAILQ_ENTRY(nbd_io) link; // in the connection's answers
    size_t head_len, data_len, sent;
    uint8_t *data;  // READ's bytes, or a status answer
    int size_class; // of data; -1: malloc'd
    uint8_t head[NBD_CHUNK_BYTES + 8];
};

enum nbd_phase { NBD_CLIENT_FLAGS, NBD_OPTIONS, NBD_TRANSMISSION, NBD_CLOSED };

struct nbd_conn {
    struct nbd_server *server;
    LIST_ENTRY(nbd_conn) link;
    int fd;
    enum nbd_phase phase;
    struct event *readable, *writable, *flush, *timeout;
    bool no_zeroes, structured, meta;
    bool reading, flush_due, blocked_out;
    unsigned options;
    unsigned in_flight; // submitted and not done
    unsigned busy;      // entries from outside on the stack

    uint8_t *in;
    size_t start, end;
    struct nbd_io *receiving; // a WRITE whose payload is coming
    size_t received;
    struct nbd_io *refused; // a request whose payload is thrown away before it is answered
    int refused_errno;
    size_t drain;
    struct nbd_io *waiting; // a WRITE that has no buffer yet

    STAILQ_HEAD(nbd_answers, nbd_io) out;
    size_t out_bytes;
};

struct nbd_buffer {
    struct nbd_buffer *next;
};

struct nbd_server {
    struct drv_loop *loop;
    const struct nbd_ops *ops;
    void *arg;
    uid_t uid;
    int fd;
    char *path;
    struct event *acceptable;
    LIST_HEAD(nbd_conns, nbd_conn) conns;
    unsigned n_conns;
    unsigned refs; // the owner's, one per connection that is not gone
    struct nbd_buffer *spare[NBD_SIZE_CLASSES];
    unsigned n_spare[NBD_SIZE_CLASSES];
};

// --- nbd.c ---
void nbd_adopt(struct nbd_server *s, int fd); // a connected, non-blocking socket becomes a client
void nbd_close(struct nbd_conn *c); // end of the connection; it is gone when its requests are
void nbd_enter(struct nbd_conn *c);
void nbd_leave(struct nbd_conn *c);
int nbd_send_all(struct nbd_conn *c, const void *data, size_t len); // handshake: small, at once

// --- nbd_handshake.c ---
// Take what is in the buffer. -1: end the connection.
int nbd_handshake(struct nbd_conn *c);
int nbd_greet(struct nbd_conn *c);

// --- nbd_io.c ---
int nbd_transmission(struct nbd_conn *c);    // likewise
bool nbd_may_read(const struct nbd_conn *c); // are more requests welcome?
int nbd_send_answers(struct nbd_conn *c);    // 1 all sent, 0 socket full, -1
void nbd_resume_write(struct nbd_conn *c);   // the one that waits for a buffer, if any
void nbd_drop_all(struct nbd_conn *c);       // what was not submitted, and answers
void nbd_free_spares(struct nbd_server *s);

#endif
