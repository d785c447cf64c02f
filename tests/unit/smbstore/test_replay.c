// SPDX-License-Identifier: GPL-3.0-or-later
// The replay log: what it gives back, when its ring is full, what it takes over. Its file damaged:
// test_replay_damage.c; its process killed: test_replay_kill.c.
#include "replay_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CAPACITY = 64 << 10 };

static off_t memory_of_file(void)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_blocks * 512;
}

// --- what it gives back ---

static void only_what_is_acknowledged_is_given_back(void **state)
{
    (void)state;
    static struct model m;
    memset(&m, 0, sizeof m);
    struct replay *r = new_log(CAPACITY);
    assert_false(replay_dirty(r));
    struct ack a = {.offset = 100, .len = 1000, .fill = 1}, b = {.offset = 50, .len = 100};
    struct replay_entry *first = put(r, &a);
    struct replay_entry *second = put(r, &b);
    assert_false(replay_dirty(r));
    assert_true(model_matches(&m, r));
    replay_acknowledge(r, first);
    model_acknowledge(&m, &a);
    assert_true(replay_dirty(r));
    assert_true(model_matches(&m, r));
    replay_drop(r, second);
    assert_true(model_matches(&m, r));
    replay_close(r, true);
    assert_int_equal(access(path, F_OK), -1);
}

static void newest_acknowledgement_wins_whatever_was_reserved_first(void **state)
{
    (void)state;
    static struct model m;
    memset(&m, 0, sizeof m);
    struct replay *r = new_log(CAPACITY);
    struct ack a = {.offset = 0, .len = 3000, .fill = 1},
               b = {.offset = 1000, .len = 100, .fill = 2},
               c = {.offset = 1050, .len = 4000, .zero = true};
    struct replay_entry *ea = put(r, &a), *eb = put(r, &b), *ec = put(r, &c);
    replay_acknowledge(r, ec);
    replay_acknowledge(r, ea);
    replay_acknowledge(r, eb);
    model_acknowledge(&m, &c);
    model_acknowledge(&m, &a);
    model_acknowledge(&m, &b);
    assert_true(model_matches(&m, r));
    replay_close(r, true);
}

struct pieces {
    struct {
        uint64_t offset, len;
        const uint8_t *data;
    } at[8];
    size_t n, stop_after;
};

static bool note_piece(void *arg, uint64_t offset, uint64_t len, const uint8_t *data)
{
    struct pieces *p = arg;
    assert_true(p->n < DRV_ARRAY_LEN(p->at));
    p->at[p->n].offset = offset;
    p->at[p->n].len = len;
    p->at[p->n].data = data;
    return ++p->n != p->stop_after;
}

static void zeros_may_be_of_any_size_and_a_walk_can_be_stopped(void **state)
{
    (void)state;
    struct replay *r = new_log(CAPACITY);
    struct replay_entry *all = replay_reserve_zero(r, 0, INT64_MAX);
    assert_null(replay_payload(all));
    struct replay_entry *hole = replay_reserve_data(r, UINT64_C(1) << 40, 512);
    memset(replay_payload(hole), 7, 512);
    replay_acknowledge(r, all);
    replay_acknowledge(r, hole);
    struct pieces p = {.n = 0};
    replay_walk(r, note_piece, &p);
    assert_int_equal(p.n, 3);
    assert_int_equal(p.at[0].len, UINT64_C(1) << 40);
    assert_null(p.at[0].data);
    assert_ptr_equal(p.at[1].data, replay_payload(hole));
    assert_int_equal(p.at[1].len, 512);
    assert_int_equal(p.at[2].offset, (UINT64_C(1) << 40) + 512);
    assert_int_equal(p.at[2].offset + p.at[2].len, INT64_MAX);
    p = (struct pieces){.stop_after = 2};
    replay_walk(r, note_piece, &p);
    assert_int_equal(p.n, 2);
    replay_close(r, true);
}

