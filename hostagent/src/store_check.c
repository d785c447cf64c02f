// SPDX-License-Identifier: GPL-3.0-or-later
// Checking a store: see store_check.h. The deny-write test uses two drover-store processes, that is
// two SMB connections, as two hosts would.
#include "store_check.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drover/storeproc.h"
#include "drover/text.h"
#include "qemu_user.h"

enum { HOLD_MS = 10000, PROBE_MS = 30000 };
static const uint64_t LITTLE_SPACE = UINT64_C(2) << 30;

struct check {
    struct ha *ha;
    const char *name, *url;
    struct ss_url u;
    struct ss_store *st;
    struct drv_findings *found;
};

static void say(struct check *c, const char *id, const struct drv_err *err)
{
    drv_finding_add(c->found, id, c->ha->fqdn, "%s: %s", c->name, err->msg);
    if (err->hint[0])
        drv_finding_fix(c->found, "%s", err->hint);
}

static void check_write(struct check *c)
{
    struct drv_err err = DRV_ERR_INIT;
    if (ss_probe_write(c->st, "", &err) < 0)
        say(c, "S12", &err);
    else
        drv_finding_add_as(c->found, DRV_SEV_OK, "S12", c->ha->fqdn, "%s can be written", c->name);
}

static void check_space(struct check *c)
{
    struct drv_err err = DRV_ERR_INIT;
    struct ss_space s = {0};
    if (ss_space(c->st, &s, &err) < 0) {
        say(c, "S03", &err);
        return;
    }
    enum drv_severity sev = s.free_bytes < LITTLE_SPACE ? DRV_SEV_WARNING : DRV_SEV_OK;
    drv_finding_add_as(c->found, sev, "S03", c->ha->fqdn, "%s has %s free of %s", c->name,
                       drv_fmt_bytes((int64_t)s.free_bytes).s,
                       drv_fmt_bytes((int64_t)s.total_bytes).s);
}

// --- a local folder: QEMU's user must reach the images by name ---

static void check_reach(struct check *c)
{
    const char *path = c->u.path;
    for (size_t end = 1; end <= strlen(path); end += 1 + strcspn(path + end + 1, "/")) {
        char prefix[SS_PATH_MAX];
        struct stat st;
        snprintf(prefix, sizeof prefix, "%.*s", (int)end, path);
        if (stat(prefix, &st) == 0 && ha_qemu_may(c->ha->qemu_uid, c->ha->qemu_gid, &st, S_IXOTH))
            continue;
        drv_finding_add(c->found, "S12", c->ha->fqdn, "QEMU's user may not pass through %s",
                        prefix);
        drv_finding_fix(c->found, "chmod o+x %s", prefix);
        return;
    }
}

// An agent that is not root cannot give a new image to QEMU's group where the folder gives it
// another.
static void check_group(struct check *c)
{
    const char *path = c->u.path;
    struct stat st;
    if (geteuid() == 0 || stat(path, &st) < 0 || !(st.st_mode & S_ISGID) ||
        st.st_gid == c->ha->qemu_gid)
        return;
    drv_finding_add(c->found, "S12", c->ha->fqdn,
                    "new files in %s get the folder's group, so that QEMU could not open them",
                    path);
    drv_finding_fix(c->found, "chmod g-s %s; or chgrp %d %s", path, (int)c->ha->qemu_gid, path);
}

// --- an SMB share: deny-write must hold between two connections ---

struct rivals {
    char uuid[DRV_UUID_LEN], dir[256];
    char folder[64], moved[80], path[80]; // in the store: path lies in folder
    struct ss_proc *procs[2];
};

static int start_rival(struct check *c, struct rivals *r, unsigned i, struct drv_err *err)
{
    static const char *const names[] = {"rival0", "rival1"};
    char ccache[512], named[600], url[HA_URL_MAX];
    if (ha_host_ccache(c->ha, ccache, sizeof ccache, err) < 0 ||
        ha_store_file_url(c->url, r->path, url, sizeof url, err) < 0)
        return -1;
    snprintf(named, sizeof named, "FILE:%s", ccache);
    struct ss_proc_spec spec = {.program = c->ha->store_program,
                                .dir = r->dir,
                                .name = names[i],
                                .ccache = named,
                                .record_url = url,
                                .holds_record = true,
                                .stall_deadline_s = 60};
    if (ss_proc_start(&spec, err) < 0)
        return -1;
    r->procs[i] = ss_proc_connect(r->dir, names[i], err);
    return r->procs[i] ? 0 : -1;
}

// The folder of an open file must stay where it is, also for another connection.
static void check_rename(struct check *c, const struct rivals *r)
{
    struct drv_err err = DRV_ERR_INIT, ignored = DRV_ERR_INIT;
    if (ss_rename(c->st, r->folder, r->moved, false, &err) == 0) {
        drv_finding_add(c->found, "S22", c->ha->fqdn,
                        "%s let a folder be renamed under an open file", c->name);
        ss_rename(c->st, r->moved, r->folder, false, &ignored);
    } else if (err.code == DRV_EDENIED || err.code == DRV_EBUSY) {
        drv_finding_add_as(c->found, DRV_SEV_OK, "S22", c->ha->fqdn,
                           "%s keeps folders where they are while a file in them is open", c->name);
    } else {
        say(c, "S22", &err);
    }
}

