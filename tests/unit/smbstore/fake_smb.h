// SPDX-License-Identifier: GPL-3.0-or-later
// A file server of two files in memory, behind drover-store's back end interface, and a data path
// that only notes what it is told. Other hosts, lost sessions, replaced files, calls that do not
// return and failures are switches.
#ifndef TESTS_FAKE_SMB_H
#define TESTS_FAKE_SMB_H

#include "backend.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_IMAGE "smb://fs/VM/web/disk0.qcow2"
#define FAKE_RECORD "smb://fs/VM/.drover/owners/u"

enum { FAKE_FILE_BYTES = 64 * 1024 };

struct fake_inode {
    bool exists;
    bool held;       // by this process, deny write
    bool other_host; // held by another host
    bool ghost;      // held by a dead session of ours, for as long as this is set
    uint64_t id;
    size_t size;
    uint8_t data[FAKE_FILE_BYTES];
};

struct ds_session {
    int number;
    bool ended;            // our side knows
    struct ds_file *files; // open ones
};

struct ds_file {
    struct fake_inode *inode;
    bool writer;
    int session;
    struct ds_file *next;
};

static struct {
    struct fake_inode image, record;
    int io_errno;           // every call on an open file fails with it; the session lives on
    int open_errno;         // every open fails with it
    int sessions;           // made so far; handles of older ones are dead
    int severed;            // calls of sever()
    int peeks, confirms;    // calls of these
    bool server_cut;        // the current session is dead, as the client knows at once
    bool unreachable;       // nobody can connect
    int cut_after;          // the session ends after so many more calls; 0: it does not
    bool block;             // reads wait until severed
    bool blocked;           // one does
    int record_write_errno; // the next flush of the record fails with it, after the write
    pthread_mutex_t lock;
    pthread_cond_t cond;

    struct {
        bool attached, writable, failed, dirty;
        int replay_errno, settle_errno; // those fail with it
        bool cut_replay;                // the session ends during replay()
        bool foreign;                   // the log is for another file
        int64_t oldest_ms;
        uint64_t size_bytes;
        struct ds_session *session; // attached to
        char log[1024];             // what was done, in order
    } data;
} fake;

// Everything that the rules do to the outside, in order: what tests compare.
static void fake_note(const char *what)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    size_t n = strlen(fake.data.log);
    snprintf(fake.data.log + n, sizeof fake.data.log - n, "%s%s", n ? " " : "", what);
    pthread_mutex_unlock(&lock);
}

static void fake_reset(void)
{
    memset(&fake, 0, sizeof fake);
    pthread_mutex_init(&fake.lock, NULL);
    pthread_cond_init(&fake.cond, NULL);
    fake.image = (struct fake_inode){.exists = true, .id = 100, .size = 4096};
    fake.record.id = 200;
}

// The server ends the old session first; one whose handles are stuck there (ghost) keeps them.
static struct ds_session *fake_connect(struct ds_session *old, struct drv_err *err)
{
    if (fake.unreachable) {
        drv_err(err, DRV_EUNREACHABLE, "no file server");
        return NULL;
    }
    fake_note(old ? "connect+" : "connect");
    if (old) {
        old->ended = true;
        fake.image.held = fake.image.ghost;
        fake.record.held = fake.record.ghost;
    }
    struct ds_session *s = calloc(1, sizeof *s);
    s->number = ++fake.sessions;
    fake.server_cut = false;
    return s;
}

static bool fake_alive(const struct ds_session *s)
{
    return s && !s->ended && s->number == fake.sessions && !fake.server_cut;
}

// The server frees what a session held when it is gone.
static void fake_disconnect(struct ds_session *s)
{
    if (!s)
        return;
    for (struct ds_file *f = s->files; f; f = f->next)
        if (f->writer && s->number == fake.sessions && !f->inode->ghost)
            f->inode->held = false;
    while (s->files) {
        struct ds_file *f = s->files;
        s->files = f->next;
        free(f);
    }
    free(s);
}

