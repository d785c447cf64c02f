// SPDX-License-Identifier: GPL-3.0-or-later
// smb2_wire SMB_URL_OF_A_NEW_FILE [--no-encryption]: every request of drover's SMB client against a
// real server, as whoever the credential cache says. Prints what was agreed on; the first thing
// that is not as it should be ends it. Its copy of the client logs the session's keys, for
// Wireshark, to the file $DROVER_SMB_KEYLOG.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drover/store.h"
#include "drover/util.h"
#include "drover/worker.h"
#include "smb_call.h"

enum { BLOCK = 4096, BURST = 64, BIG = SMB2_IO_MAX, RANGES = 16 };

static struct {
    struct drv_loop *loop;
    struct ss_url url;
    bool no_encryption;
    struct smb2_conn *conn;
    struct smb2_fid fid;
} t;

#define CHECK(what, cond)                                                                          \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, what);                              \
            exit(EXIT_FAILURE);                                                                    \
        }                                                                                          \
    } while (0)

static uint32_t call(struct smb_call *c, void (*run)(struct smb_call *c))
{
    c->conn = t.conn;
    c->fid = &t.fid;
    return smb_call(t.loop, c, run);
}

static void ok(const char *what, uint32_t status)
{
    char name[16];
    if (status == SMB2_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, smb2_status_name(status, name));
    exit(EXIT_FAILURE);
}

static void connect_and_tell(void)
{
    struct drv_err err = DRV_ERR_INIT;
    struct smb2_tickets *tickets = smb2_tickets_new(NULL, NULL, &err);
    const struct smb2_config cfg = {.server = t.url.server,
                                    .share = t.url.share,
                                    .tickets = tickets,
                                    .no_encryption = t.no_encryption};
    t.conn = tickets ? smb_call_connect(t.loop, &cfg, &err) : NULL;
    CHECK(err.msg, t.conn);
    struct smb2_about a;
    smb2_about(t.conn, &a);
    printf("%s %s\n", t.no_encryption ? "" : smb2_cipher_name(a.cipher),
           smb2_signing_name(a.signing));
}

static void create(void)
{
    struct smb_call c = {.how = smb_call_scratch(t.url.path)};
    ok("create", call(&c, smb_call_open));
    t.fid = c.opened.fid;
    CHECK("the server tells no file id", c.opened.has_ids);
    struct smb_call again = {.how = c.how};
    CHECK("an exclusive create of a file that exists", call(&again, smb_call_open) != SMB2_OK);
    again.how.disposition = SMB2_DISP_OPEN;
    CHECK("a second writer", smb2_errno(call(&again, smb_call_open)) == EBUSY);
}

static struct smb2_info_reply standard(void)
{
    struct smb_call c = {.what = SMB2_INFO_STANDARD};
    ok("query", call(&c, smb_call_query));
    return c.info;
}

static void sizes(void)
{
    struct smb_call c = {.span = 8ULL << 20};
    ok("set end of file", call(&c, smb_call_set_eof));
    CHECK("a longer file", standard().size_bytes == c.span);
    c.span = 3ULL << 40;
    ok("set end of file, 3 TiB", call(&c, smb_call_set_eof));
    CHECK("a file of 3 TiB", standard().size_bytes == c.span);
    c.span = 4 << 20;
    ok("set end of file back", call(&c, smb_call_set_eof));
    CHECK("a shorter file", standard().size_bytes == c.span);
    CHECK("a sparse file", standard().allocated_bytes <= 1 << 20);
    struct smb_call volume = {.what = SMB2_INFO_VOLUME}, space = {.what = SMB2_INFO_FULL_SIZE},
                    id = {.what = SMB2_INFO_INTERNAL};
    ok("query, volume", call(&volume, smb_call_query));
    ok("query, file id", call(&id, smb_call_query));
    CHECK("a file id", id.info.file_id);
    ok("query, space", call(&space, smb_call_query));
    CHECK("free space", space.info.free_bytes && space.info.free_bytes <= space.info.total_bytes);
}