static void piece_goes_on_where_older_content_starts_and_zeros_join(void **state)
{
    (void)state;
    struct replay *r = new_log(CAPACITY);
    struct replay_entry *old = replay_reserve_data(r, 1000, 100);
    struct replay_entry *new = replay_reserve_data(r, 0, 4096);
    struct replay_entry *z1 = replay_reserve_zero(r, 8192, 100);
    struct replay_entry *z2 = replay_reserve_zero(r, 8292, 100);
    memset(replay_payload(old), 1, 100);
    memset(replay_payload(new), 2, 4096);
    replay_acknowledge(r, old);
    replay_acknowledge(r, new);
    replay_acknowledge(r, z2);
    replay_acknowledge(r, z1);
    struct pieces p = {.n = 0};
    replay_walk(r, note_piece, &p);
    assert_int_equal(p.n, 2);
    assert_int_equal(p.at[0].len, 4096);
    assert_int_equal(p.at[1].offset, 8192);
    assert_int_equal(p.at[1].len, 200);
    replay_close(r, true);
}

// --- flushes ---

static void flush_takes_what_was_acknowledged_before_it_was_sent(void **state)
{
    (void)state;
    static struct model m;
    memset(&m, 0, sizeof m);
    struct replay *r = new_log(CAPACITY);
    struct ack late = {.offset = 300, .len = 100, .fill = 9};
    struct replay_entry *pending = put(r, &late);
    write_now(r, &m, (struct ack){.offset = 0, .len = 500, .fill = 1});
    uint64_t mark = replay_mark(r);
    size_t covered = m.n;
    write_now(r, &m, (struct ack){.offset = 400, .len = 500, .fill = 2});
    replay_flushed(r, mark);
    m.flushed = covered;
    assert_true(replay_dirty(r));
    assert_true(model_matches(&m, r));
    replay_acknowledge(r, pending);
    model_acknowledge(&m, &late);
    assert_true(model_matches(&m, r));
    flush_now(r, &m);
    assert_false(replay_dirty(r));
    assert_int_equal(replay_used(r), 0);
    replay_close(r, true);
}

static void marks_may_come_back_in_any_order(void **state)
{
    (void)state;
    static struct model m;
    memset(&m, 0, sizeof m);
    struct replay *r = new_log(CAPACITY);
    write_now(r, &m, (struct ack){.offset = 0, .len = 500, .fill = 1});
    uint64_t first = replay_mark(r);
    write_now(r, &m, (struct ack){.offset = 0, .len = 400, .fill = 2});
    uint64_t second = replay_mark(r);
    replay_flushed(r, second);
    m.flushed = 2;
    write_now(r, &m, (struct ack){.offset = 100, .len = 400, .fill = 3});
    replay_flushed(r, first);
    assert_true(model_matches(&m, r));
    assert_true(replay_dirty(r));
    replay_close(r, true);
}

// --- the ring ---

static void empty_ring_starts_at_its_beginning(void **state)
{
    (void)state;
    struct replay *r = new_log(CAPACITY);
    const uint8_t *first = NULL;
    for (int i = 0; i < 1000; i++) {
        struct replay_entry *e = replay_reserve_data(r, 0, 4096);
        assert_non_null(e);
        if (i == 0)
            first = replay_payload(e);
        assert_ptr_equal(replay_payload(e), first);
        if (i % 2) {
            replay_drop(r, e);
        } else {
            replay_acknowledge(r, e);
            replay_flushed(r, replay_mark(r));
        }
        assert_int_equal(replay_used(r), 0);
    }
    replay_close(r, true);
}

static void full_ring_refuses_and_goes_on_after_a_flush(void **state)
{
    (void)state;
    static struct model m;
    memset(&m, 0, sizeof m);
    struct replay *r = new_log(CAPACITY);
    const struct ack a = {.offset = 4096, .len = 4096, .fill = 3};
    unsigned n = 0;
    for (; replay_used(r) + 4096 + 64 < CAPACITY; n++)
        write_now(r, &m, a);
    assert_int_equal(n, CAPACITY / (4096 + 64));
    assert_null(put(r, &a));
    assert_true(replay_used(r) < replay_capacity(r));
    assert_true(model_matches(&m, r));
    flush_now(r, &m);
    write_now(r, &m, a);
    assert_true(model_matches(&m, r));
    replay_close(r, true);
}

static void oldest_entry_not_answered_holds_up_the_ring(void **state)
{
    (void)state;
    static struct model m;
    memset(&m, 0, sizeof m);
    struct replay *r = new_log(CAPACITY);
    const struct ack a = {.offset = 0, .len = 4096, .fill = 3};
    struct replay_entry *oldest = put(r, &a);
    for (struct replay_entry *e; (e = put(r, &a));)
        replay_acknowledge(r, e);
    replay_flushed(r, replay_mark(r));
    assert_null(put(r, &a));
    assert_false(replay_dirty(r));
    replay_drop(r, oldest);
    assert_int_equal(replay_used(r), 0);
    assert_non_null(put(r, &a));
    replay_close(r, true);
}

