// SPDX-License-Identifier: GPL-3.0-or-later
// Importing image files: see vm_import.h.
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drover/proc.h"
#include "vm_import.h"

enum { INFO_TIMEOUT_MS = 20000, COPY_TIMEOUT_MS = 24 * 3600 * 1000, OUTPUT_MAX = 64 << 10 };
enum { VHD_FOOTER_BYTES = 512, VHD_TYPE_AT = 60, VHD_DIFFERENCING = 4 };

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

// --- what is it? ---

// A VHD's footer, if there is one at that place.
static bool vhd_footer(int fd, off_t at, unsigned char ret[VHD_FOOTER_BYTES])
{
    return at >= 0 && pread(fd, ret, VHD_FOOTER_BYTES, at) == VHD_FOOTER_BYTES &&
           !memcmp(ret, "conectix", 8);
}

static bool is_differencing(const unsigned char footer[VHD_FOOTER_BYTES])
{
    uint32_t type;
    memcpy(&type, footer + VHD_TYPE_AT, sizeof type);
    return be32toh(type) == VHD_DIFFERENCING;
}

// QEMU takes a VHD of fixed size for raw, as its only mark is at its end, and one that needs a
// parent for a whole one. *ret: it is a VHD.
static int look_for_vhd(const char *path, bool *ret, struct drv_err *err)
{
    unsigned char footer[VHD_FOOTER_BYTES];
    struct stat st;
    DRV_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return drv_err_os(err, errno, "import %s", path);
    *ret = vhd_footer(fd, 0, footer) || vhd_footer(fd, st.st_size - VHD_FOOTER_BYTES, footer);
    if (*ret && is_differencing(footer)) {
        drv_err(err, DRV_EINVAL, "%s is a differencing disk: it needs its parent", path);
        return drv_err_hint(err, "merge it into its parent with Hyper-V's tools first");
    }
    return 0;
}

static const char *known_format(const char *name)
{
    static const char *const formats[] = {"raw", "qcow2", "vhdx", "vpc", "vmdk"};
    for (unsigned i = 0; i < DRV_ARRAY_LEN(formats); i++)
        if (!strcmp(name, formats[i]))
            return formats[i];
    return NULL;
}

// Does qemu-img name another file, or a secret, that it would need?
static const char *what_it_needs(const json_t *info)
{
    const json_t *data = json_object_get(json_object_get(info, "format-specific"), "data");
    const char *type = json_string_value(json_object_get(data, "create-type"));
    if (json_object_get(data, "encrypt") || json_is_true(json_object_get(info, "encrypted")))
        return "is encrypted";
    if (json_object_get(info, "backing-filename") || json_object_get(data, "data-file"))
        return "needs another file that it names";
    // VMDK: whatever has its data in itself.
    if (type && strcmp(type, "monolithicSparse") != 0 && strcmp(type, "streamOptimized") != 0)
        return "is a description that names other files";
    return NULL;
}

static int judge(const char *output, struct ha_import *in, struct drv_err *err)
{
    json_error_t je;
    DRV_AUTO_JSON json_t *j = json_loads(output, 0, &je);
    const char *format = NULL;
    json_int_t bytes = 0;
    if (!j ||
        json_unpack_ex(j, &je, 0, "{s:s, s:I}", "format", &format, "virtual-size", &bytes) < 0)
        return drv_err(err, DRV_EPEER, "qemu-img info %s: %s", in->path, je.text);
    if (bytes <= 0)
        return drv_err(err, DRV_EINVAL, "%s is empty", in->path);
    in->format = known_format(format);
    const char *needs = what_it_needs(j);
    if (!in->format || needs) {
        if (needs)
            drv_err(err, DRV_EINVAL, "%s %s", in->path, needs);
        else
            drv_err(err, DRV_EINVAL, "%s is %s; raw, qcow2, VHDX, VHD and VMDK can be imported",
                    in->path, format);
        return drv_err_hint(err, "make one file of it: qemu-img convert -O qcow2 %s NEW.qcow2",
                            in->path);
    }
    in->bytes = ((uint64_t)bytes + 511) & ~(uint64_t)511;
    return 0;
}

// The unit of drover-agent has PrivateTmp=.
static int not_seen(const struct ha *ha, const char *path, int why, struct drv_err *err)
{
    bool temporary = !strncmp(path, "/tmp/", 5) || !strncmp(path, "/var/tmp/", 9);
    drv_err_os(err, why, "import %s", path);
    if (temporary && why == ENOENT)
        drv_err_hint(err, "the agent has a /tmp and a /var/tmp of its own: put the file elsewhere");
    else if (why == ENOENT)
        drv_err_hint(err, "the file must be on %s", ha->fqdn);
    return -1;
}

