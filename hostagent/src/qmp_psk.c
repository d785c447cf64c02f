// SPDX-License-Identifier: GPL-3.0-or-later
// Pre-shared keys for QEMU's streams: the key file and the tls-creds-psk object. See qmp_migrate.h.
#include "qmp_migrate.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drover/file.h"
#include "drover/util.h"

// TLS 1.3 with AES-128-GCM alone: twice as fast as GnuTLS's default order, which takes AES-256.
#define PSK_PRIORITY                                                                               \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+ECDHE-PSK:+DHE-PSK:+PSK"
#define PSK_USER "qemu" // QEMU's default user name of a client

enum { KEY_MIN = 16, KEY_MAX = 64 };

static int key_path(const char *dir, char *out, size_t size)
{
    int n = snprintf(out, size, "%s/keys.psk", dir);
    return n > 0 && (size_t)n < size ? 0 : -1;
}

// The line "qemu:<hex>\n" of the key file.
static size_t format_key(const uint8_t *key, size_t key_len, char *out)
{
    size_t n = (size_t)sprintf(out, "%s:", PSK_USER);
    for (size_t i = 0; i < key_len; i++)
        n += (size_t)sprintf(out + n, "%02x", key[i]);
    out[n++] = '\n';
    return n;
}

int qmp_psk_write(const char *dir, const uint8_t *key, size_t key_len, gid_t gid,
                  struct drv_err *err)
{
    char path[512], line[2 * KEY_MAX + 16];
    if (key_len < KEY_MIN || key_len > KEY_MAX || key_path(dir, path, sizeof path) < 0)
        return drv_err(err, DRV_EINTERNAL, "key of %zu bytes, or path too long: %s", key_len, dir);
    unlink(path); // of a move that was cut off
    DRV_AUTO_CLOSE int fd =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return drv_err_os(err, errno, "cannot create %s", path);
    size_t len = format_key(key, key_len, line);
    ssize_t n = write(fd, line, len);
    int why = n < 0 ? errno : EIO;
    explicit_bzero(line, sizeof line);
    if (n != (ssize_t)len || drv_file_share(fd, gid, 0640) < 0) {
        why = n == (ssize_t)len ? errno : why;
        unlink(path);
        return drv_err_os(err, why, "cannot write %s", path);
    }
    return 0;
}

void qmp_psk_wipe(const char *dir)
{
    char path[512];
    if (key_path(dir, path, sizeof path) == 0)
        unlink(path);
}

int qmp_psk_add(struct qmp *q, const char *id, const char *dir, bool server, struct drv_err *err)
{
    json_t *args =
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "qom-type", "tls-creds-psk", "id", id, "dir", dir,
                  "endpoint", server ? "server" : "client", "priority", PSK_PRIORITY);
    return qmp_do(q, "object-add", args, QMP_TIMEOUT_MS, err);
}

int qmp_psk_del(struct qmp *q, const char *id, struct drv_err *err)
{
    struct drv_err why = DRV_ERR_INIT;
    if (qmp_do(q, "object-del", json_pack("{s:s}", "id", id), QMP_TIMEOUT_MS, &why) == 0 ||
        strstr(why.msg, "not found"))
        return 0;
    if (err && err->code == DRV_OK)
        *err = why;
    return -1;
}
