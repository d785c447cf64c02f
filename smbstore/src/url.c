// SPDX-License-Identifier: GPL-3.0-or-later
// Store URLs: smb://server/share[/path] and local:/path. Nothing in them is percent-decoded: a path
// is what it says.
#include "drover/store.h"

#include <ctype.h>
#include <string.h>

static int bad(struct drv_err *err, const char *url, const char *why)
{
    drv_err(err, DRV_EINVAL, "store \"%.200s\": %s", url, why);
    return drv_err_hint(err, "a store is smb://fs.example.lan/SHARE[/folder] or local:/folder");
}

// Kerberos names a server by its DNS name: an address or a short name never gets a ticket.
static int server_valid(const char *s)
{
    bool has_letter = false;
    if (!drv_name_valid(s, 255) || !strchr(s, '.') || s[strlen(s) - 1] == '.')
        return 0;
    for (; *s; s++)
        has_letter = has_letter || isalpha((unsigned char)*s);
    return has_letter;
}

static int share_valid(const char *s)
{
    for (const char *p = s; *p; p++)
        if ((unsigned char)*p < 0x20 || strchr("\\/:*?\"<>|[]+=;,", *p))
            return 0;
    return *s && strcasecmp(s, "IPC$") != 0;
}

// Copy up to the next '/' and step over it; -1 when it does not fit.
static int take_component(const char **p, char *dst, size_t size)
{
    size_t len = strcspn(*p, "/");
    if (len >= size)
        return -1;
    memcpy(dst, *p, len);
    dst[len] = '\0';
    *p += len + ((*p)[len] == '/');
    return 0;
}

static void drop_trailing_slashes(char *path)
{
    for (size_t len = strlen(path); len > 0 && path[len - 1] == '/'; len--)
        path[len - 1] = '\0';
}

static int parse_smb(const char *url, const char *rest, struct ss_url *ret, struct drv_err *err)
{
    ret->kind = SS_SMB;
    if (take_component(&rest, ret->server, sizeof ret->server) < 0 || !server_valid(ret->server))
        return bad(err, url, "the server must be a full DNS name, without user or port");
    if (take_component(&rest, ret->share, sizeof ret->share) < 0 || !share_valid(ret->share))
        return bad(err, url, "the name of a share must follow the server");
    if (DRV_COPY(ret->path, rest) < 0)
        return bad(err, url, "the path is too long");
    drop_trailing_slashes(ret->path);
    if (ret->path[0] && !ss_path_valid(ret->path))
        return bad(err, url, "the path below the share is not legal");
    return 0;
}

static int parse_local(const char *url, const char *path, struct ss_url *ret, struct drv_err *err)
{
    ret->kind = SS_LOCAL;
    if (path[0] != '/')
        return bad(err, url, "the path must be absolute");
    if (DRV_COPY(ret->path, path) < 0)
        return bad(err, url, "the path is too long");
    drop_trailing_slashes(ret->path);
    if (!ret->path[0])
        return bad(err, url, "the root folder cannot be a store");
    if (!ss_path_valid(ret->path + 1))
        return bad(err, url, "the path is not legal");
    return 0;
}

int ss_url_parse(const char *url, struct ss_url *ret, struct drv_err *err)
{
    static const char smb[] = "smb://", local[] = "local:";
    struct ss_url u = {.kind = SS_LOCAL};
    int rc;
    if (!strncmp(url, smb, sizeof smb - 1))
        rc = parse_smb(url, url + sizeof smb - 1, &u, err);
    else if (!strncmp(url, local, sizeof local - 1))
        rc = parse_local(url, url + sizeof local - 1, &u, err);
    else
        rc = bad(err, url, "unknown kind of store");
    if (rc == 0)
        *ret = u;
    return rc;
}

bool ss_url_same(const struct ss_url *a, const struct ss_url *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == SS_LOCAL)
        return !strcmp(a->path, b->path);
    return !strcasecmp(a->server, b->server) && !strcasecmp(a->share, b->share) &&
           !strcasecmp(a->path, b->path);
}