// Counts a call; true: the session is dead.
static bool fake_step(struct ds_session *s)
{
    if (fake.cut_after > 0 && --fake.cut_after == 0)
        fake.server_cut = true;
    return !fake_alive(s);
}

static int fake_open(struct ds_session *s, const char *url, enum ds_mode mode, struct ds_file **ret)
{
    struct fake_inode *i = strcmp(url, FAKE_IMAGE) == 0 ? &fake.image : &fake.record;
    if (fake_step(s))
        return ECONNRESET;
    fake_note(mode == DS_OBSERVE ? i == &fake.image ? "see-image" : "see-record"
              : i == &fake.image ? "hold-image"
                                 : "hold-record");
    if (fake.open_errno)
        return fake.open_errno;
    if (!i->exists && mode != DS_HOLD_CREATE)
        return ENOENT;
    if (mode != DS_OBSERVE && (i->other_host || i->held || i->ghost))
        return EBUSY;
    i->exists = true;
    i->held |= mode != DS_OBSERVE;
    struct ds_file *f = calloc(1, sizeof *f);
    *f = (struct ds_file){
        .inode = i, .writer = mode != DS_OBSERVE, .session = s->number, .next = s->files};
    s->files = f;
    *ret = f;
    return 0;
}

static int fake_check(struct ds_session *s, struct ds_file *f)
{
    if (fake_step(s) || f->session != s->number)
        return ECONNRESET;
    return fake.io_errno;
}

static int fake_close(struct ds_session *s, struct ds_file *f)
{
    int e = fake_check(s, f);
    if (f->writer && !e)
        f->inode->held = false;
    fake_note(f->inode == &fake.image ? "close-image" : "close-record");
    struct ds_file **p = &s->files;
    while (*p != f)
        p = &(*p)->next;
    *p = f->next;
    free(f);
    return e;
}

static int fake_read(struct ds_session *s, struct ds_file *f, void *buf, size_t len,
                     uint64_t offset, size_t *ret_len)
{
    pthread_mutex_lock(&fake.lock);
    fake.blocked = fake.block;
    pthread_cond_broadcast(&fake.cond);
    while (fake.block)
        pthread_cond_wait(&fake.cond, &fake.lock);
    fake.blocked = false;
    pthread_mutex_unlock(&fake.lock);
    fake_note(f->inode == &fake.image ? "read-image" : "read-record");
    size_t size = f->inode->size;
    size_t n = offset >= size ? 0 : size - offset < len ? size - offset : len;
    if (n > 0)
        memcpy(buf, f->inode->data + offset, n);
    *ret_len = n;
    return fake_check(s, f);
}

static int fake_write(struct ds_session *s, struct ds_file *f, const void *buf, size_t len,
                      uint64_t offset)
{
    int e = fake_check(s, f);
    if (e)
        return e;
    if (!f->writer)
        return EBADF;
    if (offset + len > FAKE_FILE_BYTES)
        return ENOSPC;
    memcpy(f->inode->data + offset, buf, len);
    if (offset + len > f->inode->size)
        f->inode->size = offset + len;
    return 0;
}

static int fake_take(int *errnum)
{
    int e = *errnum;
    *errnum = 0;
    return e;
}

static int fake_flush(struct ds_session *s, struct ds_file *f)
{
    if (f->inode == &fake.record && fake.record_write_errno) {
        fake.server_cut = true; // the answer is lost with the session
        return fake_take(&fake.record_write_errno);
    }
    return fake_check(s, f);
}

static int fake_ident(struct ds_session *s, struct ds_file *f, struct ds_ident *ret)
{
    fake_note("ident");
    *ret = (struct ds_ident){.volume_id = 1, .file_id = f->inode->id, .size_bytes = f->inode->size};
    return fake_check(s, f);
}

static int fake_confirm(struct ds_session *s, struct ds_file *f)
{
    fake.confirms++;
    return fake_check(s, f);
}

