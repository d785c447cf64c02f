// SPDX-License-Identifier: GPL-3.0-or-later
// Permissions of the stores' folders: see folders.h. Asked for by drover-smb, with a copy of the
// admin's TGT that lies in a file as long as that takes.
#include "folders.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drover/proc.h"

enum { CALL_MS = 30000 };

static const struct grant {
    uint32_t mask;
    const char *text, *smbcacls, *icacls;
} grants[DG_GRANTEE_MAX_] = {
    [DG_OF_HOSTS] = {SS_MAY_ALL, "full control", "FULL", "F"},
    [DG_OF_DOMAIN_ADMINS] = {SS_MAY_ALL, "full control", "FULL", "F"},
    [DG_OF_ADMINS] = {SS_MAY_ALL, "full control", "FULL", "F"},
    [DG_OF_OPERATORS] = {SS_MAY_CHANGE, "modify", "RWXD", "M"}, // its CHANGE is more,
};

// ---- connecting ----

// A store that is open, and the ticket that drover-smb logs on with: more than once, as permissions
// take a connection of their own.
struct visit {
    struct ss_store *st;
    char *dir, *ccache;
    sigset_t before;
};

static void leave(struct visit *v)
{
    ss_store_close(v->st);
    if (v->ccache)
        (void)unlink(v->ccache);
    if (v->dir) {
        (void)rmdir(v->dir);
        (void)sigprocmask(SIG_SETMASK, &v->before, NULL);
    }
    free(v->ccache);
    free(v->dir);
}

// Whoever interrupts us waits until the ticket is gone.
static int make_place(struct visit *v, struct drv_err *err)
{
    const char *tmp = getenv("TMPDIR");
    char *dir DRV_AUTO_FREE = drv_xasprintf("%s/drover-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGHUP);
    if (!mkdtemp(dir)) // mode 0700
        return drv_err_os(err, errno, "%s", dir);
    (void)sigprocmask(SIG_BLOCK, &ends, &v->before);
    v->ccache = drv_xasprintf("%s/ticket", dir);
    v->dir = DRV_TAKE(dir);
    return dg_ccache_export(v->ccache, err);
}

static int enter(struct visit *v, const char *url, struct drv_err *err)
{
    char helper[512];
    if (drv_program_find("drover-smb", DROVER_LIBEXEC_DIR, helper, sizeof helper, err) < 0)
        return drv_err_hint(err, "install drover completely, or leave permissions alone: --no-acl");
    if (make_place(v, err) < 0)
        return -1;
    char *name DRV_AUTO_FREE = drv_xasprintf("FILE:%s", v->ccache);
    const struct ss_identity who = {.ccache = name, .helper = helper, .timeout_ms = CALL_MS};
    v->st = ss_store_open(url, &who, err);
    return v->st ? 0 : -1;
}

// What to do about a server that does not let us.
static int refused(const struct folder *f, struct drv_err *err)
{
    if (err->code == DRV_EDENIED)
        drv_err_hint(err, "let the folder's owner run this, make a domain admin the owner at the "
                          "server, or run what --dry-run prints there; --no-acl leaves permissions "
                          "alone");
    else if (!err->hint[0])
        drv_err_hint(err, "--no-acl leaves permissions at file servers alone");
    return drv_err_prefix(err, "permissions of %s", f->url);
}

// ---- planning ----

static int compare(struct folders *all, struct folder *f, const struct ss_acl *have,
                   struct drv_err *err)
{
    struct ss_grant list[DG_GRANTEE_MAX_];
    unsigned which[DG_GRANTEE_MAX_], n = 0;
    bool missing[DG_GRANTEE_MAX_];
    for (unsigned i = 0; i < DG_GRANTEE_MAX_; i++)
        if (all->who[i].name[0]) {
            which[n] = i;
            list[n++] = (struct ss_grant){all->who[i].sid, grants[i].mask};
        }
    int rc = ss_acl_plan(have, list, n, &f->wanted, missing, err);
    if (rc < 0)
        return -1;
    f->n_missing = (unsigned)rc;
    for (unsigned k = 0; k < n; k++)
        f->missing[which[k]] = missing[k];
    return 0;
}

static char *unc(const struct folder *f, char slash)
{
    char *text = drv_xasprintf("//%s/%s%s%s", f->at.server, f->at.share, f->at.path[0] ? "/" : "",
                               f->at.path);
    for (char *c = text; *c; c++)
        if (*c == '/')
            *c = slash;
    return text;
}

// "smbcacls '//fs.example.lan/VM' '/folder'"
static char *smbcacls(const struct folder *f)
{
    char *share DRV_AUTO_FREE = drv_xasprintf("//%s/%s", f->at.server, f->at.share);
    char *path DRV_AUTO_FREE = drv_xasprintf("/%s", f->at.path);
    char *share_word DRV_AUTO_FREE = drv_quoted(share, "'\\''");
    char *path_word DRV_AUTO_FREE = drv_quoted(path, "'\\''");
    return drv_xasprintf("smbcacls -N --use-kerberos=required %s %s", share_word, path_word);
}

static void note_broad(const struct folders *all, const struct folder *f, const struct ss_acl *have,
                       struct dg_plan *plan)
{
    const char *sid = all->who[DG_OF_DOMAIN_ADMINS].sid;
    char *domain DRV_AUTO_FREE = drv_xasprintf("%.*s", (int)(strrchr(sid, '-') - sid), sid);
    char *command DRV_AUTO_FREE = smbcacls(f);
    char *path DRV_AUTO_FREE = unc(f, '\\');
    for (unsigned i = 0; i < have->n; i++) {
        const struct ss_ace *a = &have->list[i];
        if (!ss_ace_is_broad(a, domain))
            continue;
        unsigned flags = (a->to_files ? 1U : 0) | (a->to_folders ? 2U : 0) |
                         (a->one_level ? 4U : 0) | (a->only_below ? 8U : 0);
        dg_plan_note(plan,
                     "%s: all of %s may change things there, which drover leaves as it is; to take "
                     "it away: %s --delete='ACL:%s:ALLOWED/0x%x/0x%08x', or on Windows: icacls "
                     "'%s' /remove:g '*%s'",
                     f->url, a->who, command, a->who, flags, a->mask, path, a->who);
    }
}

static int look_at(struct folders *all, struct folder *f, struct visit *v, struct ss_acl *have,
                   struct drv_err *err)
{
    return enter(v, f->url, err) < 0 || ss_acl_get(v->st, "", false, have, err) < 0 ||
                   compare(all, f, have, err) < 0
               ? refused(f, err)
               : 0;
}

static bool has_share(const char *url)
{
    static const char scheme[] = "smb://";
    if (strncmp(url, scheme, strlen(scheme)) != 0)
        return false;
    const char *slash = strchr(url + strlen(scheme), '/');
    return slash && slash[1];
}

int folders_plan(struct folders *f, struct dg_ldap *l, const struct dg_wanted *w,
                 const char *const urls[], unsigned n, struct dg_plan *plan, struct drv_err *err)
{
    f->list = drv_xcalloc(n + 1, sizeof *f->list);
    for (unsigned i = 0; i < n; i++) {
        struct folder *one = &f->list[f->n];
        if (!has_share(urls[i]))
            continue;
        if (ss_url_parse(urls[i], &one->at, err) < 0)
            return -1;
        one->url = drv_xstrdup(urls[i]);
        f->n++;
    }
    if (f->n && dg_setup_grantees(l, w, f->who, err) < 0)
        return -1;
    for (unsigned i = 0; i < f->n; i++) {
        struct visit v DRV_CLEANUP(leave) = {.st = NULL};
        struct ss_acl have;
        if (look_at(f, &f->list[i], &v, &have, err) < 0)
            return -1;
        note_broad(f, &f->list[i], &have, plan);
    }
    return 0;
}

void folders_done(struct folders *f)
{
    for (unsigned i = 0; i < f->n; i++)
        free(f->list[i].url);
    free(f->list);
    memset(f, 0, sizeof *f);
}

unsigned folders_missing(const struct folders *f)
{
    unsigned n = 0;
    for (unsigned i = 0; i < f->n; i++)
        n += f->list[i].n_missing;
    return n;
}

// ---- giving ----

int folders_apply(struct folders *f, struct dg_ldap *l, const struct dg_wanted *w,
                  unsigned *ret_done, struct drv_err *err)
{
    *ret_done = 0;
    if (!folders_missing(f))
        return 0;
    if (dg_setup_grantees(l, w, f->who, err) < 0)
        return -1;
    for (unsigned i = 0; i < f->n; i++) {
        struct folder *one = &f->list[i];
        struct visit v DRV_CLEANUP(leave) = {.st = NULL};
        struct ss_acl have;
        if (!one->n_missing)
            continue;
        if (look_at(f, one, &v, &have, err) < 0)
            return -1;
        if (one->n_missing && ss_acl_set(v.st, "", &one->wanted, err) < 0)
            return refused(one, err);
        *ret_done += one->n_missing;
    }
    return 0;
}

// ---- showing ----

static void show_one(const struct cli *c, const struct folder *f, const struct dg_who *who,
                     const struct grant *g)
{
    if (!c->json) {
        cli_say(c, "%-12s grant  %s to %s", f->url, g->text, who->name);
        return;
    }
    DRV_AUTO_JSON json_t *j =
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "event", "change", "store", f->url, "account",
                  who->name, "change", "grant", "value", g->text);
    cli_put_json(j);
}