static void ring_wraps_with_an_entry_of_a_quarter(void **state)
{
    (void)state;
    static struct model m;
    memset(&m, 0, sizeof m);
    struct replay *r = new_log(CAPACITY);
    assert_null(replay_reserve_data(r, 0, CAPACITY / 4 + 1));
    uint64_t mark = 0;
    for (uint32_t i = 0; i < 100; i++) {
        // One of them is there when the next comes; one that does not fit before the end goes to
        // the start.
        replay_flushed(r, mark);
        m.flushed = m.n > 0 ? m.n - 1 : 0;
        mark = replay_mark(r);
        write_now(r, &m, (struct ack){.offset = i * 7, .len = CAPACITY / 4, .fill = i});
        assert_true(model_matches(&m, r));
        replay_close(r, false);
        r = open_log(CAPACITY, true);
        assert_true(model_matches(&m, r));
    }
    replay_close(r, true);
}

static void trim_gives_memory_back_once_the_log_is_empty(void **state)
{
    (void)state;
    struct replay *r = new_log((size_t)16 << 20);
    off_t at_first = memory_of_file();
    assert_true(at_first < 2 << 20);
    for (struct replay_entry *e; (e = replay_reserve_data(r, 0, 1 << 20));) {
        memset(replay_payload(e), 1, 1 << 20);
        replay_acknowledge(r, e);
    }
    assert_true(memory_of_file() > 14 << 20);
    replay_trim(r);
    assert_true(memory_of_file() > 14 << 20);
    assert_true(replay_dirty(r));
    // Also a predecessor's.
    replay_close(r, false);
    r = open_log((size_t)16 << 20, true);
    replay_flushed(r, replay_mark(r));
    assert_true(memory_of_file() > 14 << 20);
    replay_trim(r);
    assert_int_equal(memory_of_file(), at_first);
    struct replay_entry *e = NULL;
    for (int i = 0; i < 12; i++) {
        e = replay_reserve_data(r, 0, 1 << 20);
        assert_non_null(e);
        memset(replay_payload(e), 1, 1 << 20);
    }
    replay_close(r, true);
}

