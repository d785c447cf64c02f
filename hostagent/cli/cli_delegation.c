// SPDX-License-Identifier: GPL-3.0-or-later
// drover delegation: what a domain admin does in the directory, with the ticket at hand and without
// an agent.
#include "folders.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    KEY_GROUP = 1,
    KEY_STORE,
    KEY_REMOVE,
    KEY_DC,
    KEY_FORMAT,
    KEY_CREATE,
    KEY_KEYTAB_DIR,
    KEY_NEW_KEYTAB,
    KEY_NO_ACL,
    KEY_ROLE_GROUP, // and one for each role
    KEY_ROLE_USER = KEY_ROLE_GROUP + DG_ROLE_MAX_,
    KEY_DRY = 'n',
};

const struct argp_option cli_delegation_options[] = {
    {"group", KEY_GROUP, "NAME", 0, "The hosts' group (default: " DG_DEFAULT_GROUP ")", 0},
    {"store", KEY_STORE, "URL", 0,
     "A store of theirs, or its file server's full name; repeat for more", 0},
    {"create", KEY_CREATE, NULL, 0, "Make accounts and keytabs for hosts that have not joined", 0},
    {"keytab-dir", KEY_KEYTAB_DIR, "DIR", 0, "Where keytabs are put, HOST.keytab each", 0},
    {"new-keytab", KEY_NEW_KEYTAB, "HOST", 0,
     "Give this host a new password and keytab; repeat for more", 0},
    {"operators", KEY_ROLE_GROUP + DG_OPERATORS, "NAME", 0,
     "The operators' group (default: VM Operators)", 0},
    {"operator", KEY_ROLE_USER + DG_OPERATORS, "USER", 0, "Put this user into it; repeat for more",
     0},
    {"admins", KEY_ROLE_GROUP + DG_ADMINS, "NAME", 0, "The admins' group (default: VM Admins)", 0},
    {"admin", KEY_ROLE_USER + DG_ADMINS, "USER", 0, "Put this user into it; repeat for more", 0},
    {"viewers", KEY_ROLE_GROUP + DG_VIEWERS, "NAME", 0, "The viewers' group (default: VM Viewers)",
     0},
    {"viewer", KEY_ROLE_USER + DG_VIEWERS, "USER", 0, "Put this user into it; repeat for more", 0},
    {"no-acl", KEY_NO_ACL, NULL, 0, "Leave the permissions of the stores' folders alone", 0},
    {"remove", KEY_REMOVE, "HOST", 0, "Take this host out again; repeat for more", 0},
    {"dc", KEY_DC, "NAME", 0, "Ask this domain controller (default: found by DNS)", 0},
    {"dry-run", KEY_DRY, NULL, 0, "Change nothing; print it as LDIF and as commands", 0},
    {"format", KEY_FORMAT, "ldif|samba-tool|powershell", 0, "With --dry-run: this one only", 0},
    {0},
};

static const char *const role_groups[DG_ROLE_MAX_] = {
    [DG_ADMINS] = "VM Admins", [DG_OPERATORS] = "VM Operators", [DG_VIEWERS] = "VM Viewers"};

struct names {
    const char *list[CLI_OPT_MAX];
    unsigned n;
};

static void collect(const struct cli_args *a, int key, struct names *ret)
{
    unsigned at = 0;
    for (const char *v; ret->n < CLI_OPT_MAX && (v = cli_opt_next(a, key, &at));)
        ret->list[ret->n++] = v;
}

char *cli_server_of(const char *store)
{
    static const char scheme[] = "smb://";
    const char *server = strncmp(store, scheme, strlen(scheme)) ? store : store + strlen(scheme);
    return drv_xasprintf("%.*s", (int)strcspn(server, "/"), server);
}

// ---- the plan ----

