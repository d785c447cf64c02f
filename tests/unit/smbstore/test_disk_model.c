// SPDX-License-Identifier: GPL-3.0-or-later
// A guest's disk through thousands of random outages, with every answer compared to a model.
//
// The file server is hostile_server.h; drover-store itself is killed at any moment, its log living
// on.
//
// Promises checked: a read gives what was answered last, or what is under way; when a FLUSH or a
// FUA change is answered, or settling is over, the server's disk itself has it; in the end nothing
// that was answered is missing; nobody waits for ever.
#include "hostile_server.h"

#include "drover/util.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BIG_LOG = 1 << 20,
    SMALL_LOG = 64 * 1024,
    GUESTS = 24,
    MAX_LEN = 8192,
    STEPS = 2500,
    SEEDS = 80,
    FOREVER = 100000,
};

// --- the model ---

struct change {
    uint32_t id;
    bool zero;
    uint64_t offset, len;
    uint64_t asked, done; // when, last; 0: not yet
};

enum guest_state { FREE, ASKED, PARKED }; // PARKED: failed, to be tried again as QEMU does

struct guest {
    struct nbd_request r; // first member
    enum guest_state state;
    unsigned change; // index, of a change
    uint64_t asked;  // when
    uint8_t data[MAX_LEN], before[DISK];
    struct nbd_extent extents[NBD_EXTENTS_MAX];
};

static struct {
    uint64_t now;
    uint8_t told[DISK];        // the newest content that was answered
    uint64_t told_asked[DISK]; // when it was asked for: of changes under way together the later one
                               // counts, whichever is answered first
    struct change changes[STEPS + 1];
    unsigned n_changes;
    struct guest guests[GUESTS];
    bool ending;      // no new requests
    unsigned checked; // bytes, so that a test that tests nothing is seen
} model;

static uint8_t content(const struct change *c, uint64_t pos)
{
    return c->zero ? 0 : (uint8_t)(c->id * 61 + pos * 7 + pos / PAGE * 13) | 1;
}

// May this byte be what is there? Before a change that was not answered at `since` it may be the
// old one, the new one, or in between for good.
static bool possible(uint8_t byte, uint64_t pos, uint8_t before, uint64_t since)
{
    if (byte == before)
        return true;
    for (unsigned i = model.n_changes; i-- > 0;) {
        const struct change *c = &model.changes[i];
        if (pos >= c->offset && pos < c->offset + c->len && (!c->done || c->done > since) &&
            content(c, pos) == byte)
            return true;
    }
    return false;
}

static void check(const char *what, const uint8_t *bytes, uint64_t offset, uint64_t len,
                  const uint8_t *before, uint64_t since)
{
    for (uint64_t i = 0; i < len; i++)
        if (!possible(bytes[i], offset + i, before[i], since))
            fail_msg("%s: byte %u is %u, was %u", what, (unsigned)(offset + i), bytes[i],
                     before[i]);
    model.checked += (unsigned)len;
}

static void check_extents(const struct guest *g)
{
    static const uint8_t zeros[DISK];
    uint64_t pos = g->r.offset;
    assert_true(g->r.n_extents > 0);
    for (unsigned i = 0; i < g->r.n_extents; i++) {
        const struct nbd_extent *e = &g->r.extents[i];
        assert_true(e->len > 0 && pos + e->len <= DISK);
        if (e->hole)
            check("hole", zeros, pos, e->len, g->before + pos, g->asked);
        pos += e->len;
    }
    assert_true(pos <= g->r.offset + g->r.len);
}

static bool changes(const struct guest *g)
{
    return g->r.op == NBD_OP_WRITE || g->r.op == NBD_OP_ZERO || g->r.op == NBD_OP_TRIM;
}

static void answered_change(struct guest *g)
{
    struct change *c = &model.changes[g->change];
    c->done = ++model.now;
    for (uint64_t pos = c->offset; pos < c->offset + c->len; pos++) {
        if (c->asked < model.told_asked[pos])
            continue;
        model.told[pos] = content(c, pos);
        model.told_asked[pos] = c->asked;
    }
    if (g->r.fua)
        check("durable after FUA", fs.disk + c->offset, c->offset, c->len, model.told + c->offset,
              c->asked);
}

void nbd_done(struct nbd_request *r, int errnum)
{
    struct guest *g = (struct guest *)r;
    assert_int_equal(g->state, ASKED);
    g->state = errnum ? PARKED : FREE;
    if (errnum)
        return;
    if (changes(g))
        answered_change(g);
    else if (r->op == NBD_OP_READ)
        check("read", g->data, r->offset, r->len, g->before + r->offset, g->asked);
    else if (r->op == NBD_OP_FLUSH)
        check("durable after FLUSH", fs.disk, 0, DISK, g->before, g->asked);
    else
        check_extents(g);
}

// --- the guest ---

static struct drv_loop *loop;
static struct replay *rlog;
static struct disk *disk;
static char log_path[64];
static size_t log_bytes;
static bool attached;
static struct smb2_conn *const conn = (struct smb2_conn *)1; // never looked into
static const struct smb2_fid fid = {1, 2};