// A tmpfs of 4 MiB, in a mount namespace of its own. Exits 77 where that is not allowed.
static _Noreturn void use_a_full_tmpfs(void)
{
    struct drv_err err = DRV_ERR_INIT;
    bool found;
    if (unshare(CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER)) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", "/dev/shm", "tmpfs", 0, "size=4m") < 0)
        _exit(77);
    struct replay *r = replay_open(path, (size_t)64 << 20, &found, &err);
    if (!r)
        _exit(1);
    for (int round = 0; round < 3; round++) {
        unsigned n = 0;
        for (struct replay_entry *e; (e = replay_reserve_data(r, 0, 1 << 20)); n++) {
            memset(replay_payload(e), 1, 1 << 20); // SIGBUS if there is no memory
            replay_acknowledge(r, e);
        }
        if (n < 2 || n > 3)
            _exit(2);
        replay_flushed(r, replay_mark(r));
    }
    // Somebody else takes all that is left.
    replay_trim(r);
    int fd = open("/dev/shm/other", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    static char block[4096];
    while (write(fd, block, sizeof block) > 0)
        continue;
    struct replay_entry *e = replay_reserve_data(r, 0, 1 << 20);
    if (!e || replay_reserve_data(r, 0, 1 << 20))
        _exit(3);
    memset(replay_payload(e), 1, 1 << 20);
    char other[80];
    snprintf(other, sizeof other, "%s.2", path);
    if (replay_open(other, (size_t)64 << 20, &found, &err) || err.code != DRV_ENOSPACE)
        _exit(4);
    _exit(0);
}

static void full_tmpfs_is_a_smaller_ring_and_no_signal(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        use_a_full_tmpfs();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

// --- taking over ---

static void successor_drops_what_was_not_answered_and_goes_on_in_order(void **state)
{
    (void)state;
    static struct model m;
    memset(&m, 0, sizeof m);
    struct replay *r = new_log(CAPACITY);
    struct replay_id id = {.volume_id = UINT64_MAX, .file_id = 5}, got;
    replay_get_id(r, &got);
    assert_int_equal(got.volume_id | got.file_id, 0);
    replay_set_id(r, &id);
    assert_non_null(put(r, &(struct ack){.offset = 0, .len = 100, .fill = 8}));
    write_now(r, &m, (struct ack){.offset = 50, .len = 100, .fill = 1});
    uint64_t mark = replay_mark(r);
    assert_non_null(put(r, &(struct ack){.offset = 0, .len = 5000, .fill = 9}));
    replay_close(r, false);
    r = open_log(CAPACITY * 2, true); // it keeps its capacity
    assert_int_equal(replay_capacity(r), CAPACITY);
    assert_true(replay_dirty(r));
    replay_get_id(r, &got);
    assert_memory_equal(&got, &id, sizeof id);
    assert_true(model_matches(&m, r));
    assert_int_equal(replay_mark(r), mark);
    write_now(r, &m, (struct ack){.offset = 60, .len = 20, .fill = 2});
    assert_true(model_matches(&m, r));
    flush_now(r, &m);
    assert_int_equal(replay_used(r), 0);
    uint64_t last = replay_mark(r);
    replay_close(r, false);
    r = open_log(CAPACITY, true);
    assert_false(replay_dirty(r));
    assert_int_equal(replay_mark(r), last);
    id.file_id = 6;
    replay_set_id(r, &id);
    replay_get_id(r, &got);
    assert_memory_equal(&got, &id, sizeof id);
    replay_close(r, true);
}

static void two_processes_never_use_one_log(void **state)
{
    (void)state;
    struct replay *r = new_log(CAPACITY);
    refused(CAPACITY, DRV_EBUSY);
    replay_close(r, false);
    r = open_log(CAPACITY, true);
    replay_close(r, true);
    r = open_log(CAPACITY, false);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0600);
    replay_close(r, true);
}

static void capacity_out_of_range_is_refused_and_makes_no_file(void **state)
{
    (void)state;
    const size_t bad[] = {0, 4096, CAPACITY + 64, REPLAY_CAPACITY_MAX + 4096};
    for (size_t i = 0; i < DRV_ARRAY_LEN(bad); i++)
        refused(bad[i], DRV_EINVAL);
    assert_int_equal(access(path, F_OK), -1);
}

// --- at random ---

enum { SLOTS = 12 };

struct world {
    struct replay *r;
    struct model m;
    uint64_t seed;
    struct {
        struct replay_entry *e;
        struct ack a;
    } pending[SLOTS];
    unsigned n_pending;
    struct {
        uint64_t mark;
        size_t acks; // since the start of the model
    } flushes[4];
    unsigned n_flushes, refused;
    size_t moved; // acks that the model has forgotten
};

static void take_pending(struct world *w, unsigned i)
{
    w->pending[i] = w->pending[--w->n_pending];
}

static void random_reserve(struct world *w)
{
    struct ack a = {.fill = next_random(&w->seed), .zero = below(&w->seed, 5) == 0};
    uint32_t most = below(&w->seed, 10) == 0 ? SMALL / 4 : 300;
    a.len = 1 + below(&w->seed, most);
    a.offset = below(&w->seed, VOLUME / 4 - a.len);
    if (w->n_pending == SLOTS)
        return;
    struct replay_entry *e = put(w->r, &a);
    if (!e) {
        w->refused++;
        assert_true(replay_used(w->r) > 0);
        return;
    }
    w->pending[w->n_pending].e = e;
    w->pending[w->n_pending++].a = a;
}

static void random_answer(struct world *w)
{
    if (w->n_pending == 0)
        return;
    unsigned i = below(&w->seed, w->n_pending);
    // What the payload was then has to be there still.
    if (below(&w->seed, 8) == 0) {
        replay_drop(w->r, w->pending[i].e);
    } else {
        replay_acknowledge(w->r, w->pending[i].e);
        size_t n = w->m.n;
        model_acknowledge(&w->m, &w->pending[i].a);
        w->moved += n + 1 - w->m.n;
    }
    take_pending(w, i);
}

static void random_flush(struct world *w)
{
    if (w->n_flushes < DRV_ARRAY_LEN(w->flushes) && below(&w->seed, 2)) {
        w->flushes[w->n_flushes].mark = replay_mark(w->r);
        w->flushes[w->n_flushes++].acks = w->moved + w->m.n;
    } else if (w->n_flushes > 0) {
        unsigned i = below(&w->seed, w->n_flushes);
        replay_flushed(w->r, w->flushes[i].mark);
        size_t acks = w->flushes[i].acks;
        if (acks > w->moved && acks - w->moved > w->m.flushed)
            w->m.flushed = acks - w->moved;
        w->flushes[i] = w->flushes[--w->n_flushes];
    }
}

static void random_restart(struct world *w)
{
    replay_close(w->r, false);
    w->r = open_log(SMALL, true);
    w->n_pending = 0;
    w->n_flushes = 0;
}

static void check_world(const struct world *w)
{
    assert_true(model_matches(&w->m, w->r));
    assert_int_equal(replay_dirty(w->r), w->m.n > w->m.flushed);
    assert_true(replay_used(w->r) < SMALL);
    if (w->n_pending == 0 && !replay_dirty(w->r))
        assert_int_equal(replay_used(w->r), 0);
}

static void whatever_happens_the_newest_content_is_there(void **state)
{
    (void)state;
    static struct world w;
    unsigned refusals = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        memset(&w, 0, sizeof w);
        w.seed = seed;
        w.r = new_log(SMALL);
        for (int step = 0; step < 4000; step++) {
            uint32_t what = below(&w.seed, 100);
            if (what < 45)
                random_reserve(&w);
            else if (what < 88)
                random_answer(&w);
            else if (what < 98)
                random_flush(&w);
            else if (what == 98 && below(&w.seed, 3) == 0)
                random_restart(&w);
            else
                replay_trim(w.r);
            if (step % 16 == 0)
                check_world(&w);
        }
        check_world(&w);
        refusals += w.refused;
        replay_close(w.r, true);
    }
    assert_true(refusals > 1000); // the ring was full now and then
}