static const char *verb_of(enum dg_change_kind kind)
{
    switch (kind) {
    case DG_NEW_GROUP:
    case DG_NEW_COMPUTER:
        return "create";
    case DG_NEW_PASSWORD:
        return "set";
    case DG_ADD_VALUE:
        return "add";
    case DG_REMOVE_VALUE:
        return "remove";
    case DG_REPLACE_VALUE:
        return "set";
    }
    return "";
}

static const char *shown_value(const struct dg_change *ch)
{
    return ch->value_account ? ch->value_account : ch->value ? ch->value : "";
}

static void show_json(const struct dg_plan *p)
{
    for (unsigned i = 0; i < p->n; i++) {
        const struct dg_change *ch = &p->changes[i];
        DRV_AUTO_JSON json_t *j =
            json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "event", "change", "account", ch->account,
                      "dn", ch->dn, "change", verb_of(ch->kind), "attribute",
                      ch->attr ? ch->attr : "", "value", shown_value(ch));
        cli_put_json(j);
    }
    for (unsigned i = 0; i < p->n_notes; i++) {
        DRV_AUTO_JSON json_t *j = json_pack("{s:s, s:s}", "event", "notice", "text", p->notes[i]);
        cli_put_json(j);
    }
}

static void show_change(const struct cli *c, const struct dg_change *ch)
{
    switch (ch->kind) {
    case DG_NEW_GROUP:
        cli_say(c, "%-12s create the group", ch->account);
        break;
    case DG_NEW_COMPUTER:
        cli_say(c, "%-12s create the account of %s, and a keytab", ch->account, ch->value);
        break;
    case DG_NEW_PASSWORD:
        cli_say(c, "%-12s set    a new password, and a keytab of it", ch->account);
        break;
    case DG_ADD_VALUE:
    case DG_REMOVE_VALUE:
    case DG_REPLACE_VALUE:
        cli_say(c, "%-12s %-6s %s %s", ch->account, verb_of(ch->kind), ch->attr, shown_value(ch));
        break;
    }
}

static void show(const struct cli *c, const struct dg_plan *p)
{
    if (c->json) {
        show_json(p);
        return;
    }
    for (unsigned i = 0; i < p->n; i++)
        show_change(c, &p->changes[i]);
    for (unsigned i = 0; i < p->n_notes; i++)
        cli_say(c, "note: %s", p->notes[i]);
}

static void folders_in_ldif(const struct folders *f)
{
    folders_smbcacls(f, "# and: ");
}

static void folders_for_samba(const struct folders *f)
{
    folders_smbcacls(f, "");
}

static const struct format {
    const char *name, *head;
    char *(*text)(const struct dg_plan *p);
    void (*folders)(const struct folders *f);
} formats[] = {
    {"ldif", "# LDIF, for ldapmodify -Y GSSAPI or ldbmodify", dg_plan_ldif, folders_in_ldif},
    {"samba-tool", "# or with Samba, on a domain controller", dg_plan_samba_tool,
     folders_for_samba},
    {"powershell", "# or on Windows, in an elevated PowerShell with the ActiveDirectory module",
     dg_plan_powershell, folders_icacls},
};

static const struct format *format_named(const char *name)
{
    for (unsigned i = 0; i < DRV_ARRAY_LEN(formats); i++)
        if (!strcmp(formats[i].name, name))
            return &formats[i];
    return NULL;
}

// only: NULL = all, with a heading each; what needs no change is no command in any of them.
static void dry_run(const struct cli *c, const struct dg_plan *p, const struct folders *folders,
                    const struct format *only)
{
    bool empty = !p->n && !folders_missing(folders);
    if (c->json) {
        show_json(p);
        folders_show(c, folders);
        return;
    }
    if (empty)
        fputs("drover: nothing is to be changed\n", stderr);
    for (unsigned i = 0; i < DRV_ARRAY_LEN(formats); i++) {
        if (only ? only != &formats[i] : empty && i)
            continue;
        DRV_AUTO_FREE char *text = formats[i].text(p);
        if (!only && !empty)
            printf("%s%s\n", i ? "\n" : "", formats[i].head);
        fputs(text, stdout); // notes as well
        formats[i].folders(folders);
    }
}

