// SPDX-License-Identifier: GPL-3.0-or-later
// A file server of two files in memory, behind drover-store's back end interface. Other hosts, lost
// sessions, replaced files and calls that do not return are switches.
#ifndef TESTS_FAKE_SMB_H
#define TESTS_FAKE_SMB_H

#include "backend.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_IMAGE "smb://fs/VM/web/disk0.qcow2"
#define FAKE_RECORD "smb://fs/VM/.drover/owners/u"

enum { FAKE_FILE_BYTES = 64 * 1024 };

struct fake_inode {
    bool exists;
    bool held;       // by this process, deny write
    bool other_host; // held by another host
    uint64_t id;
    size_t size;
    uint8_t data[FAKE_FILE_BYTES];
};

struct ds_session {
    int number;
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
    int io_errno;    // every call on an open file fails with it
    int open_errno;  // every open fails with it
    int sessions;    // made so far; handles of older ones are dead
    int severed;     // calls of sever()
    bool server_cut; // the current session is dead
    bool block;      // reads wait until severed
    bool blocked;    // one does
    pthread_mutex_t lock;
    pthread_cond_t cond;
} fake;

static void fake_reset(void)
{
    memset(&fake, 0, sizeof fake);
    pthread_mutex_init(&fake.lock, NULL);
    pthread_cond_init(&fake.cond, NULL);
    fake.image = (struct fake_inode){.exists = true, .id = 100, .size = 4096};
    fake.record.id = 200;
}

static struct ds_session *fake_connect(struct drv_err *err)
{
    (void)err;
    struct ds_session *s = calloc(1, sizeof *s);
    s->number = ++fake.sessions;
    fake.server_cut = false;
    return s;
}

// The server frees what a session held when it is gone.
static void fake_disconnect(struct ds_session *s)
{
    if (!s)
        return;
    fake.image.held = fake.record.held = false;
    while (s->files) {
        struct ds_file *f = s->files;
        s->files = f->next;
        free(f);
    }
    free(s);
}

static int fake_open(struct ds_session *s, const char *url, enum ds_mode mode, struct ds_file **ret)
{
    struct fake_inode *i = strcmp(url, FAKE_IMAGE) == 0 ? &fake.image : &fake.record;
    if (fake.open_errno)
        return fake.open_errno;
    if (!i->exists && mode != DS_HOLD_CREATE)
        return ENOENT;
    if (mode != DS_OBSERVE && (i->other_host || i->held))
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
    if (fake.server_cut || f->session != s->number)
        return ECONNABORTED;
    return fake.io_errno;
}

static int fake_close(struct ds_session *s, struct ds_file *f)
{
    int e = fake_check(s, f);
    if (f->writer)
        f->inode->held = false;
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

static int fake_flush(struct ds_session *s, struct ds_file *f)
{
    return fake_check(s, f);
}

static int fake_ident(struct ds_session *s, struct ds_file *f, struct ds_ident *ret)
{
    *ret = (struct ds_ident){.volume_id = 1, .file_id = f->inode->id, .size_bytes = f->inode->size};
    return fake_check(s, f);
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
    .open = fake_open,
    .close = fake_close,
    .read = fake_read,
    .write = fake_write,
    .flush = fake_flush,
    .ident = fake_ident,
    .sever = fake_sever,
};

#endif