static int fake_peek(struct ds_session *s, const char *url, void *buf, size_t len, size_t *ret_len)
{
    fake_note("peek");
    fake.peeks++;
    if (fake_step(s))
        return ECONNRESET;
    if (strcmp(url, FAKE_RECORD) != 0 || !fake.record.exists)
        return ENOENT;
    if (fake.io_errno)
        return fake.io_errno;
    size_t n = fake.record.size < len ? fake.record.size : len;
    memcpy(buf, fake.record.data, n);
    *ret_len = n;
    return 0;
}

static int fake_flush_file(struct ds_session *s, const char *url)
{
    fake_note("flush-file");
    if (fake_step(s))
        return ECONNRESET;
    return strcmp(url, FAKE_RECORD) == 0 ? fake.io_errno : ENOENT;
}

static void fake_sever(void)
{
    pthread_mutex_lock(&fake.lock);
    fake.severed++;
    fake.server_cut = true;
    fake.block = false;
    pthread_cond_broadcast(&fake.cond);
    pthread_mutex_unlock(&fake.lock);
}

static const struct ds_backend fake_backend = {
    .connect = fake_connect,
    .disconnect = fake_disconnect,
    .alive = fake_alive,
    .open = fake_open,
    .close = fake_close,
    .read = fake_read,
    .write = fake_write,
    .flush = fake_flush,
    .ident = fake_ident,
    .confirm = fake_confirm,
    .peek = fake_peek,
    .flush_file = fake_flush_file,
    .sever = fake_sever,
};

// --- the data path ---

static void fake_attach(struct ds_session *s, struct ds_file *image)
{
    (void)image;
    fake_note("attach");
    fake.data.attached = true;
    fake.data.session = s;
}

static void fake_detach(void)
{
    if (fake.data.attached)
        fake_note("detach");
    fake.data.attached = false;
}

static int fake_replay(struct ds_session *s, struct ds_file *image)
{
    fake_note("replay");
    if (fake.data.cut_replay) {
        fake.data.cut_replay = false;
        fake.server_cut = true;
    }
    if (!fake_alive(s) || !image->writer)
        return ECONNRESET;
    if (fake.data.replay_errno)
        return fake.data.replay_errno;
    fake.data.dirty = false;
    return 0;
}

static int fake_settle(void)
{
    fake_note("settle");
    if (!fake.data.attached || !fake_alive(fake.data.session))
        return ECONNRESET;
    if (fake.data.settle_errno)
        return fake.data.settle_errno;
    fake.data.dirty = false;
    return 0;
}

static void fake_set_writable(bool writable)
{
    if (writable != fake.data.writable)
        fake_note(writable ? "writable" : "unwritable");
    fake.data.writable = writable;
}

static void fake_set_size(uint64_t file_bytes)
{
    fake.data.size_bytes = file_bytes;
}

static void fake_fail(void)
{
    fake_note("fail");
    fake.data.failed = true;
    fake.data.attached = false;
}

static void fake_heal(void)
{
    if (fake.data.failed)
        fake_note("heal");
    fake.data.failed = false;
}

static int64_t fake_oldest_ms(void)
{
    return fake.data.oldest_ms;
}

static bool fake_dirty(void)
{
    return fake.data.dirty;
}

static int fake_ready(struct drv_err *err)
{
    (void)err;
    return 0;
}

static int fake_bind(const struct ds_ident *id)
{
    (void)id;
    return fake.data.dirty && fake.data.foreign ? -1 : 0;
}

static void fake_stats(struct ss_proc_status *ret)
{
    ret->log_bytes = fake.data.dirty ? 4096 : 0;
}

static const struct ds_data fake_data = {
    .attach = fake_attach,
    .detach = fake_detach,
    .replay = fake_replay,
    .settle = fake_settle,
    .set_writable = fake_set_writable,
    .set_size = fake_set_size,
    .fail = fake_fail,
    .heal = fake_heal,
    .oldest_ms = fake_oldest_ms,
    .dirty = fake_dirty,
    .bind = fake_bind,
    .ready = fake_ready,
    .stats = fake_stats,
};

#endif