void folders_show(const struct cli *c, const struct folders *f)
{
    for (unsigned i = 0; i < f->n; i++)
        for (unsigned k = 0; k < DG_GRANTEE_MAX_; k++)
            if (f->list[i].missing[k])
                show_one(c, &f->list[i], &f->who[k], &grants[k]);
}

void folders_smbcacls(const struct folders *f, const char *prefix)
{
    for (unsigned i = 0; i < f->n; i++) {
        char *command DRV_AUTO_FREE = smbcacls(&f->list[i]);
        for (unsigned k = 0; k < DG_GRANTEE_MAX_; k++) {
            char *ace DRV_AUTO_FREE =
                drv_xasprintf("ACL:%s:ALLOWED/OI|CI/%s", f->who[k].name, grants[k].smbcacls);
            char *word DRV_AUTO_FREE = drv_quoted(ace, "'\\''");
            if (f->list[i].missing[k])
                printf("%s%s --add %s\n", prefix, command, word);
        }
    }
}

void folders_icacls(const struct folders *f)
{
    for (unsigned i = 0; i < f->n; i++) {
        char *path DRV_AUTO_FREE = unc(&f->list[i], '\\');
        char *path_word DRV_AUTO_FREE = drv_quoted(path, "''");
        for (unsigned k = 0; k < DG_GRANTEE_MAX_; k++) {
            char *grant DRV_AUTO_FREE =
                drv_xasprintf("%s:(OI)(CI)%s", f->who[k].name, grants[k].icacls);
            char *word DRV_AUTO_FREE = drv_quoted(grant, "''");
            if (f->list[i].missing[k])
                printf("icacls %s /grant %s\n", path_word, word);
        }
    }
}
