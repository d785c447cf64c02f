// SPDX-License-Identifier: GPL-3.0-or-later
// Importing image files into a new VM's disks, with qemu-img.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drover/proc.h"
#include "vm_create.h"

enum { INFO_TIMEOUT_MS = 20000, COPY_TIMEOUT_MS = 24 * 3600 * 1000, OUTPUT_MAX = 64 << 10 };

// The agent reads as root. Whoever is not root here may only name files that drover's own stores
// have.
static int in_local_store(struct ha *ha, const char *real, struct drv_err *err)
{
    struct db_stores all = {0};
    bool found = false;
    if (db_store_list(ha->db, &all, err) < 0)
        return -1;
    for (unsigned i = 0; i < all.n && !found; i++) {
        struct drv_err ignored = DRV_ERR_INIT;
        struct ss_url u;
        char root[PATH_MAX];
        if (ss_url_parse(all.list[i].url, &u, &ignored) < 0 || u.kind != SS_LOCAL ||
            !realpath(u.path, root))
            continue;
        size_t n = strlen(root);
        found = !strncmp(real, root, n) && real[n] == '/';
    }
    db_stores_done(&all);
    if (found)
        return 0;
    drv_err(err, DRV_EDENIED, "%s is in no local store of %s", real, ha->fqdn);
    return drv_err_hint(err,
                        "only root on %s itself may import any file: put it into the folder "
                        "of a local store, or run `drover vm create` there",
                        ha->fqdn);
}

static int judge(const char *path, const char *output, enum ss_format *ret_format,
                 uint64_t *ret_bytes, struct drv_err *err)
{
    json_error_t je;
    DRV_AUTO_JSON json_t *j = json_loads(output, 0, &je);
    const char *format = NULL, *backing = NULL, *data_file = NULL;
    json_int_t bytes = 0;
    json_t *data = NULL;
    if (!j ||
        json_unpack_ex(j, &je, 0, "{s:s, s:I, s?s, s?{s?{s?o, s?s}}}", "format", &format,
                       "virtual-size", &bytes, "backing-filename", &backing, "format-specific",
                       "data", "encrypt", &data, "data-file", &data_file) < 0)
        return drv_err(err, DRV_EPEER, "qemu-img info %s: %s", path, je.text);
    if (ss_format_from_name(format, ret_format) < 0) {
        drv_err(err, DRV_EINVAL, "%s is %s; only raw and qcow2 can be imported", path, format);
        return drv_err_hint(err, "convert it first: qemu-img convert -O qcow2 %s NEW.qcow2", path);
    }
    if (backing || data_file || data) {
        drv_err(err, DRV_EINVAL, "%s %s", path,
                data ? "is encrypted" : "needs another file that it names");
        return drv_err_hint(err, "flatten it first: qemu-img convert -O qcow2 %s NEW.qcow2", path);
    }
    if (bytes <= 0)
        return drv_err(err, DRV_EINVAL, "%s is empty", path);
    *ret_bytes = ((uint64_t)bytes + 511) & ~(uint64_t)511;
    return 0;
}

int ha_import_look(struct ha *ha, const char *path, bool any, enum ss_format *ret_format,
                   uint64_t *ret_bytes, struct drv_err *err)
{
    char real[PATH_MAX];
    struct stat st;
    if (path[0] != '/')
        return drv_err(err, DRV_EINVAL, "import: \"%s\" must be an absolute path on %s", path,
                       ha->fqdn);
    if (!realpath(path, real) || stat(real, &st) < 0)
        return drv_err_os(err, errno, "import %s", path);
    if (!S_ISREG(st.st_mode))
        return drv_err(err, DRV_EINVAL, "import: %s is not a file", path);
    if (!any && in_local_store(ha, real, err) < 0)
        return -1;
    const char *argv[] = {"qemu-img", "info", "-U", "--output=json", real, NULL};
    DRV_AUTO_FREE char *output = NULL;
    if (drv_proc_run(argv, NULL, INFO_TIMEOUT_MS, OUTPUT_MAX, &output, err) < 0)
        return drv_err_prefix(err, "import %s", path);
    return judge(path, output, ret_format, ret_bytes, err);
}

// In qemu-img's key=value lists a comma is written twice. NULL never; caller frees.
static char *escaped(const char *s)
{
    char *out = drv_xcalloc(2 * strlen(s) + 1, 1), *o = out;
    for (; *s; s++) {
        *o++ = *s;
        if (*s == ',')
            *o++ = ',';
    }
    return out;
}

int ha_import_copy(struct ha *ha, const struct ss_vmdef *def, unsigned disk, const char *path,
                   enum ss_format format, struct drv_err *err)
{
    const struct ss_disk *d = &def->disks[disk];
    char nbd[HA_SOCK_MAX + 64], file[SS_PATH_MAX * 2];
    if (ha_owner_disk_path(ha, def, disk, nbd, sizeof nbd, file, sizeof file, err) < 0)
        return -1;
    DRV_AUTO_FREE char *where = escaped(nbd[0] ? nbd : file);
    DRV_AUTO_FREE char *target =
        nbd[0] ? drv_xasprintf("driver=%s,file.driver=nbd,file.server.type=unix,"
                               "file.server.path=%s",
                               ss_format_name(d->format), where)
               : drv_xasprintf("driver=%s,file.driver=file,file.filename=%s",
                               ss_format_name(d->format), where);
    // -n: into the image that is there, which is all zeros.
    const char *argv[] = {"qemu-img",
                          "convert",
                          "-n",
                          "--target-is-zero",
                          "-t",
                          "writeback",
                          "-T",
                          "writeback",
                          "-f",
                          ss_format_name(format),
                          "--target-image-opts",
                          path,
                          target,
                          NULL};
    if (drv_proc_run(argv, NULL, COPY_TIMEOUT_MS, OUTPUT_MAX, NULL, err) < 0)
        return drv_err_prefix(err, "importing %s", path);
    return 0;
}
