// SPDX-License-Identifier: GPL-3.0-or-later
// The replay log's process ended by SIGKILL: at random moments, and after every single instruction.
// What it had acknowledged is there, what it had flushed is not, and what it was doing is done or
// not.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drover/util.h"
#include "replay_int.h"
#include "replay_model.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CAPACITY = 8 << 10, FILE_BYTES = REPLAY_SUPER + CAPACITY, JOURNAL = 8000, SLOTS = 8 };

// What the child tells, in memory that it shares: no system call near what is tested.
struct step {
    bool flush;
    size_t acks; // flush: how many acknowledgements of this round it covers
    struct ack ack;
};
struct journal {
    volatile bool opened;
    volatile bool stepped, stepping; // by the parent; stepping is ended by the child
    volatile size_t begun, done;     // steps
    struct step steps[JOURNAL];
};

static char path[64], copy_path[80];
static struct journal *journal;

// --- the child ---

struct child {
    struct replay *r;
    uint64_t seed;
    struct {
        struct replay_entry *e;
        struct ack a;
    } pending[SLOTS];
    unsigned n_pending;
    size_t acks;
    uint64_t mark;
    size_t mark_acks;
};

static void begin(const struct step *s)
{
    journal->steps[journal->begun] = *s;
    atomic_signal_fence(memory_order_seq_cst);
    journal->begun++;
    atomic_signal_fence(memory_order_seq_cst);
}

static void end(void)
{
    atomic_signal_fence(memory_order_seq_cst);
    journal->done++;
}

static void acknowledge_one(struct child *c, unsigned i)
{
    begin(&(struct step){.ack = c->pending[i].a});
    replay_acknowledge(c->r, c->pending[i].e);
    end();
    c->acks++;
    c->pending[i] = c->pending[--c->n_pending];
}

static void flush_mark(struct child *c)
{
    begin(&(struct step){.flush = true, .acks = c->mark_acks});
    replay_flushed(c->r, c->mark);
    end();
}

static void set_mark(struct child *c)
{
    c->mark = replay_mark(c->r);
    c->mark_acks = c->acks;
}

static void empty(struct child *c)
{
    while (c->n_pending > 0)
        acknowledge_one(c, 0);
    set_mark(c);
    flush_mark(c);
}

// Without being stepped: these are the most instructions, and not the log's.
static void fill_quickly(uint8_t *payload, const struct ack *a)
{
    journal->stepping = false;
    fill_payload(payload, a);
    if (journal->stepped)
        raise(SIGTRAP);
}

static void reserve(struct child *c, uint32_t longest)
{
    struct ack a = {.fill = next_random(&c->seed), .zero = below(&c->seed, 5) == 0};
    if (c->n_pending == SLOTS)
        return;
    a.len = 8 + below(&c->seed, longest);
    a.offset = below(&c->seed, 4096 - a.len);
    struct replay_entry *e = a.zero ? replay_reserve_zero(c->r, a.offset, a.len)
                                    : replay_reserve_data(c->r, a.offset, a.len);
    if (!e) {
        empty(c);
        return;
    }
    if (!a.zero)
        fill_quickly(replay_payload(e), &a);
    c->pending[c->n_pending].e = e;
    c->pending[c->n_pending++].a = a;
}

static void start_child(struct child *c, uint64_t seed)
{
    bool found;
    memset(c, 0, sizeof *c);
    c->seed = seed;
    c->r = replay_open(path, CAPACITY, &found, NULL);
    if (!c->r)
        _exit(1);
    journal->opened = true;
    set_mark(c);
}

static void random_step(struct child *c, uint32_t longest)
{
    uint32_t what = below(&c->seed, 100);
    if (what < 45) {
        reserve(c, longest);
    } else if (what < 80 && c->n_pending > 0) {
        acknowledge_one(c, below(&c->seed, c->n_pending));
    } else if (what < 84 && c->n_pending > 0) {
        unsigned i = below(&c->seed, c->n_pending);
        replay_drop(c->r, c->pending[i].e);
        c->pending[i] = c->pending[--c->n_pending];
    } else if (what < 92) {
        set_mark(c);
    } else if (what < 98) {
        flush_mark(c);
    } else {
        replay_trim(c->r);
    }
}

// --- the parent ---

static void apply(struct model *m, size_t base, const struct step *s)
{
    if (!s->flush)
        model_acknowledge(m, &s->ack);
    else if (base + s->acks > m->flushed)
        m->flushed = base + s->acks;
}

// The log must have all steps that are done, and may have the one that was begun. m becomes what it
// has. False: it could be either.
static bool check_log(struct model *m, size_t base, struct replay *r)
{
    assert_true(journal->begun - journal->done <= 1);
    for (size_t i = 0; i < journal->done; i++)
        apply(m, base, &journal->steps[i]);
    bool before = model_matches(m, r), after = false;
    if (journal->begun > journal->done) {
        apply(m, base, &journal->steps[journal->done]);
        after = model_matches(m, r);
        assert_true(before || after);
        return before != after && after;
    }
    assert_true(before);
    return true;
}

