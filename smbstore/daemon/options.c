// SPDX-License-Identifier: GPL-3.0-or-later
// See options.h.
#include "options.h"

#include <stdlib.h>

#include "drover/util.h"

enum {
    O_IMAGE = 1,
    O_RECORD,
    O_PEEK,
    O_CONTROL,
    O_PIDFILE,
    O_QMP,
    O_EXPORT,
    O_STALL,
    O_VERIFY,
    O_GUARDS,
    O_NBD,
    O_NBD_UID,
    O_NBD_GID,
    O_REPLAY,
    O_AFTER_CRASH,
    O_KEYTAB,
    O_PRINCIPAL,
    O_NO_ENCRYPTION,
    O_PROBE
};

static const struct argp_option options[] = {
    {"image", O_IMAGE, "URL", 0,
     "File to serve, smb://server/share/path; needs --nbd and --replay-log", 0},
    {"nbd", O_NBD, "PATH", 0, "Where QEMU connects, a unix socket", 0},
    {"nbd-uid", O_NBD_UID, "UID", 0, "User who may connect to that socket", 0},
    {"nbd-gid", O_NBD_GID, "GID", 0, "Group of that socket", 0},
    {"export-bytes", O_EXPORT, "BYTES", 0,
     "Size of the NBD export; 0, the default, is the size of the file. A qcow2 file needs room to "
     "grow",
     0},
    {"replay-log", O_REPLAY, "PATH", 0,
     "Keeps what is acknowledged and not durable yet, at most 64 MiB; on a tmpfs, as it outlives "
     "this process",
     0},
    {"after-crash", O_AFTER_CRASH, NULL, 0,
     "This process takes the place of one that died: its replay log must be there", 0},
    {"record", O_RECORD, "URL", 0, "Owner record to hold; --image or --record is needed", 0},
    {"peek-record", O_PEEK, "URL", 0,
     "Owner record that another process holds; it is read after an outage", 0},
    {"control", O_CONTROL, "PATH", 0, "Where the agent gives its orders, one JSON object per line",
     0},
    {"qmp", O_QMP, "PATH", 0, "Monitor of the QEMU to pause when the store is lost", 0},
    {"guards", O_GUARDS, NULL, 0, "Pause it also when only the owner record is lost", 0},
    {"stall", O_STALL, "SECONDS", 0,
     "Pause it when the owner record could not be verified, or a request had no answer, for so "
     "long, 1 to 3600 (60)",
     0},
    {"verify", O_VERIFY, "SECONDS", 0, "Time between verifications of the record, 1 to 60 (5)", 0},
    {"keytab", O_KEYTAB, "PATH", 0,
     "Keys of the host; without it the credential cache that KRB5CCNAME names is used", 0},
    {"principal", O_PRINCIPAL, "NAME", 0, "The host's account in the keytab, NAME$@REALM", 0},
    {"pidfile", O_PIDFILE, "PATH", 0, "Gets the process and its start time", 0},
    {"no-encryption", O_NO_ENCRYPTION, NULL, 0, "Sign only; for benchmarks", 0},
    {"probe", O_PROBE, "URL", 0,
     "Make a file there, say what the server can do with it as one line of JSON, remove it and end",
     0},
    {0}};

static int parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
    char *end = NULL;
    unsigned long long n = strtoull(text, &end, 10);
    if (!*text || *end || n < min || n > max)
        return -1;
    *ret = n;
    return 0;
}

static void number(struct argp_state *state, const char *name, uint64_t min, uint64_t max,
                   const char *text, uint64_t *ret)
{
    if (parse_number(text, min, max, ret) < 0)
        argp_error(state, "--%s must be a number from %llu to %llu", name, (unsigned long long)min,
                   (unsigned long long)max);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct ds_options *o = state->input;
    struct {
        int key;
        const char **text;
    } texts[] = {{O_KEYTAB, &o->keytab},
                 {O_PRINCIPAL, &o->principal},
                 {O_PROBE, &o->probe},
                 {O_NBD, &o->path.nbd_path},
                 {O_REPLAY, &o->path.replay_path},
                 {O_IMAGE, (const char **)&o->store.image_url},
                 {O_RECORD, (const char **)&o->store.record_url},
                 {O_PEEK, (const char **)&o->store.peek_url},
                 {O_CONTROL, (const char **)&o->store.control_path},
                 {O_PIDFILE, (const char **)&o->store.pid_path},
                 {O_QMP, (const char **)&o->store.qmp_path}};
    uint64_t n = 0;
    for (size_t i = 0; i < DRV_ARRAY_LEN(texts); i++)
        if (texts[i].key == key) {
            *texts[i].text = arg;
            return 0;
        }
    switch (key) {
    case O_EXPORT:
        number(state, "export-bytes", 0, INT64_MAX, arg, &o->path.export_bytes);
        break;
    case O_STALL:
        number(state, "stall", 1, 3600, arg, &n);
        o->store.stall_s = (unsigned)n;
        break;
    case O_VERIFY:
        number(state, "verify", 1, 60, arg, &n);
        o->store.verify_s = (unsigned)n;
        break;
    case O_NBD_UID:
        number(state, "nbd-uid", 0, UINT32_MAX - 1, arg, &n);
        o->path.nbd_uid = (uid_t)n;
        break;
    case O_NBD_GID:
        number(state, "nbd-gid", 0, UINT32_MAX - 1, arg, &n);
        o->path.nbd_gid = (gid_t)n;
        break;
    case O_GUARDS:
        o->store.guards_guest = true;
        break;
    case O_AFTER_CRASH:
        o->path.after_crash = true;
        break;
    case O_NO_ENCRYPTION:
        o->no_encryption = true;
        break;
    case ARGP_KEY_END:
        if (o->probe)
            break;
        if (!o->store.control_path || (!o->store.image_url && !o->store.record_url))
            argp_error(state, "--control and --image or --record are needed");
        if (!!o->store.image_url != !!o->path.nbd_path ||
            !!o->store.image_url != !!o->path.replay_path)
            argp_error(state, "--image, --nbd and --replay-log go together");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

const struct argp ds_argp = {
    .options = options,
    .parser = parse,
    .doc = "Serve one VM disk on an SMB3 share to QEMU, and hold the VM's owner record.",
};