// ---- the verb ----

struct setup {
    struct dg_wanted w;
    struct names stores, leaving, new_keytabs, users[DG_ROLE_MAX_];
    char *servers[DG_SETUP_SERVERS_MAX]; // of the stores
    const char *dc, *keytab_dir;
    bool dry, no_acl;
    const struct format *only;
};

static bool confirmed(struct cli *c, const struct setup *s, unsigned changes)
{
    for (unsigned i = 0; i < s->new_keytabs.n; i++)
        if (!cli_confirm(c,
                         "Give %s a new password? If it has joined with one of its own, that is "
                         "the end of it: droverd and Samba there need the new keytab.",
                         s->new_keytabs.list[i]))
            return false;
    return !changes || cli_confirm(c, "Make %u change%s?", changes, changes == 1 ? "" : "s");
}

static int report(struct cli *c, unsigned changes, unsigned done, struct drv_err *err)
{
    if (c->json) {
        DRV_AUTO_JSON json_t *j = json_pack("{s:s, s:i, s:i}", "event", "result", "changes",
                                            (int)changes, "done", (int)done);
        cli_put_json(j);
    }
    if (err->code) {
        drv_err_prefix(err, "%u of %u changes are made; then", done, changes);
        return cli_error(c, err);
    }
    if (!changes)
        cli_say(c, "All is there already.");
    else
        cli_say(c, "Done. A host's tickets know of its new group once droverd has been restarted "
                   "there; users have to log on again.");
    return DRV_EXIT_OK;
}

static int carry_out(struct cli *c, struct dg_ldap *l, const struct setup *s,
                     const struct dg_plan *p, struct folders *folders)
{
    struct drv_err err = DRV_ERR_INIT;
    unsigned changes = p->n + folders_missing(folders), done = 0, granted = 0;
    show(c, p);
    folders_show(c, folders);
    if (!confirmed(c, s, changes))
        return DRV_EXIT_USAGE;
    if (dg_setup_apply(l, p, s->keytab_dir, &done, &err) == 0)
        (void)folders_apply(folders, l, &s->w, &granted, &err);
    return report(c, changes, done + granted, &err);
}

int cli_delegation_carry_out(struct cli *c, struct dg_ldap *l, const struct dg_wanted *w)
{
    struct drv_err err = DRV_ERR_INIT;
    struct dg_plan plan DRV_CLEANUP(dg_plan_done) = {0};
    struct folders none = {.n = 0};
    const struct setup s = {.w = *w};
    return dg_setup_plan(l, w, &plan, &err) < 0 ? cli_error(c, &err)
                                                : carry_out(c, l, &s, &plan, &none);
}

// Does the plan write this keytab?
static bool will_be(const char *path, const struct setup *s, const struct dg_plan *plan)
{
    for (unsigned i = 0; i < plan->n; i++) {
        const struct dg_change *ch = &plan->changes[i];
        char *other DRV_AUTO_FREE = dg_keytab_path(s->keytab_dir, ch->account);
        if ((ch->kind == DG_NEW_COMPUTER || ch->kind == DG_NEW_PASSWORD) && !strcmp(path, other))
            return true;
    }
    return false;
}

// An account is there, and no keytab of it where it would have been put: was it broken off in
// between, or has the host joined?
static void note_without_keytab(const struct setup *s, struct dg_plan *plan)
{
    if (!s->w.create || !s->keytab_dir)
        return;
    for (unsigned i = 0; i < s->w.n_hosts; i++) {
        char *path DRV_AUTO_FREE = dg_keytab_path(s->keytab_dir, s->w.hosts[i]);
        if (access(path, F_OK) < 0 && !will_be(path, s, plan))
            dg_plan_note(plan,
                         "%s has an account already, and keeps its password; should it have "
                         "neither joined nor got a keytab: --new-keytab=%s",
                         s->w.hosts[i], s->w.hosts[i]);
    }
}