// 1 = the second open was refused, 0 = it was not, -1 = could not be tried.
static int fight(struct check *c, struct rivals *r, struct drv_err *err)
{
    for (unsigned i = 0; i < 2; i++)
        if (start_rival(c, r, i, err) < 0)
            return -1;
    if (ss_proc_hold_record(r->procs[0], true, HOLD_MS, err) < 0)
        return -1;
    check_rename(c, r);
    struct drv_err why = DRV_ERR_INIT;
    if (ss_proc_hold_record(r->procs[1], false, HOLD_MS, &why) == 0)
        return 0;
    if (why.code == DRV_EBUSY)
        return 1;
    *err = why;
    return -1;
}

static void check_deny_write(struct check *c)
{
    struct drv_err err = DRV_ERR_INIT, ignored = DRV_ERR_INIT;
    struct rivals r = {0};
    drv_uuid_new(r.uuid);
    ha_vm_dir(c->ha, r.uuid, r.dir, sizeof r.dir);
    snprintf(r.folder, sizeof r.folder, ".drover/check-%s", r.uuid);
    snprintf(r.moved, sizeof r.moved, "%s-moved", r.folder);
    snprintf(r.path, sizeof r.path, "%s/held", r.folder);
    int rc = -1;
    if (mkdir(r.dir, 0711) < 0)
        drv_err_os(&err, errno, "cannot make %s", r.dir);
    else if (ss_mkdir(c->st, r.folder, &err) == 0)
        rc = fight(c, &r, &err);
    for (unsigned i = 0; i < 2; i++)
        if (r.procs[i]) {
            ss_proc_quit(r.procs[i], true, &ignored);
            ss_proc_close(r.procs[i]);
        }
    ss_unlink(c->st, r.path, &ignored);
    ss_rmdir(c->st, r.folder, &ignored);
    ha_vm_dir_remove(r.dir);
    if (rc < 0)
        say(c, "S15", &err);
    else if (rc == 0)
        drv_finding_add(c->found, "S15", c->ha->fqdn,
                        "%s let two connections hold one file against each other's writes",
                        c->name);
    else
        drv_finding_add_as(c->found, DRV_SEV_OK, "S15", c->ha->fqdn,
                           "%s keeps a file to the one that holds it", c->name);
}

// --- what only drover-store's own client can find out ---

static int probe(struct check *c, const char *path, struct ss_probe *ret, struct drv_err *err)
{
    char ccache[512], named[600], url[HA_URL_MAX];
    if (ha_host_ccache(c->ha, ccache, sizeof ccache, err) < 0 ||
        ha_store_file_url(c->url, path, url, sizeof url, err) < 0)
        return -1;
    snprintf(named, sizeof named, "FILE:%s", ccache);
    return ss_probe_run(c->ha->store_program, url, named, PROBE_MS, ret, err);
}

static void check_probe(struct check *c)
{
    struct drv_err err = DRV_ERR_INIT, ignored = DRV_ERR_INIT;
    struct ss_probe p;
    char uuid[DRV_UUID_LEN], path[80];
    drv_uuid_new(uuid);
    snprintf(path, sizeof path, ".drover/probe-%s", uuid);
    if (probe(c, path, &p, &err) == 0) {
        ha_store_judge_probe(&p, c->name, c->ha->fqdn, c->found);
    } else {
        drv_finding_add_as(c->found, DRV_SEV_WARNING, "S17", c->ha->fqdn,
                           "%s: flushing and holes were not tried: %s", c->name, err.msg);
        drv_finding_fix(c->found, "%s", err.hint[0] ? err.hint : "See docs/FILESERVER.md.");
    }
    ss_unlink(c->st, path, &ignored); // the probe removes it, unless it was killed
}

// What every connection of drover-smb has: it could not be here otherwise (client/context.c).
static void tell_share(struct check *c)
{
    drv_finding_add_as(c->found, DRV_SEV_OK, "S19", c->ha->fqdn,
                       "%s was reached with Kerberos, SMB 3.1.1, encrypted with AES-GCM", c->name);
    drv_finding_add_as(c->found, DRV_SEV_INFO, "S20", c->ha->fqdn,
                       "%s: how long it keeps the files of a host that was cut off cannot be seen "
                       "from here: 5 to 6 s with drover-global.conf, up to hours without",
                       c->name);
}

int ha_store_check(struct ha *ha, const char *name, struct drv_findings *ret, struct drv_err *err)
{
    char url[HA_URL_MAX];
    struct drv_err why = DRV_ERR_INIT;
    struct check c = {.ha = ha, .name = name, .url = url, .found = ret};
    if (ha_store_url(ha, name, url, sizeof url, err) < 0 || ss_url_parse(url, &c.u, err) < 0)
        return -1;
    c.st = ha_store_open(ha, name, NULL, &why);
    if (!c.st) {
        say(&c, why.id[0] ? why.id : "S12", &why);
        return 0;
    }
    check_write(&c);
    check_space(&c);
    if (c.u.kind == SS_LOCAL) {
        check_reach(&c);
        check_group(&c);
        ha_store_judge_folder(c.u.path, name, ha->fqdn, ret);
    } else if (drv_findings_errors(ret) == 0) {
        check_deny_write(&c);
        check_probe(&c);
        tell_share(&c);
    }
    ss_store_close(c.st);
    return 0;
}
