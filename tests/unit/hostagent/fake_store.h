// SPDX-License-Identifier: GPL-3.0-or-later
// Pretended drover-stores: the control socket that droverd talks to, over one owner record in
// memory. They do as they are told and note the order; what a real one refuses is tested with it.
#ifndef TESTS_FAKE_STORE_H
#define TESTS_FAKE_STORE_H

#include "drover/storeproc.h"
#include <pthread.h>

enum fake_fault {
    FAKE_REFUSES, // answers with an error of `code` and does nothing
    FAKE_DIES,    // hangs up without doing it
    FAKE_FORGETS, // does it, and hangs up without an answer
};

enum { FAKE_LOG_MAX = 64, FAKE_STORES_MAX = 4 };

struct fake_store {
    struct fake_file_server *server;
    char name[SS_NAME_MAX];
    int listen_fd, fd;
    pthread_t thread;
    enum ss_proc_state state;
    bool guest_paused;
    uint64_t epoch, file_id;
};

// What all of them share. The test may read and change it while no call is under way.
struct fake_file_server {
    pthread_mutex_t lock;
    bool have_record;
    struct ss_record record;
    char log[FAKE_LOG_MAX][48]; // "disk0 hold_image"; calls of status are left out
    unsigned n_log;
    bool quitting, quit; // asked; and answered
    struct {             // once
        const char *store, *call;
        enum fake_fault kind;
        const char *code;
    } fault;
    struct fake_store stores[FAKE_STORES_MAX];
    unsigned n_stores;
};

void fake_server_init(struct fake_file_server *s);
void fake_server_stop(struct fake_file_server *s);
// Serve <dir>/<name>.ctl, for an image of this file id; dir is made.
struct fake_store *fake_store_start(struct fake_file_server *s, const char *dir, const char *name,
                                    uint64_t file_id);
// The next `call` to `store` goes wrong.
void fake_fault(struct fake_file_server *s, const char *store, const char *call,
                enum fake_fault kind, const char *code);
unsigned fake_count(struct fake_file_server *s, const char *entry); // in the log
bool fake_asked_to_quit(struct fake_file_server *s);                // by a call that was answered
// The log as one text, "disk0 hold_record, disk0 hold_image", which is then emptied.
const char *fake_log(struct fake_file_server *s, char *ret, size_t size);

#endif