static int find_file(struct ha *ha, const char *path, bool any, char ret[PATH_MAX],
                     struct drv_err *err)
{
    struct stat st;
    if (path[0] != '/')
        return drv_err(err, DRV_EINVAL, "import: \"%s\" must be an absolute path on %s", path,
                       ha->fqdn);
    if (!realpath(path, ret) || stat(ret, &st) < 0)
        return not_seen(ha, path, errno, err);
    if (!S_ISREG(st.st_mode))
        return drv_err(err, DRV_EINVAL, "import: %s is not a file", path);
    return any ? 0 : in_local_store(ha, ret, err);
}

int ha_import_look(struct ha *ha, const char *path, bool any, struct ha_import *ret,
                   struct drv_err *err)
{
    bool vhd = false;
    if (find_file(ha, path, any, ret->path, err) < 0 || look_for_vhd(ret->path, &vhd, err) < 0)
        return -1;
    const char *as_vhd[] = {"qemu-img", "info", "-U",      "--output=json",
                            "-f",       "vpc",  ret->path, NULL};
    const char *as_is[] = {"qemu-img", "info", "-U", "--output=json", ret->path, NULL};
    DRV_AUTO_FREE char *output = NULL;
    if (drv_proc_run(vhd ? as_vhd : as_is, NULL, INFO_TIMEOUT_MS, OUTPUT_MAX, &output, err) < 0)
        return drv_err_prefix(err, "import %s", path);
    return judge(output, ret, err);
}

// --- copy, compare ---

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

// An image as qemu-img's --image-opts: a file, or what a drover-store serves. Caller frees.
static char *image_opts(const char *format, const char *nbd, const char *file)
{
    DRV_AUTO_FREE char *where = escaped(nbd[0] ? nbd : file);
    return nbd[0] ? drv_xasprintf("driver=%s,file.driver=nbd,file.server.type=unix,"
                                  "file.server.path=%s",
                                  format, where)
                  : drv_xasprintf("driver=%s,file.driver=file,file.filename=%s", format, where);
}

// qemu-img's progress: "    (12.34/100%)\r", as it comes.
struct meter {
    ha_import_progress *progress;
    void *arg;
    const char *disk, *step;
    char tail[32]; // of what was read: the figure may come in two pieces
    unsigned last_percent;
};

static void read_meter(const char *text, size_t len, void *arg)
{
    struct meter *m = arg;
    for (size_t i = 0; i < len; i++) {
        size_t have = strlen(m->tail);
        if (text[i] == '(' || have + 1 >= sizeof m->tail)
            have = 0;
        m->tail[have] = text[i];
        m->tail[have + 1] = '\0';
        double percent;
        if (text[i] != '%' || sscanf(m->tail, "(%lf/100%%", &percent) != 1 || percent < 0 ||
            percent > 100 || (unsigned)percent == m->last_percent)
            continue;
        m->last_percent = (unsigned)percent;
        m->progress(m->disk, m->step, m->last_percent, m->arg);
    }
}

static int run_metered(const char *const argv[], struct meter *m, const char *step,
                       struct drv_err *err)
{
    m->step = step;
    m->tail[0] = '\0';
    m->last_percent = UINT_MAX;
    return drv_proc_watch(argv, NULL, COPY_TIMEOUT_MS, OUTPUT_MAX, m->progress ? read_meter : NULL,
                          m, err);
}

int ha_import_copy(struct ha *ha, const struct ss_vmdef *def, unsigned disk,
                   const struct ha_import *from, ha_import_progress *progress, void *arg,
                   struct drv_err *err)
{
    const struct ss_disk *d = &def->disks[disk];
    struct ha_image_at at;
    if (ha_owner_disk_path(ha, def, disk, at.nbd, sizeof at.nbd, at.file, sizeof at.file, err) < 0)
        return -1;
    struct meter meter = {.progress = progress, .arg = arg, .disk = d->id};
    DRV_AUTO_FREE char *source = image_opts(from->format, "", from->path);
    DRV_AUTO_FREE char *target = image_opts(ss_format_name(d->format), at.nbd, at.file);
    // -n: into the image that is there, which is all zeros: it stays thin.
    const char *convert[] = {
        "qemu-img", "convert",   "-p", "-U",        "-n",           "--target-is-zero",
        "-t",       "writeback", "-T", "writeback", "--image-opts", "--target-image-opts",
        source,     target,      NULL};
    // A larger disk than its source is equal if the rest is zeros.
    const char *compare[] = {"qemu-img",  "compare",      "-p",   "-U",   "-T",
                             "writeback", "--image-opts", source, target, NULL};
    if (run_metered(convert, &meter, "copy", err) < 0 ||
        run_metered(compare, &meter, "compare", err) < 0)
        return drv_err_prefix(err, "importing %s, %s", from->path, meter.step);
    return 0;
}
