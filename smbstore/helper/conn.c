// SPDX-License-Identifier: GPL-3.0-or-later
// Connecting: see conn.h. Written against libsmbclient 4.17; its errno values are coarse (EACCES is
// an ACL or a ticket, EINVAL an unknown host or an ended session), so the stage reached decides the
// text.
#include "conn.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "context.h"
#include "drover/file.h"

// The library tells its progress in the debug log only (libsmb_server.c, level 4). When a version
// words it otherwise, messages become less exact, no more.
static void note_progress(void *arg, int level, const char *msg)
{
    struct conn *c = arg;
    if (strstr(msg, "session setup ok"))
        c->stage = CONN_LOGGED_ON;
    else if (strstr(msg, "tconx ok"))
        c->stage = CONN_IN_SHARE;
    else if (level <= 1 && c->stage == CONN_NONE) {
        snprintf(c->detail, sizeof c->detail, "%s", msg);
        c->detail[strcspn(c->detail, "\n")] = '\0';
    }
}

int conn_init(struct conn *c, const struct ss_url *url, int timeout_ms, struct drv_err *err)
{
    *c = (struct conn){.url = *url};
    c->ctx = ss_smb_context(timeout_ms, err);
    if (!c->ctx)
        return -1;
    smbc_setOptionDebugToStderr(c->ctx, 1);
    smbc_setOptionUserData(c->ctx, c);
    smbc_setOptionUrlEncodeReaddirEntries(c->ctx, 0);
    smbc_setLogCallback(c->ctx, c, note_progress);
    smbc_set_context(c->ctx);
    return 0;
}

// --- URLs ---

static void append_encoded(char *out, const char *path)
{
    while (*path) {
        char component[SS_PATH_MAX + 64];
        size_t len = strcspn(path, "/");
        snprintf(component, sizeof component, "%.*s", (int)len, path);
        size_t used = strlen(out);
        out[used++] = '/';
        smbc_urlencode(out + used, component, (int)(CONN_URL_MAX - used));
        path += len + (path[len] == '/');
    }
}

void conn_url(const struct conn *c, const char *path, char out[CONN_URL_MAX])
{
    snprintf(out, CONN_URL_MAX, "smb://%s", c->url.server);
    append_encoded(out, c->url.share);
    append_encoded(out, c->url.path);
    append_encoded(out, path);
}

// --- errors ---

// The libraries' complaint is about logging on, not about reaching the server.
static bool is_logon_problem(const char *detail)
{
    static const char *const names[] = {"gensec", "spnego", "gse_", "krb5", "NT_STATUS_LOGON"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(names); i++)
        if (strcasestr(detail, names[i]))
            return true;
    return false;
}

static int fail_connecting(const struct conn *c, int errnum, struct drv_err *err)
{
    const char *server = c->url.server, *share = c->url.share;
    const char *because = c->detail[0] ? ": " : "";
    if (errnum == EINVAL && c->stage == CONN_NONE && is_logon_problem(c->detail))
        errnum = EACCES; // what libsmbclient reports for a ccache without a usable ticket
    switch (errnum) {
    case EACCES:
    case EPERM:
        if (c->stage == CONN_LOGGED_ON) {
            drv_err(err, DRV_EDENIED, "the server accepts our ticket, but not on this share");
            return drv_err_hint(err, "share permissions of %s must allow this account", share);
        }
        drv_err(err, DRV_EDENIED, "the Kerberos logon failed%s%s", because, c->detail);
        return drv_err_hint(err,
                            "look for a ticket cifs/%s that has not expired: klist; the name "
                            "must be the server's own in the domain",
                            server);
    case ENOENT:
    case ENODEV:
        drv_err(err, DRV_ENOTFOUND, "there is no share \"%s\" on %s", share, server);
        return drv_err_hint(err, "check the name of the share in the store's URL");
    case EINVAL:
        drv_err(err, DRV_EUNREACHABLE, "cannot open an SMB session%s%s", because, c->detail);
        return drv_err_hint(err, "the server must offer SMB 3.1.1 with encryption; the ticket may "
                                 "have expired");
    default:
        drv_err_os(err, errnum, "cannot connect to %s", server);
        if (err->code == DRV_EIO)
            err->code = DRV_EUNREACHABLE;
        return -1;
    }
}

int conn_fail(const struct conn *c, int errnum, struct drv_err *err)
{
    if (c->stage != CONN_IN_SHARE) {
        fail_connecting(c, errnum, err);
        return drv_err_native(err, "smb", errnum);
    }
    switch (errnum) {
    case EACCES:
    case EPERM:
        drv_err(err, DRV_EDENIED, "access denied by the permissions of the file or folder");
        drv_err_hint(err, "the ticket is good: give the account (for hosts: their group) Modify "
                          "rights there");
        break;
    case EBUSY:
        drv_err(err, DRV_EBUSY, "in use by another host or program");
        break;
    case ENETRESET:
    case ECONNABORTED:
    case ECONNRESET:
    case ENOTCONN:
    case EPIPE:
        drv_err(err, DRV_EUNREACHABLE, "the session with %s ended", c->url.server);
        break;
    case EINVAL: // of a path that was checked before it came here
        drv_err(err, DRV_EUNREACHABLE,
                "the server refused: the session ended, or it does not take "
                "such a name");
        break;
    default:
        drv_err_os(err, errnum, "%s", c->url.server);
    }
    return drv_err_native(err, "smb", errnum);
}

// --- connecting ---

static int resolve(const struct conn *c, struct drv_err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(c->url.server, NULL, &hints, &found);
    if (rc != 0) {
        drv_err(err, DRV_EUNREACHABLE, "cannot resolve %s: %s", c->url.server, gai_strerror(rc));
        return drv_err_hint(err, "check the name in the store's URL and this host's DNS server");
    }
    freeaddrinfo(found);
    return 0;
}

static int check_ccache(struct drv_err *err)
{
    static const char prefix[] = "FILE:";
    const char *name = getenv("KRB5CCNAME");
    if (!name || strncmp(name, prefix, sizeof prefix - 1) != 0)
        return drv_err(err, DRV_EINTERNAL, "KRB5CCNAME must name a FILE: credential cache");
    name += sizeof prefix - 1;
    struct stat sb;
    if (!drv_may(name, R_OK) || stat(name, &sb) < 0) {
        drv_err(err, DRV_EDENIED, "no Kerberos ticket: cannot read %s: %s", name, strerror(errno));
        return drv_err_hint(err, "check the host's keytab and its account in the domain");
    }
    // The library's Heimdal passes over such a file in silence.
    if (sb.st_mode & 077)
        return drv_err(err, DRV_EDENIED, "ticket file %s is open to others: chmod 600", name);
    return 0;
}

int conn_connect(struct conn *c, struct drv_err *err)
{
    if (c->stage == CONN_IN_SHARE)
        return 0;
    c->detail[0] = '\0';
    if (check_ccache(err) < 0 || resolve(c, err) < 0)
        return -1;
    char url[CONN_URL_MAX];
    conn_url(c, "", url);
    smbc_setDebug(c->ctx, 4);
    int dir = smbc_opendir(url);
    int errnum = errno;
    smbc_setDebug(c->ctx, 0);
    if (dir < 0 && errnum == ENOENT && c->stage == CONN_IN_SHARE)
        return drv_err(err, DRV_ENOTFOUND, "the share has no folder \"%s\"", c->url.path);
    if (dir < 0)
        return conn_fail(c, errnum, err);
    smbc_closedir(dir);
    c->stage = CONN_IN_SHARE;
    return 0;
}