static void killed_at_any_moment_nothing_acknowledged_is_lost(void **state)
{
    (void)state;
    static struct model m;
    uint64_t seed = 20240607;
    unsigned worked = 0, cut = 0;
    memset(&m, 0, sizeof m);
    for (int round = 0; round < 400; round++) {
        memset(journal, 0, offsetof(struct journal, steps));
        // What the model keeps from earlier rounds: in front, so that counts of this round go on
        // it.
        memmove(m.acks, m.acks + m.flushed, (m.n - m.flushed) * sizeof m.acks[0]);
        m.n -= m.flushed;
        m.flushed = 0;
        size_t base = m.n;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct child c;
            start_child(&c, seed);
            while (journal->begun < JOURNAL - 2 * SLOTS)
                random_step(&c, round % 2 ? 1500 : 30);
            for (;;)
                pause();
        }
        // Some while it opens the log, most while it works.
        size_t until = below(&seed, 8) == 0 ? 0 : 1 + below(&seed, 1500);
        for (int64_t start = drv_now_ms(); journal->begun < until && drv_now_ms() < start + 2000;)
            continue;
        if (until == 0)
            usleep(below(&seed, 1000));
        assert_int_equal(kill(pid, SIGKILL), 0);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        worked += journal->done > 0;
        cut += journal->begun > journal->done;
        bool found;
        struct replay *r = replay_open(path, CAPACITY, &found, NULL);
        assert_non_null(r);
        assert_true(found || (journal->done == 0 && m.n == 0));
        if (!check_log(&m, base, r)) {
            replay_flushed(r, replay_mark(r));
            m.n = m.flushed = 0;
        }
        replay_close(r, false);
        next_random(&seed);
    }
    print_message("%u rounds with work, %u cut within a step\n", worked, cut);
    assert_true(worked > 200);
    unlink(path);
}

// Opens a copy of the file as it is now, as a successor would.
static void check_copy(const uint8_t *bytes, size_t len)
{
    static struct model m;
    DRV_AUTO_CLOSE int fd = open(copy_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool found;
    struct drv_err err = DRV_ERR_INIT;
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, 0), (ssize_t)len);
    m.n = m.flushed = 0;
    struct replay *r = replay_open(copy_path, CAPACITY, &found, &err);
    if (!r)
        fail_msg("%s", err.msg);
    assert_true(found || !journal->opened);
    check_log(&m, 0, r);
    // And it can go on.
    replay_flushed(r, replay_mark(r));
    assert_int_equal(replay_used(r), 0);
    replay_close(r, false);
}

static _Noreturn void be_stepped(uint64_t seed)
{
    struct child c;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        _exit(77);
    raise(SIGSTOP);
    start_child(&c, seed);
    for (int i = 0; i < 150; i++)
        random_step(&c, 500);
    replay_close(c.r, false);
    bool found;
    c.r = replay_open(path, CAPACITY, &found, NULL); // drops what is pending
    _exit(c.r && found ? 0 : 1);
}

static void log_is_right_after_every_instruction(void **state)
{
    (void)state;
    static uint8_t now[FILE_BYTES], last[FILE_BYTES];
    unsigned long instructions = 0, changes = 0;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        memset(journal, 0, offsetof(struct journal, steps));
        unlink(path);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            be_stepped(seed);
        int status, fd = -1;
        ssize_t len = 0, last_len = -1;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFSTOPPED(status)) {
            assert_int_equal(WEXITSTATUS(status), 77);
            skip();
        }
        journal->stepped = journal->stepping = true;
        while (WIFSTOPPED(status)) {
            if (fd < 0)
                fd = open(path, O_RDONLY | O_CLOEXEC);
            if (fd >= 0)
                len = pread(fd, now, sizeof now, 0);
            if (fd >= 0 && (len != last_len || memcmp(now, last, sizeof now) != 0)) {
                check_copy(now, (size_t)len);
                memcpy(last, now, sizeof now);
                last_len = len;
                changes++;
            }
            if (journal->stepping) {
                assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
                instructions++;
            } else { // until it stops by itself
                assert_int_equal(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
                assert_int_equal(waitpid(pid, &status, 0), pid);
                journal->stepping = true;
                continue;
            }
            assert_int_equal(waitpid(pid, &status, 0), pid);
        }
        close(fd);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_true(journal->done > 50);
    }
    print_message("%lu instructions, %lu changes of the file\n", instructions, changes);
    unlink(path);
    unlink(copy_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_any_moment_nothing_acknowledged_is_lost),
        cmocka_unit_test(log_is_right_after_every_instruction),
    };
    snprintf(path, sizeof path, "/dev/shm/drover-test-replay-kill-%d", (int)getpid());
    snprintf(copy_path, sizeof copy_path, "%s.copy", path);
    journal =
        mmap(NULL, sizeof *journal, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (journal == MAP_FAILED)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    unlink(copy_path);
    return failed;
}