static void on_resume(void *arg)
{
    (void)arg;
}

static void on_broken(void *arg, uint32_t status)
{
    (void)arg;
    fail_msg("broken: %x", status);
}

// A request that is not to be had now (a full log) is not asked.
static void submit(struct guest *g)
{
    if (g->r.op == NBD_OP_WRITE) {
        g->r.user = NULL;
        g->r.data = disk_nbd_ops.write_buffer(disk, &g->r);
        if (!g->r.data) {
            g->state = PARKED;
            return;
        }
        for (uint32_t i = 0; i < g->r.len; i++)
            g->r.data[i] = content(&model.changes[g->change], g->r.offset + i);
    } else {
        g->r.data = g->data;
        memset(g->data, 0xaa, sizeof g->data);
    }
    if (changes(g))
        model.changes[g->change].asked = ++model.now;
    g->r.extents = g->extents;
    g->r.n_extents = 0;
    if (!changes(g)) {
        memcpy(g->before, model.told, DISK);
        g->asked = model.now;
    }
    g->state = ASKED;
    disk_nbd_ops.submit(disk, &g->r);
}

static void ask_something(struct guest *g)
{
    static const enum nbd_op ops[] = {NBD_OP_WRITE, NBD_OP_WRITE,  NBD_OP_WRITE, NBD_OP_WRITE,
                                      NBD_OP_ZERO,  NBD_OP_TRIM,   NBD_OP_READ,  NBD_OP_READ,
                                      NBD_OP_READ,  NBD_OP_STATUS, NBD_OP_FLUSH};
    enum nbd_op op = ops[dice(DRV_ARRAY_LEN(ops))];
    uint32_t len = dice(3) ? (1 + dice(MAX_LEN / PAGE)) * PAGE : 1 + dice(MAX_LEN);
    uint64_t offset = dice(2) ? dice(DISK - len + 1) : dice((DISK - len) / PAGE + 1) * PAGE;
    if (dice(3) == 0) // many in the same place
        offset %= 2 * MAX_LEN;
    if (op == NBD_OP_FLUSH)
        offset = len = 0;
    if (op == NBD_OP_STATUS)
        len = 1 + dice((unsigned)(DISK - offset));
    g->r = (struct nbd_request){.op = op, .offset = offset, .len = len};
    if (changes(g)) {
        if (model.n_changes == STEPS)
            return;
        g->r.fua = dice(8) == 0;
        g->change = model.n_changes++;
        model.changes[g->change] = (struct change){
            .id = g->change + 1, .zero = op != NBD_OP_WRITE, .offset = offset, .len = len};
    }
    submit(g);
}

// In the order in which they were asked first.
static void ask_again(void)
{
    for (;;) {
        struct guest *first = NULL;
        for (unsigned i = 0; i < GUESTS; i++) {
            struct guest *g = &model.guests[i];
            if (g->state == PARKED && (!first || g->change < first->change))
                first = g;
        }
        if (!first)
            return;
        submit(first);
        if (first->state == PARKED)
            return; // no room yet
    }
}

static void answer_some(unsigned n)
{
    while (n-- > 0 && fs.n)
        answer_one();
}

// --- outages ---

static uint32_t told_status;
static bool told;

static void note_status(void *arg, uint32_t status)
{
    (void)arg;
    told = true;
    told_status = status;
}

static void server_mischief(void)
{
    for (unsigned i = dice(20); i > 0; i--)
        write_back(dice(PAGES));
    for (unsigned i = dice(20); i > 0; i--)
        drop_clean_page(dice(PAGES));
}

static void begin_replay(void)
{
    fs.dead = false;
    fs.may_refuse = true; // the owner gives up then, and a person tries again
    told = false;
    disk_replay(disk, conn, &fid, note_status, NULL);
}

static void guests_go_on(void)
{
    for (unsigned k = model.ending ? 0 : dice(4); k > 0; k--) {
        struct guest *g = &model.guests[dice(GUESTS)];
        if (g->state == FREE)
            ask_something(g);
    }
}

// As handles.c does: the log first, then the handle. May be cut short again and again.
static void recover(bool was_failed)
{
    for (;;) {
        begin_replay();
        bool short_one = dice(3) == 0;
        for (int i = 0; !told && !(short_one && dice(10) == 0); i++) {
            assert_true(i < FOREVER);
            assert_true(fs.n > 0); // or it would wait for ever
            answer_one();
            if (dice(10) == 0)
                guests_go_on();
        }
        if (told && told_status == SMB2_OK)
            break;
        cut();
        assert_true(told);
        if (dice(2))
            server_crash();
        server_mischief();
    }
    disk_attach(disk, conn, &fid);
    if (was_failed)
        disk_heal(disk);
    attached = fs.may_refuse = true;
}

static void end_connection(void)
{
    attached = fs.may_refuse = false;
    cut();
    disk_detach(disk);
}

