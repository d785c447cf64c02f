// SPDX-License-Identifier: GPL-3.0-or-later
// What a share's measured abilities, or a folder's file system, mean for VMs: see store_check.h.
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

#include "store_check.h"

// --- shares ---

// A FLUSH of 1 MiB that reaches a disk takes longer than an answer that needs none: 0.42 to 0.56 ms
// against 0.07 to 0.08 on a fast virtual disk; without strict sync 0.05 to 0.08 against 0.06 to
// 0.09.
static const double FLUSH_FACTOR = 1.3, FLUSH_MORE_MS = 0.1;

static void judge_flush(const struct ss_probe *p, const char *name, const char *host,
                        struct drv_findings *ret)
{
    bool real =
        p->flush_ms > p->answer_ms * FLUSH_FACTOR && p->flush_ms > p->answer_ms + FLUSH_MORE_MS;
    drv_finding_add_as(ret, real ? DRV_SEV_OK : DRV_SEV_WARNING, "S17", host,
                       "%s: a flush of 1 MiB takes %.2f ms, an answer without the disk %.2f ms%s",
                       name, p->flush_ms, p->answer_ms, real ? "" : ": it may not reach the disk");
    if (p->share_capabilities & SS_SHARE_CAP_CONTINUOUS)
        drv_finding_add_as(ret, DRV_SEV_INFO, "S17", host,
                           "%s is a continuously available share: every write waits for the disk",
                           name);
}

static void judge_holes(const struct ss_probe *p, const char *name, const char *host,
                        struct drv_findings *ret)
{
    if (p->sparse && p->ranges && p->punch)
        drv_finding_add_as(ret, DRV_SEV_OK, "S18", host,
                           "%s keeps holes in images and takes freed space back", name);
    else
        drv_finding_add(
            ret, "S18", host, "%s cannot:%s%s%s", name, p->sparse ? "" : " make sparse files;",
            p->ranges ? "" : " tell what is allocated;", p->punch ? "" : " take freed space back;");
}

static void judge_protection(const struct ss_probe *p, const char *name, const char *host,
                             struct drv_findings *ret)
{
    bool gcm = !strcmp(p->encrypted, "AES-128-GCM") || !strcmp(p->encrypted, "AES-256-GCM");
    if (!p->encrypted[0])
        drv_finding_add(ret, "S19", host, "%s: disks would go over the network in clear", name);
    else
        drv_finding_add_as(ret, gcm ? DRV_SEV_OK : DRV_SEV_WARNING, "S19", host,
                           "%s: disks are encrypted with %s%s", name, p->encrypted,
                           gcm ? "" : ", which is slow: the server should offer AES-GCM");
    if (p->capabilities & SS_CAP_MULTI_CHANNEL)
        drv_finding_add_as(ret, DRV_SEV_INFO, "S20", host,
                           "%s offers multi-channel, which can make reconnects wait; Samba: server "
                           "multi channel support = no",
                           name);
}

void ha_store_judge_probe(const struct ss_probe *p, const char *name, const char *host,
                          struct drv_findings *ret)
{
    judge_flush(p, name, host, ret);
    judge_holes(p, name, host, ret);
    judge_protection(p, name, host, ret);
}

// --- folders ---

static const struct {
    uint32_t magic;
    const char *why;
} unfit[] = {
    {TMPFS_MAGIC, "in memory: gone with a reboot"},
    {RAMFS_MAGIC, "in memory: gone with a reboot"},
    {NFS_SUPER_MAGIC, "on NFS: other hosts may write there unnoticed"},
    {CIFS_SUPER_MAGIC, "on an SMB share: add that as smb://server/share"},
    {SMB2_SUPER_MAGIC, "on an SMB share: add that as smb://server/share"},
    {FUSE_SUPER_MAGIC, "behind a FUSE program, which decides what a flush is worth"},
    {MSDOS_SUPER_MAGIC, "on FAT: no file above 4 GiB, no journal"},
};

void ha_store_judge_folder(const char *path, const char *name, const char *host,
                           struct drv_findings *ret)
{
    struct statfs fs;
    if (statfs(path, &fs) < 0)
        return; // what can be said of such a folder is said already
    for (size_t i = 0; i < DRV_ARRAY_LEN(unfit); i++)
        if ((uint32_t)fs.f_type == unfit[i].magic) {
            drv_finding_add(ret, "S21", host, "%s (%s) is %s", name, path, unfit[i].why);
            return;
        }
    drv_finding_add_as(ret, DRV_SEV_OK, "S21", host, "%s is a file system of this host", name);
}
