// SPDX-License-Identifier: GPL-3.0-or-later
// The client of smb2.h for threads that may wait: one request at a time, and its status.
#ifndef DROVER_STORE_SMB_CALL_H
#define DROVER_STORE_SMB_CALL_H

#include "smb2.h"
#include "smb_wait.h"

// Fill in what `run` needs, and conn; results stand in it afterwards.
struct smb_call {
    struct smb_wait wait; // first member
    struct smb2_request smb;
    void (*run)(struct smb_call *c);
    struct smb2_conn *conn;
    const struct smb2_fid *fid; // all but open
    void *buf;                  // read, write
    uint32_t len;
    uint64_t offset;     // read, write, zero, ranges
    uint64_t span;       // zero, ranges: bytes; set_eof: the new size
    bool write_through;  // write
    enum smb2_info what; // query
    struct smb2_range *ranges;
    unsigned max_ranges;
    struct smb2_create how;      // open
    struct smb2_opened opened;   // open
    struct smb2_info_reply info; // query
};

// Run it on the loop, wait for it, and return its status. Any thread but the loop's. The client
// gives up a connection that says nothing, so it ends.
uint32_t smb_call(struct drv_loop *loop, struct smb_call *c, void (*run)(struct smb_call *c));

// `how` for a new file of ours that nobody else may write and that goes when it is closed.
struct smb2_create smb_call_scratch(const char *path);

// What run can be: see the functions of the same names in smb2.h.
void smb_call_open(struct smb_call *c);
void smb_call_close(struct smb_call *c);
void smb_call_read(struct smb_call *c);
void smb_call_write(struct smb_call *c);
void smb_call_flush(struct smb_call *c);
void smb_call_set_eof(struct smb_call *c);
void smb_call_query(struct smb_call *c);
void smb_call_sparse(struct smb_call *c);
void smb_call_zero(struct smb_call *c);
void smb_call_ranges(struct smb_call *c);
void smb_call_echo(struct smb_call *c);

// A connection without a predecessor, of which nobody is told how it ends. NULL: err.
struct smb2_conn *smb_call_connect(struct drv_loop *loop, const struct smb2_config *cfg,
                                   struct drv_err *err);

#endif