static bool count_bytes(void *arg, uint64_t offset, uint64_t len, const uint8_t *data)
{
    (void)offset;
    (void)data;
    *(uint64_t *)arg += len;
    return true;
}

static void walk_of_twenty_thousand_entries_is_quick(void **state)
{
    (void)state;
    struct replay *r = new_log((size_t)96 << 20);
    uint64_t seed = 5;
    for (int i = 0; i < 20000; i++) {
        struct replay_entry *e =
            replay_reserve_data(r, below(&seed, 1 << 20) * UINT64_C(512), 4096);
        assert_non_null(e);
        replay_acknowledge(r, e);
    }
    uint64_t bytes = 0;
    int64_t start = drv_now_us();
    replay_walk(r, count_bytes, &bytes);
    int64_t took = drv_now_us() - start;
    print_message("20000 entries: %lld us\n", (long long)took);
    assert_true(bytes > 0 && bytes <= UINT64_C(20000) * 4096);
    assert_true(took < 100 * 1000);
    replay_close(r, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_acknowledged_is_given_back),
        cmocka_unit_test(newest_acknowledgement_wins_whatever_was_reserved_first),
        cmocka_unit_test(zeros_may_be_of_any_size_and_a_walk_can_be_stopped),
        cmocka_unit_test(piece_goes_on_where_older_content_starts_and_zeros_join),
        cmocka_unit_test(flush_takes_what_was_acknowledged_before_it_was_sent),
        cmocka_unit_test(marks_may_come_back_in_any_order),
        cmocka_unit_test(empty_ring_starts_at_its_beginning),
        cmocka_unit_test(full_ring_refuses_and_goes_on_after_a_flush),
        cmocka_unit_test(oldest_entry_not_answered_holds_up_the_ring),
        cmocka_unit_test(ring_wraps_with_an_entry_of_a_quarter),
        cmocka_unit_test(trim_gives_memory_back_once_the_log_is_empty),
        cmocka_unit_test(full_tmpfs_is_a_smaller_ring_and_no_signal),
        cmocka_unit_test(successor_drops_what_was_not_answered_and_goes_on_in_order),
        cmocka_unit_test(two_processes_never_use_one_log),
        cmocka_unit_test(capacity_out_of_range_is_refused_and_makes_no_file),
        cmocka_unit_test(whatever_happens_the_newest_content_is_there),
        cmocka_unit_test(walk_of_twenty_thousand_entries_is_quick),
    };
    snprintf(path, sizeof path, "/dev/shm/drover-test-replay-%d", (int)getpid());
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
