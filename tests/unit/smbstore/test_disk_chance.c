// SPDX-License-Identifier: GPL-3.0-or-later
// The data path of a disk at random: guests' requests, answers in any order, lost connections and a
// server that dies, compared with what the guests were told. test_disk_model.c is crueller.
#include "disk_rig.h"

enum { GUESTS = 24 };

static struct {
    uint8_t told[DISK]; // newest content that was answered
} model;

static bool overlaps_change(const struct ask *asks, const bool *used, unsigned self)
{
    const struct nbd_request *r = &asks[self].r;
    for (unsigned i = 0; i < GUESTS; i++) {
        const struct nbd_request *o = &asks[i].r;
        if (i != self && used[i] && o->op != NBD_OP_READ && o->op != NBD_OP_FLUSH &&
            o->offset < r->offset + r->len && r->offset < o->offset + o->len)
            return true;
    }
    return false;
}

static void check_read(const struct ask *a)
{
    for (uint32_t i = 0; i < a->r.len; i++)
        if (a->data[i] != model.told[a->r.offset + i])
            fail_msg("byte %u reads %u, was told %u", (unsigned)(a->r.offset + i), a->data[i],
                     model.told[a->r.offset + i]);
}

// A guest request is done: remember what the guest was told.
static void conclude(struct ask *a)
{
    assert_int_equal(a->errnum, 0);
    if (a->r.op == NBD_OP_WRITE)
        memcpy(model.told + a->r.offset, a->data, a->r.len);
    else if (a->r.op == NBD_OP_ZERO)
        memset(model.told + a->r.offset, 0, a->r.len);
    else if (a->r.op == NBD_OP_READ)
        check_read(a);
}

static void random_request(struct ask *asks, bool *used, unsigned i, unsigned *seed)
{
    static const enum nbd_op ops[] = {NBD_OP_WRITE, NBD_OP_WRITE, NBD_OP_WRITE, NBD_OP_ZERO,
                                      NBD_OP_READ,  NBD_OP_READ,  NBD_OP_FLUSH};
    struct ask *a = &asks[i];
    enum nbd_op op = ops[(unsigned)rand_r(seed) % DRV_ARRAY_LEN(ops)];
    uint32_t len = (1 + (unsigned)rand_r(seed) % 16) * UNIT;
    uint64_t offset = (unsigned)rand_r(seed) % ((DISK - len) / UNIT) * (uint64_t)UNIT;
    memset(a, 0, offsetof(struct ask, data));
    a->r = (struct nbd_request){.op = op, .offset = offset, .len = op == NBD_OP_FLUSH ? 0 : len};
    // Overlapping changes of a real guest may end in any order; the model wants to know which.
    if (op != NBD_OP_FLUSH && overlaps_change(asks, used, i))
        return;
    if (op != NBD_OP_FLUSH && op != NBD_OP_READ)
        for (unsigned k = 0; k < GUESTS; k++) // nor a change under a read
            if (used[k] && asks[k].r.op == NBD_OP_READ && asks[k].r.offset < offset + len &&
                offset < asks[k].r.offset + asks[k].r.len)
                return;
    uint8_t fill = (uint8_t)rand_r(seed);
    used[i] = ask(a, op, offset, a->r.len, fill);
    if (used[i] && op == NBD_OP_WRITE) // the payload may be gone when it is answered
        memset(a->data, fill, len);
}

static void collect(struct ask *asks, bool *used)
{
    for (unsigned i = 0; i < GUESTS; i++)
        if (used[i] && asks[i].done) {
            conclude(&asks[i]);
            used[i] = false;
        }
}

// The server dies or the connection does, perhaps again while the log is being replayed.
static void random_outage(struct ask *asks, bool *used, unsigned *seed)
{
    bool dies = rand_r(seed) % 2;
    lose_connection((unsigned)rand_r(seed));
    collect(asks, used);
    if (dies)
        crash();
    while (rand_r(seed) % 3 == 0) {
        disk_replay(disk, conn, &fid, replayed, NULL);
        for (int k = rand_r(seed) % 8; k > 0 && fs.n; k--)
            answer((unsigned)rand_r(seed) % fs.n);
        cut((unsigned)rand_r(seed));
        if (rand_r(seed) % 2)
            crash();
    }
    recover();
    collect(asks, used);
}

static void run_model(unsigned seed)
{
    struct ask *asks = drv_xcalloc(GUESTS, sizeof *asks);
    bool used[GUESTS] = {false};
    void *none = NULL;
    memset(&model, 0, sizeof model);
    assert_int_equal(setup(&none), 0);
    for (int step = 0; step < 3000; step++) {
        unsigned i = (unsigned)rand_r(&seed) % GUESTS;
        if (!used[i])
            random_request(asks, used, i, &seed);
        for (int k = rand_r(&seed) % 4; k > 0 && fs.n; k--)
            answer((unsigned)rand_r(&seed) % fs.n);
        collect(asks, used);
        if (rand_r(&seed) % 100 == 0)
            random_outage(asks, used, &seed);
        if (rand_r(&seed) % 400 == 0 && !fs.flush_failed) // two in a row are for good
            fs.fail_flushes = 1;
    }
    fs.fail_flushes = 0;
    answer_all();
    collect(asks, used);
    crash(); // all that was answered comes back, flushed or not
    disk_detach(disk);
    recover();
    assert_memory_equal(fs.durable, model.told, DISK);
    assert_int_equal(broken_status, 0);
    teardown(&none);
    free(asks);
}

static void whatever_happens_the_guest_reads_what_it_was_told(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 60; seed++)
        run_model(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_the_guest_reads_what_it_was_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