static void data(void)
{
    DRV_AUTO_FREE uint8_t *out = drv_xcalloc(1, BIG), *in = drv_xcalloc(1, BIG);
    for (unsigned i = 0; i < BIG; i++)
        out[i] = (uint8_t)(i * 31 + (i >> 8));
    struct smb_call w = {.buf = out, .len = BIG, .offset = 1 << 20};
    struct smb_call r = {.buf = in, .len = BIG, .offset = 1 << 20};
    ok("write", call(&w, smb_call_write));
    w.offset = 12345;
    w.len = 1;
    w.write_through = true;
    ok("write through", call(&w, smb_call_write));
    ok("flush", call(&w, smb_call_flush));
    ok("read", call(&r, smb_call_read));
    CHECK("what was read", r.smb.got == BIG && memcmp(in, out, BIG) == 0);
    r.offset = (4 << 20) - 10;
    ok("read to the end", call(&r, smb_call_read));
    CHECK("the end of the file", r.smb.got == 10);
    r.offset = 4 << 20;
    CHECK("past the end", call(&r, smb_call_read) == SMB2_S_END_OF_FILE);

    struct smb2_range ranges[RANGES];
    struct smb_call s = {.span = 4 << 20, .ranges = ranges, .max_ranges = RANGES};
    ok("sparse", call(&s, smb_call_sparse));
    ok("ranges", call(&s, smb_call_ranges));
    CHECK("two ranges", s.smb.got == 2 && ranges[1].offset == 1 << 20 && ranges[1].len == BIG);
    s.offset = 1 << 20;
    s.span = BIG / 2;
    ok("zero", call(&s, smb_call_zero));
    r.offset = 1 << 20;
    ok("read", call(&r, smb_call_read));
    memset(out, 0, BIG / 2);
    CHECK("zeroes, and the rest", memcmp(in, out, BIG) == 0);
    ok("echo", call(&s, smb_call_echo));
}

// --- many at once, some of them taken back ---

struct burst {
    struct smb_wait wait; // first member
    struct smb2_request smb[BURST];
    uint8_t *buf;
    unsigned left, cancelled;
};

static struct burst *bursting; // loop thread

static void burst_done(struct smb2_request *r, uint32_t status)
{
    (void)r;
    if (status == SMB2_S_CANCELLED)
        bursting->cancelled++;
    else
        ok("one of many", status);
    if (--bursting->left == 0)
        smb_wait_end(&bursting->wait, SMB2_OK);
}

static void burst_start(struct smb_wait *w)
{
    struct burst *b = (struct burst *)w;
    bursting = b;
    b->left = BURST;
    for (unsigned i = 0; i < BURST; i++) {
        b->smb[i].done = burst_done;
        if (i % 4 == 3)
            smb2_flush(t.conn, &b->smb[i], &t.fid);
        else
            smb2_write(t.conn, &b->smb[i], &t.fid, b->buf, BIG / 4, (uint64_t)i * BIG / 4, false);
    }
    for (unsigned i = 0; i < BURST; i += 2) // sent ones at the front, waiting ones at the back
        smb2_cancel(t.conn, &b->smb[i]);
}

static void burst(void)
{
    struct burst b = {.buf = drv_xcalloc(1, BIG)};
    ok("a burst", smb_wait_run(t.loop, &b.wait, burst_start));
    CHECK("nothing was cancelled, not even what had not been sent", b.cancelled);
    struct smb_call c = {.buf = b.buf, .len = BLOCK};
    ok("and all goes on", call(&c, smb_call_read));
    free(b.buf);
}

static void work(void *arg)
{
    (void)arg;
    struct smb_call c = {.buf = NULL};
    connect_and_tell();
    create();
    sizes();
    data();
    burst();
    ok("close", call(&c, smb_call_close));
    CHECK("a closed file", call(&c, smb_call_flush) != SMB2_OK);
}

static void worked(void *arg)
{
    (void)arg;
    smb2_free(t.conn);
    drv_loop_stop(t.loop);
}

int main(int argc, char **argv)
{
    struct drv_err err = DRV_ERR_INIT;
    t.no_encryption = argc == 3 && !strcmp(argv[2], "--no-encryption");
    CHECK("usage: smb2_wire URL [--no-encryption]", argc == 2 || t.no_encryption);
    t.loop = drv_loop_new(&err);
    CHECK(err.msg, t.loop && ss_url_parse(argv[1], &t.url, &err) == 0);
    CHECK("no thread", drv_work(t.loop, work, worked, NULL) == 0);
    drv_loop_run(t.loop);
    return EXIT_SUCCESS;
}
