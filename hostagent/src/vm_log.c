// SPDX-License-Identifier: GPL-3.0-or-later
// Logs of VMs: see vm_log.h.
#include "vm_log.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "logfile.h"

enum { KEEP_GONE = 64, KEEP_GONE_S = 31 * 86400 };

static void log_dir(struct ha *ha, char ret[PATH_MAX])
{
    snprintf(ret, PATH_MAX, "%s/log", drv_conf_str(ha->conf, "state_dir"));
}

// The folder is made when the first line needs it.
static void log_path(struct ha *ha, const char *uuid, char ret[PATH_MAX])
{
    char dir[PATH_MAX];
    log_dir(ha, dir);
    mkdir(dir, 0700);
    snprintf(ret, PATH_MAX, "%.4000s/%s", dir, uuid);
}

// --- writing ---

static void collect(struct ha *ha, const char *uuid, bool rest)
{
    char dir[256], path[PATH_MAX], from[PATH_MAX], source[32];
    log_path(ha, uuid, path);
    ha_vm_dir(ha, uuid, dir, sizeof dir);
    DIR *d = opendir(dir);
    if (!d)
        return;
    for (const struct dirent *e; (e = readdir(d));) {
        size_t n = strlen(e->d_name);
        if (n <= 4 || strcmp(e->d_name + n - 4, ".log") != 0)
            continue;
        snprintf(source, sizeof source, "%.*s", (int)(n - 4), e->d_name);
        snprintf(from, sizeof from, "%s/%s", dir, e->d_name);
        ha_logfile_take(path, source, from, rest, drv_wall_ms());
    }
    closedir(d);
}

void ha_vmlog_collect(struct ha *ha, const char *uuid)
{
    collect(ha, uuid, false);
}

void ha_vmlog(struct ha *ha, const char *uuid, const char *fmt, ...)
{
    char path[PATH_MAX], *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        abort();
    collect(ha, uuid, false);
    log_path(ha, uuid, path);
    ha_logfile_add(path, drv_wall_ms(), "drover", text);
    free(text);
}

void ha_vm_dir_end(struct ha *ha, const char *uuid)
{
    char dir[256];
    collect(ha, uuid, true);
    ha_vm_dir(ha, uuid, dir, sizeof dir);
    ha_vm_dir_remove(dir);
}

// --- reading ---

json_t *ha_vmlog_read(struct ha *ha, const char *uuid, unsigned lines, const char *after,
                      char ret_next[64])
{
    char path[PATH_MAX];
    collect(ha, uuid, false);
    log_path(ha, uuid, path);
    return ha_logfile_read(path, lines, after, ret_next);
}

// --- removing ---

void ha_vmlog_remove(struct ha *ha, const char *uuid)
{
    char path[PATH_MAX];
    log_path(ha, uuid, path);
    ha_logfile_remove(path);
}

struct gone {
    char uuid[DRV_UUID_LEN];
    time_t written;
};

static int newest_first(const void *a, const void *b)
{
    const struct gone *x = a, *y = b;
    return (x->written < y->written) - (x->written > y->written);
}

static bool is_here(const struct db_vms *rows, const char *uuid)
{
    for (unsigned i = 0; i < rows->n; i++)
        if (!strcmp(rows->list[i].uuid, uuid))
            return true;
    return false;
}

// Logs of VMs that are not here; caller frees.
static struct gone *find_gone(struct ha *ha, const struct db_vms *rows, size_t *ret_n)
{
    char dir[PATH_MAX];
    struct gone *list = NULL;
    size_t n = 0;
    log_dir(ha, dir);
    DIR *d = opendir(dir);
    for (const struct dirent *e; d && (e = readdir(d));) {
        struct stat st;
        if (!drv_uuid_valid(e->d_name) || is_here(rows, e->d_name) ||
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        list = realloc(list, (n + 1) * sizeof *list);
        if (!list)
            abort();
        DRV_COPY(list[n].uuid, e->d_name);
        list[n++].written = st.st_mtime;
    }
    if (d)
        closedir(d);
    *ret_n = n;
    return list;
}

void ha_vmlog_prune(struct ha *ha)
{
    struct db_vms rows = {0};
    struct drv_err ignored = DRV_ERR_INIT;
    size_t n;
    if (db_vm_list(ha->db, &rows, &ignored) < 0)
        return;
    DRV_AUTO_FREE struct gone *list = find_gone(ha, &rows, &n);
    db_vms_done(&rows);
    if (n > 0)
        qsort(list, n, sizeof *list, newest_first);
    time_t oldest = time(NULL) - KEEP_GONE_S;
    for (size_t i = 0; i < n; i++)
        if (i >= KEEP_GONE || list[i].written < oldest)
            ha_vmlog_remove(ha, list[i].uuid);
}
