// SPDX-License-Identifier: GPL-3.0-or-later
// Discs: see disc.h.
#include "disc.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "agent.h"
#include "drover/delegation.h"
#include "qemu_user.h"
#include "qmp_block.h"

#define PREFIX "disc-"

static void process_name(const char *drive, char ret[SS_NAME_MAX])
{
    snprintf(ret, SS_NAME_MAX, PREFIX "%.24s", drive);
}

// *ret_file: path of the disc if it lies in a folder of this host, else "" and *ret_url is its URL.
static int locate(struct ha *ha, const struct ss_cdrom *drive, char ret_url[HA_URL_MAX],
                  char ret_file[SS_PATH_MAX * 2], struct drv_err *err)
{
    char url[HA_URL_MAX];
    struct ss_url u;
    ret_file[0] = '\0';
    if (ha_store_url(ha, drive->store, url, sizeof url, err) < 0 ||
        ss_url_parse(url, &u, err) < 0 ||
        ha_store_file_url(url, drive->path, ret_url, HA_URL_MAX, err) < 0)
        return drv_err_prefix(err, "CD-ROM %s", drive->id);
    if (u.kind == SS_LOCAL &&
        snprintf(ret_file, SS_PATH_MAX * 2, "%s/%s", u.path, drive->path) >= SS_PATH_MAX * 2)
        return drv_err(err, DRV_EINVAL, "the path of CD-ROM %s is too long", drive->id);
    return 0;
}

// By owner, groups and mode: better said before the guest runs. Where there is an ACL the kernel
// alone knows.
static int check_readable(struct ha *ha, const char *file, struct drv_err *err)
{
    struct stat st;
    if (stat(file, &st) < 0)
        return drv_err_os(err, errno, "%s", file);
    if (ha_qemu_may(ha->qemu_uid, ha->qemu_gid, &st, S_IROTH) ||
        getxattr(file, "system.posix_acl_access", NULL, 0) > 0)
        return 0;
    drv_err(err, DRV_EDENIED, "QEMU's user may not read %s", file);
    return drv_err_hint(err, "chmod o+r '%s'", file);
}

int ha_disc_check(struct ha *ha, const struct ss_cdrom *drive, struct drv_err *err)
{
    char url[HA_URL_MAX], file[SS_PATH_MAX * 2];
    struct ss_stat st;
    if (!drive->store[0])
        return 0;
    if (locate(ha, drive, url, file, err) < 0)
        return -1;
    struct ss_store *store = ha_store_open(ha, drive->store, NULL, err);
    int rc = store ? ss_stat(store, drive->path, &st, err) : -1;
    ss_store_close(store);
    if (rc == 0 && file[0])
        rc = check_readable(ha, file, err);
    return rc < 0 ? drv_err_prefix(err, "CD-ROM %s", drive->id) : 0;
}

// --- its drover-store ---

// fresh: one that runs already serves another disc.
static int start(struct ha *ha, const char *dir, const struct ss_cdrom *drive, const char *url,
                 bool fresh, struct drv_err *err)
{
    struct ha_proc_base base;
    struct drv_err why = DRV_ERR_INIT;
    char name[SS_NAME_MAX];
    if (ha_proc_base(ha, drive->store, &base, err) < 0)
        return -1;
    process_name(drive->id, name);
    base.spec.dir = dir;
    base.spec.name = name;
    base.spec.image_url = url;
    base.spec.format = SS_RAW;
    if (ss_proc_start(&base.spec, &why) == 0 || (!fresh && why.code == DRV_EEXIST))
        return 0;
    *err = why;
    return drv_err_prefix(err, "CD-ROM %s", drive->id);
}

int ha_disc_open(struct ha *ha, const char *uuid, const struct ss_cdrom *drive, bool fresh,
                 struct ha_image_at *ret, struct drv_err *err)
{
    char url[HA_URL_MAX], dir[256], name[SS_NAME_MAX];
    ret->nbd[0] = ret->file[0] = '\0';
    if (!drive->store[0])
        return 0;
    if (locate(ha, drive, url, ret->file, err) < 0)
        return -1;
    if (ret->file[0])
        return 0;
    ha_vm_dir(ha, uuid, dir, sizeof dir);
    process_name(drive->id, name);
    ss_proc_nbd_path(dir, name, ret->nbd, sizeof ret->nbd);
    return start(ha, dir, drive, url, fresh, err);
}

int ha_disc_close(const char *dir, const char *drive, struct drv_err *err)
{
    char name[SS_NAME_MAX];
    process_name(drive, name);
    return ss_proc_end(dir, name, err);
}

int ha_discs_close(const char *dir, struct drv_err *err)
{
    int rc = 0;
    DIR *d = opendir(dir);
    if (!d && errno != ENOENT)
        return drv_err_os(err, errno, "%s", dir);
    for (const struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        char name[SS_NAME_MAX];
        const char *dot = strrchr(e->d_name, '.');
        if (strncmp(e->d_name, PREFIX, strlen(PREFIX)) != 0 || !dot || strcmp(dot, ".ctl") != 0 ||
            snprintf(name, sizeof name, "%.*s", (int)(dot - e->d_name), e->d_name) >=
                (int)sizeof name)
            continue;
        if (ss_proc_end(dir, name, rc ? NULL : err) < 0)
            rc = -1;
    }
    if (d)
        closedir(d);
    return rc;
}

// --- in QEMU ---

enum { TRAY_TRIES = 20 };

// Open the tray and run a command that needs it open. node: NULL = none. A guest may close the tray
// in between (Linux does whenever a program opens the drive), so an error is believed only when it
// lasts.
static int with_tray_open(struct qmp *q, const char *command, const char *drive, const char *node,
                          struct drv_err *err)
{
    DRV_AUTO_FREE char *device = drv_xasprintf("dev-%s", drive);
    for (int tries = 1;; tries++) {
        json_t *open = json_pack("{s:s, s:b}", "id", device, "force", 1);
        json_t *args = json_pack("{s:s, s:s*}", "id", device, "node-name", node);
        bool last = tries == TRAY_TRIES || !qmp_alive(q);
        if (qmp_do(q, "blockdev-open-tray", open, QMP_TIMEOUT_MS, err) < 0) {
            json_decref(args);
            return -1;
        }
        if (qmp_do(q, command, args, QMP_TIMEOUT_MS, last ? err : NULL) == 0)
            return 0;
        if (last)
            return -1;
    }
}

static int close_tray(struct qmp *q, const char *drive, struct drv_err *err)
{
    DRV_AUTO_FREE char *device = drv_xasprintf("dev-%s", drive);
    return qmp_do(q, "blockdev-close-tray", json_pack("{s:s}", "id", device), QMP_TIMEOUT_MS, err);
}

int ha_disc_take_out(struct qmp *q, const char *drive, struct drv_err *err)
{
    if (with_tray_open(q, "blockdev-remove-medium", drive, NULL, err) < 0 ||
        close_tray(q, drive, err) < 0)
        return -1;
    return qmp_node_pair_del(q, drive, err);
}

int ha_disc_put_in(struct qmp *q, const char *drive, const struct ha_image_at *at,
                   struct drv_err *err)
{
    if (ha_disc_take_out(q, drive, err) < 0 ||
        qmp_disc_node_add(q, drive, at->nbd[0] ? at->nbd : NULL, at->file, err) < 0)
        return -1;
    if (with_tray_open(q, "blockdev-insert-medium", drive, drive, err) == 0 &&
        close_tray(q, drive, err) == 0)
        return 0;
    ha_disc_take_out(q, drive, NULL);
    return -1;
}