static void start_disk(void)
{
    static const struct disk_owner owner = {.resume = on_resume, .broken = on_broken};
    struct drv_err err = DRV_ERR_INIT;
    bool found = false;
    rlog = replay_open(log_path, log_bytes, &found, &err);
    if (!rlog)
        fail_msg("%s", err.msg);
    disk = disk_new(loop, &io, rlog, &owner, NULL);
    assert_non_null(disk);
    disk_set_size(disk, DISK, fs.bytes);
    disk_set_writable(disk, true);
}

static void copy_file(const char *from, const char *to)
{
    static uint8_t buf[1 << 16];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(in >= 0 && out >= 0);
    ssize_t n;
    while ((n = read(in, buf, sizeof buf)) > 0)
        assert_int_equal(write(out, buf, (size_t)n), n);
    close(in);
    close(out);
}

// kill -9: of the process nothing but the log is left, as it is now.
static void kill_and_replace(void)
{
    char copy[80];
    snprintf(copy, sizeof copy, "%s.copy", log_path);
    copy_file(log_path, copy);
    end_connection();
    disk_free(disk);
    replay_close(rlog, true);
    assert_int_equal(rename(copy, log_path), 0);
    start_disk();
}

static void finish_all(void)
{
    for (int i = 0;; i++) {
        bool waits = false;
        assert_true(i < FOREVER);
        ask_again();
        for (unsigned g = 0; g < GUESTS; g++)
            waits |= model.guests[g].state != FREE;
        if (!waits && !fs.n)
            return;
        assert_true(fs.n > 0); // or somebody would wait for ever
        answer_one();
    }
}

// Nobody asks for anything new: then all get their answers.
static void rest(void)
{
    model.ending = true;
    finish_all();
    model.ending = false;
}

static void outage(void)
{
    unsigned kind = dice(4);
    bool failed = kind == 1;
    if (failed && dice(2))
        disk_fail(disk);
    if (kind == 0)
        kill_and_replace();
    else
        end_connection();
    if (failed)
        disk_fail(disk);
    if (dice(2))
        server_crash();
    server_mischief();
    guests_go_on();
    recover(failed);
    if (dice(3) == 0)
        rest();
}

// Of a hand-over: nothing is written any more, and all is durable.
static void settle(void)
{
    disk_set_writable(disk, false);
    told = false;
    disk_settle(disk, note_status, NULL);
    bool ends = dice(5) == 0;
    for (int i = 0; !told; i++) {
        assert_true(i < FOREVER);
        if (ends && dice(10) == 0) {
            end_connection();
            assert_true(told);
        } else if (!told) {
            assert_true(fs.n > 0);
            answer_one();
        }
    }
    if (told_status == SMB2_OK) {
        check("durable after settling", fs.disk, 0, DISK, model.told, model.now);
        for (unsigned i = 0; i < fs.n; i++)
            assert_true(fs.ops[i].op == OP_READ || fs.ops[i].op == OP_RANGES);
    }
    if (!attached)
        recover(false);
    disk_set_writable(disk, true);
}

// --- a life ---

static void begin(unsigned number)
{
    struct drv_err err = DRV_ERR_INIT;
    seed = number;
    memset(&fs, 0, sizeof fs);
    memset(&model, 0, sizeof model);
    loop = drv_loop_new(&err);
    log_bytes = number % 3 ? BIG_LOG : SMALL_LOG;
    snprintf(log_path, sizeof log_path, "/dev/shm/test-disk-model-%d", (int)getpid());
    start_disk();
    disk_attach(disk, conn, &fid);
    attached = fs.may_refuse = true;
}

static void end(void)
{
    model.ending = true;
    finish_all();
    check("read back", fs.cache, 0, DISK, model.told, model.now);
    if (dice(2))
        kill_and_replace();
    else
        end_connection();
    server_crash();
    recover(false);
    finish_all();
    assert_memory_equal(fs.disk, model.told, DISK);
    assert_false(replay_dirty(rlog));
    end_connection();
    disk_free(disk);
    replay_close(rlog, true);
    drv_loop_free(loop);
    assert_true(model.checked > DISK);
}

static void live(unsigned number)
{
    begin(number);
    for (int step = 0; step < STEPS; step++) {
        guests_go_on();
        ask_again();
        answer_some(dice(6));
        if (dice(20) == 0)
            server_mischief();
        if (dice(150) == 0 && !fs.flush_failed) // two in a row are for good
            fs.fail_flush = true;
        if (dice(80) == 0)
            outage();
        if (dice(150) == 0)
            settle();
        if (dice(100) == 0)
            rest();
    }
    end();
}

static void whatever_happens_the_guest_reads_what_it_was_told(void **state)
{
    (void)state;
    const char *one = getenv("DISK_MODEL_SEED"); // to see one again
    for (unsigned i = 1; i <= SEEDS; i++) {
        if (one && i != (unsigned)atoi(one))
            continue;
        print_message("seed %u\n", i);
        live(i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_the_guest_reads_what_it_was_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
