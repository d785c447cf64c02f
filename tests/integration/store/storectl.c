// SPDX-License-Identifier: GPL-3.0-or-later
// Drives one drover-store from a shell script: every function of drover/storeproc.h as a command.
// Prints what it got; a failure prints "CODE: message" on stderr and exits 1.
#include "drover/storeproc.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const usage =
    "usage: storectl DIR NAME COMMAND [ARG]\n"
    "start KEY=VALUE…: program keytab principal ccache image export record holds qmp stall guards "
    "after-crash\n"
    "status · hold-record [create] · hold-image · read · write STATE EPOCH VM · promote EPOCH · "
    "fill · settle\n"
    "release-image · release-record · drop · reopen MS · patience MS · quit [force]\n";

static const char *const state_names[] = {"observing", "held", "promoted", "released", "lost"};

// Value of KEY=VALUE among the arguments, or NULL.
static const char *value_of(char **args, const char *key)
{
    size_t n = strlen(key);
    for (; *args; args++)
        if (strncmp(*args, key, n) == 0 && (*args)[n] == '=')
            return *args + n + 1;
    return NULL;
}

static uint64_t number(const char *text)
{
    return text ? strtoull(text, NULL, 10) : 0;
}

static int start(const char *dir, const char *name, char **args, struct drv_err *err)
{
    const char *holds = value_of(args, "holds"); // the record; yes unless 0
    struct ss_proc_spec s = {
        .program = value_of(args, "program"),
        .dir = dir,
        .name = name,
        .keytab = value_of(args, "keytab"),
        .principal = value_of(args, "principal"),
        .ccache = value_of(args, "ccache"),
        .image_url = value_of(args, "image"),
        .record_url = value_of(args, "record"),
        .holds_record = !holds || number(holds) != 0,
        .after_crash = number(value_of(args, "after-crash")) != 0,
        .export_bytes = number(value_of(args, "export")),
        .qmp_path = value_of(args, "qmp"),
        .stall_deadline_s = (unsigned)number(value_of(args, "stall")),
        .record_guards_guest = number(value_of(args, "guards")) != 0,
        .socket_uid = geteuid(),
        .socket_gid = getegid(),
    };
    return ss_proc_start(&s, err);
}

static int status(struct ss_proc *p, struct drv_err *err)
{
    struct ss_proc_status s;
    if (ss_proc_status(p, &s, err) < 0)
        return -1;
    printf("state=%s pid=%d epoch=%" PRIu64 " volume=%" PRIu64 " file=%" PRIu64 " size=%" PRIu64
           " reads=%" PRIu64 " writes=%" PRIu64 " refused=%" PRIu64 " log=%" PRIu64
           " replays=%u stalled=%lld paused=%d attention=%d reason=%s\n",
           state_names[s.state], (int)s.pid, s.epoch, s.volume_id, s.file_id, s.size_bytes, s.reads,
           s.writes, s.refused_writes, s.log_bytes, s.replays, (long long)s.stalled_ms,
           s.guest_paused, s.attention, s.lost_reason);
    return 0;
}

static int read_record(struct ss_proc *p, struct drv_err *err)
{
    struct ss_record r;
    if (ss_proc_read_record(p, &r, err) < 0)
        return -1;
    printf("state=%s epoch=%" PRIu64 " counter=%" PRIu64 " host=%s\n",
           ss_record_state_name(r.state), r.epoch, r.write_counter, r.host);
    return 0;
}

static int write_record(struct ss_proc *p, char **args, struct drv_err *err)
{
    if (!args[0] || !args[1] || !args[2])
        return drv_err(err, DRV_EINVAL, "write STATE EPOCH VM");
    struct ss_record r = {.epoch = number(args[1]), .stall_deadline_s = 60};
    while (r.state < SS_REC_STATE_MAX_ - 1 && strcmp(ss_record_state_name(r.state), args[0]) != 0)
        r.state++;
    drv_uuid_new(r.nonce);
    drv_uuid_new(r.boot_id);
    (void)DRV_COPY(r.vm, args[2]);
    gethostname(r.host, sizeof r.host - 1);
    if (r.state == SS_REC_RUNNING)
        drv_uuid_new(r.instance);
    if (r.state == SS_REC_RELEASED) {
        drv_uuid_new(r.move);
        (void)DRV_COPY(r.to, "hv2.drover.test");
    }
    (void)DRV_COPY(r.home_store, "fs");
    (void)DRV_COPY(r.home_path, "web");
    memset(r.vm_json_sha256, '0', 64);
    return ss_proc_write_record(p, &r, err);
}

static int command(struct ss_proc *p, const char *what, char **args, struct drv_err *err)
{
    enum { HOLD_MS = 30000 };
    if (!strcmp(what, "status"))
        return status(p, err);
    if (!strcmp(what, "hold-record"))
        return ss_proc_hold_record(p, args[0] != NULL, HOLD_MS, err);
    if (!strcmp(what, "hold-image"))
        return ss_proc_hold_image(p, HOLD_MS, err);
    if (!strcmp(what, "read"))
        return read_record(p, err);
    if (!strcmp(what, "write"))
        return write_record(p, args, err);
    if (!strcmp(what, "promote"))
        return ss_proc_promote(p, number(args[0]), err);
    if (!strcmp(what, "fill"))
        return ss_proc_fill(p, err);
    if (!strcmp(what, "settle"))
        return ss_proc_settle(p, err);
    if (!strcmp(what, "release-image"))
        return ss_proc_release_image(p, err);
    if (!strcmp(what, "release-record"))
        return ss_proc_release_record(p, err);
    if (!strcmp(what, "drop"))
        return ss_proc_drop(p, err);
    if (!strcmp(what, "reopen"))
        return ss_proc_reopen(p, (int)number(args[0]), err);
    if (!strcmp(what, "patience"))
        return ss_proc_set_patience(p, (int)number(args[0]), err);
    if (!strcmp(what, "quit"))
        return ss_proc_quit(p, args[0] != NULL, err);
    return drv_err(err, DRV_EINVAL, "no command %s", what);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fputs(usage, stderr);
        return 2;
    }
    struct drv_err err = DRV_ERR_INIT;
    int rc;
    if (!strcmp(argv[3], "start")) {
        rc = start(argv[1], argv[2], argv + 4, &err);
    } else {
        struct ss_proc *p = ss_proc_connect(argv[1], argv[2], &err);
        rc = p ? command(p, argv[3], argv + 4, &err) : -1;
        ss_proc_close(p);
    }
    if (rc < 0) {
        fprintf(stderr, "%s: %s%s%s\n", drv_code_name(err.code), err.msg, err.hint[0] ? " | " : "",
                err.hint);
        return 1;
    }
    return 0;
}
