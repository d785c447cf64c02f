// SPDX-License-Identifier: GPL-3.0-or-later
// drover delegation: what a domain admin does in the directory, with the ticket at hand and without
// an agent.
#include "cli.h"

#include "drover/delegation_setup.h"
#include <stdlib.h>
#include <string.h>

enum { KEY_GROUP = 1, KEY_STORE, KEY_REMOVE, KEY_DC, KEY_FORMAT, KEY_DRY = 'n' };

const struct argp_option cli_delegation_options[] = {
    {"group", KEY_GROUP, "NAME", 0, "The hosts' group (default: " DG_DEFAULT_GROUP ")", 0},
    {"store", KEY_STORE, "URL", 0,
     "A store of theirs, or its file server's full name; repeat for more", 0},
    {"remove", KEY_REMOVE, "HOST", 0, "Take this host out again; repeat for more", 0},
    {"dc", KEY_DC, "NAME", 0, "Ask this domain controller (default: found by DNS)", 0},
    {"dry-run", KEY_DRY, NULL, 0, "Change nothing; print it as LDIF and as commands", 0},
    {"format", KEY_FORMAT, "ldif|samba-tool|powershell", 0, "With --dry-run: this one only", 0},
    {0},
};

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
        return "create";
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

static void show(const struct cli *c, const struct dg_plan *p)
{
    if (c->json) {
        show_json(p);
        return;
    }
    for (unsigned i = 0; i < p->n; i++) {
        const struct dg_change *ch = &p->changes[i];
        if (ch->kind == DG_NEW_GROUP)
            cli_say(c, "%-12s create the group", ch->account);
        else
            cli_say(c, "%-12s %-6s %s %s", ch->account, verb_of(ch->kind), ch->attr,
                    shown_value(ch));
    }
    for (unsigned i = 0; i < p->n_notes; i++)
        cli_say(c, "note: %s", p->notes[i]);
}

static const struct format {
    const char *name, *head;
    char *(*text)(const struct dg_plan *p);
} formats[] = {
    {"ldif", "# LDIF, for ldapmodify -Y GSSAPI or ldbmodify", dg_plan_ldif},
    {"samba-tool", "# or with Samba, on a domain controller", dg_plan_samba_tool},
    {"powershell", "# or on Windows, in an elevated PowerShell with the ActiveDirectory module",
     dg_plan_powershell},
};

static const struct format *format_named(const char *name)
{
    for (unsigned i = 0; i < DRV_ARRAY_LEN(formats); i++)
        if (!strcmp(formats[i].name, name))
            return &formats[i];
    return NULL;
}

// only: NULL = all, with a heading each.
static void dry_run(const struct cli *c, const struct dg_plan *p, const struct format *only)
{
    if (c->json) {
        show_json(p);
        return;
    }
    for (unsigned i = 0; i < DRV_ARRAY_LEN(formats); i++) {
        if (only ? only != &formats[i] : !p->n)
            continue;
        DRV_AUTO_FREE char *text = formats[i].text(p);
        if (!only)
            printf("%s%s\n", i ? "\n" : "", formats[i].head);
        fputs(text, stdout);
    }
}

// ---- the verb ----

static int carry_out(struct cli *c, struct dg_ldap *l, const struct dg_plan *p)
{
    struct drv_err err = DRV_ERR_INIT;
    unsigned done = 0;
    show(c, p);
    if (p->n && !cli_confirm(c, "Make %u change%s in the directory?", p->n, p->n == 1 ? "" : "s"))
        return DRV_EXIT_USAGE;
    int rc = dg_setup_apply(l, p, &done, &err);
    if (c->json) {
        DRV_AUTO_JSON json_t *j = json_pack("{s:s, s:i, s:i}", "event", "result", "changes",
                                            (int)p->n, "done", (int)done);
        cli_put_json(j);
    }
    if (rc < 0) {
        drv_err_prefix(&err, "%u of %u changes are made; then", done, p->n);
        return cli_error(c, &err);
    }
    if (!p->n)
        cli_say(c, "All is there already.");
    else
        cli_say(c, "Done. A host's tickets know of its new group once droverd has been restarted "
                   "there; users have to log on again.");
    return DRV_EXIT_OK;
}

int cli_delegation_carry_out(struct cli *c, struct dg_ldap *l, const struct dg_wanted *w)
{
    struct drv_err err = DRV_ERR_INIT;
    struct dg_plan plan DRV_CLEANUP(dg_plan_done) = {0};
    return dg_setup_plan(l, w, &plan, &err) < 0 ? cli_error(c, &err) : carry_out(c, l, &plan);
}

static int run(struct cli *c, const struct dg_wanted *w, const char *dc, bool dry,
               const struct format *only)
{
    struct drv_err err = DRV_ERR_INIT;
    struct dg_plan plan DRV_CLEANUP(dg_plan_done) = {0};
    struct dg_ldap *l = dg_ldap_open(NULL, NULL, dc, &err);
    int rc = l ? dg_setup_plan(l, w, &plan, &err) : -1;
    int status = DRV_EXIT_OK;
    if (rc < 0)
        status = cli_error(c, &err);
    else if (dry)
        dry_run(c, &plan, only);
    else
        status = carry_out(c, l, &plan);
    dg_ldap_free(l);
    return status;
}

int cli_delegation_setup(struct cli *c, const struct cli_args *a)
{
    struct names stores = {.n = 0}, leaving = {.n = 0};
    const char *group = cli_opt(a, KEY_GROUP), *format = cli_opt(a, KEY_FORMAT);
    bool dry = cli_opt(a, KEY_DRY) != NULL;
    if (c->host)
        return cli_usage(c, "delegation setup asks the directory, no agent: leave -H away");
    const struct format *only = format ? format_named(format) : NULL;
    if (format && (!dry || !only))
        return cli_usage(c, "--format is ldif, samba-tool or powershell, with --dry-run");
    collect(a, KEY_STORE, &stores);
    collect(a, KEY_REMOVE, &leaving);
    if (stores.n > DG_SETUP_SERVERS_MAX)
        return cli_usage(c, "more than %d stores", DG_SETUP_SERVERS_MAX);
    char *servers[DG_SETUP_SERVERS_MAX];
    for (unsigned i = 0; i < stores.n; i++)
        servers[i] = cli_server_of(stores.list[i]);
    const struct dg_wanted w = {.group = group ? group : DG_DEFAULT_GROUP,
                                .hosts = a->pos,
                                .n_hosts = a->n_pos,
                                .servers = (const char *const *)servers,
                                .n_servers = stores.n,
                                .remove = leaving.list,
                                .n_remove = leaving.n};
    int status = run(c, &w, cli_opt(a, KEY_DC), dry, only);
    for (unsigned i = 0; i < stores.n; i++)
        free(servers[i]);
    return status;
}