static int plan_all(struct dg_ldap *l, const struct setup *s, struct dg_plan *plan,
                    struct folders *folders, struct drv_err *err)
{
    if (dg_setup_plan(l, &s->w, plan, err) < 0)
        return -1;
    note_without_keytab(s, plan);
    return folders_plan(folders, l, &s->w, s->stores.list, s->no_acl ? 0 : s->stores.n, plan, err);
}

static int run(struct cli *c, const struct setup *s)
{
    struct drv_err err = DRV_ERR_INIT;
    struct dg_plan plan DRV_CLEANUP(dg_plan_done) = {0};
    struct folders folders DRV_CLEANUP(folders_done) = {.n = 0};
    struct dg_ldap *l = dg_ldap_open(NULL, NULL, s->dc, &err);
    int status = DRV_EXIT_OK;
    if (!l || plan_all(l, s, &plan, &folders, &err) < 0)
        status = cli_error(c, &err);
    else if (s->dry)
        dry_run(c, &plan, &folders, s->only);
    else if (dg_plan_keytabs(&plan) && !s->keytab_dir)
        status = cli_usage(c, "--keytab-dir must say where the keytabs go");
    else
        status = carry_out(c, l, s, &plan, &folders);
    dg_ldap_free(l);
    return status;
}

// The names on the command line, which *s then points to.
static void take_names(struct setup *s, const struct cli_args *a)
{
    const char *group = cli_opt(a, KEY_GROUP);
    collect(a, KEY_STORE, &s->stores);
    collect(a, KEY_REMOVE, &s->leaving);
    collect(a, KEY_NEW_KEYTAB, &s->new_keytabs);
    s->w = (struct dg_wanted){.group = group ? group : DG_DEFAULT_GROUP,
                              .hosts = a->pos,
                              .n_hosts = a->n_pos,
                              .remove = s->leaving.list,
                              .n_remove = s->leaving.n,
                              .create = cli_opt(a, KEY_CREATE) != NULL,
                              .new_password = s->new_keytabs.list,
                              .n_new_password = s->new_keytabs.n};
    for (int i = 0; i < DG_ROLE_MAX_; i++) {
        const char *name = cli_opt(a, KEY_ROLE_GROUP + i);
        collect(a, KEY_ROLE_USER + i, &s->users[i]);
        s->w.roles[i] =
            (struct dg_wanted_role){name ? name : role_groups[i], s->users[i].list, s->users[i].n};
    }
}

int cli_delegation_setup(struct cli *c, const struct cli_args *a)
{
    struct setup s = {.dc = cli_opt(a, KEY_DC),
                      .keytab_dir = cli_opt(a, KEY_KEYTAB_DIR),
                      .dry = cli_opt(a, KEY_DRY) != NULL,
                      .no_acl = cli_opt(a, KEY_NO_ACL) != NULL};
    const char *format = cli_opt(a, KEY_FORMAT);
    if (c->host)
        return cli_usage(c, "delegation setup asks the directory, no agent: leave -H away");
    s.only = format ? format_named(format) : NULL;
    if (format && (!s.dry || !s.only))
        return cli_usage(c, "--format is ldif, samba-tool or powershell, with --dry-run");
    take_names(&s, a);
    if (s.stores.n > DG_SETUP_SERVERS_MAX)
        return cli_usage(c, "more than %d stores", DG_SETUP_SERVERS_MAX);
    for (unsigned i = 0; i < s.stores.n; i++)
        s.servers[i] = cli_server_of(s.stores.list[i]);
    s.w.servers = (const char *const *)s.servers;
    s.w.n_servers = s.stores.n;
    int status = run(c, &s);
    for (unsigned i = 0; i < s.stores.n; i++)
        free(s.servers[i]);
    return status;
}
