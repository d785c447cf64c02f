// SPDX-License-Identifier: GPL-3.0-or-later
// drover doctor and drover delegation check: the user's ticket and the directory are looked at from
// here, everything else by the hosts themselves.
#include "cli.h"

#include "drover/delegation_check.h"
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY_GROUP = 1, KEY_STORE, KEY_DC, KEY_FIX, KEY_ALL, HOST_MS = 600000 };

const struct argp_option cli_doctor_options[] = {
    {"fix", KEY_FIX, NULL, 0, "Repair what is safe to repair: the directory, hosts' tickets", 0},
    {"all", KEY_ALL, NULL, 0, "Show also what is in order", 0},
    {"group", KEY_GROUP, "NAME", 0, "The hosts' group (default: " DG_DEFAULT_GROUP ")", 0},
    {"store", KEY_STORE, "URL", 0, "A store that the hosts do not know yet; repeat for more", 0},
    {"dc", KEY_DC, "NAME", 0, "Ask this domain controller (default: found by DNS)", 0},
    {0},
};

struct examination {
    struct cli *c;
    const struct cli_args *a;
    bool identity_only;
    bool ticket;      // the user has one that lives,
    bool forwardable; // and that hosts may act with
    bool local;       // root of this host, which needs none for this host
    char user[DG_NAME_LEN];
    char hosts[CLI_POS_MAX][256];
    unsigned n_hosts;
    char *servers[DG_SETUP_SERVERS_MAX];
    unsigned n_servers;
    unsigned n_asked;
    enum drv_severity no_delegation; // what it is not to be able to act for the user
    struct drv_findings found;
};

// ---- which hosts and servers ----

static void add_host(struct examination *x, const char *name)
{
    for (unsigned i = 0; i < x->n_hosts; i++)
        if (!strcasecmp(x->hosts[i], name))
            return;
    if (x->n_hosts < CLI_POS_MAX)
        DRV_COPY(x->hosts[x->n_hosts++], name);
}

static void add_server(struct examination *x, const char *url)
{
    char *server = cli_server_of(url);
    bool known = !strchr(server, '.');
    for (unsigned i = 0; i < x->n_servers; i++)
        known = known || !strcasecmp(x->servers[i], server);
    if (known || x->n_servers == DG_SETUP_SERVERS_MAX)
        free(server);
    else
        x->servers[x->n_servers++] = server;
}

static int named_hosts(struct examination *x)
{
    struct drv_err err = DRV_ERR_INIT;
    for (unsigned i = 0; i < x->a->n_pos; i++) {
        char fqdn[256];
        if (drv_host_fqdn(x->a->pos[i], fqdn, sizeof fqdn, &err) < 0)
            return cli_usage(x->c, "%s; %s", err.msg, err.hint);
        add_host(x, fqdn);
    }
    return DRV_EXIT_OK;
}

// The agent at hand and the hosts that it knows of.
static void known_hosts(struct examination *x)
{
    struct drv_err err = DRV_ERR_INIT;
    size_t i;
    json_t *item;
    DRV_AUTO_JSON json_t *list = cli_try(x->c, "host.list", NULL, CLI_CALL_MS, &err);
    if (x->c->client)
        add_host(x, drv_client_server(x->c->client));
    if (!list) {
        drv_finding_err(&x->found, "R04", "", &err);
        return;
    }
    json_array_foreach(list, i, item)
    {
        const char *fqdn = json_string_value(json_object_get(item, "fqdn"));
        if (fqdn && drv_name_valid(fqdn, 253))
            add_host(x, fqdn);
    }
}

// ---- from here ----

static void look_at_ticket(struct examination *x)
{
    struct dg_ticket t;
    struct drv_err err = DRV_ERR_INIT;
    int rc = dg_own_ticket(&t, &err);
    DRV_COPY(x->user, t.principal);
    x->user[strcspn(x->user, "@")] = '\0';
    x->ticket = rc == 0;
    x->forwardable = rc == 0 && t.forwardable;
    if (rc == 0)
        return;
    drv_finding_add_as(
        &x->found, x->local ? DRV_SEV_WARNING : DRV_SEV_ERROR, err.id, "", "%s%s", err.msg,
        x->local ? ": only this host is asked, and acting for users is not tried" : "");
    drv_finding_fix(&x->found, "%s", err.hint);
    if (x->user[0])
        drv_finding_command(&x->found, DRV_AT_USER, "kinit %s", x->user);
}

static bool has(const struct drv_findings *f, const char *id)
{
    for (unsigned i = 0; i < f->n; i++)
        if (!strcmp(f->list[i].id, id))
            return true;
    return false;
}

// Hosts know better when the account is the cause (D12): its tickets are never forwardable.
static void judge_ticket(struct examination *x, const struct drv_findings *hosts)
{
    if (!x->ticket || x->forwardable || has(hosts, "D12") || x->no_delegation < DRV_SEV_WARNING)
        return;
    drv_finding_add_as(&x->found, x->no_delegation, "K03", "",
                       "the ticket of %s is not forwardable", x->user);
    drv_finding_command(&x->found, DRV_AT_USER, "kinit -f %s", x->user);
}

static struct dg_wanted wanted(const struct examination *x, const char *list[CLI_POS_MAX])
{
    const char *group = cli_opt(x->a, KEY_GROUP);
    for (unsigned i = 0; i < x->n_hosts; i++)
        list[i] = x->hosts[i];
    return (struct dg_wanted){.group = group ? group : DG_DEFAULT_GROUP,
                              .hosts = list,
                              .n_hosts = x->n_hosts,
                              .servers = (const char *const *)x->servers,
                              .n_servers = x->n_servers};
}

static void look_at_directory(struct examination *x)
{
    const char *list[CLI_POS_MAX];
    struct drv_err err = DRV_ERR_INIT;
    struct dg_wanted w = wanted(x, list);
    struct dg_ldap *l = dg_ldap_open(NULL, NULL, cli_opt(x->a, KEY_DC), &err);
    if (!l || dg_check(l, &w, x->no_delegation, &x->found, &err) < 0)
        drv_finding_err(&x->found, "K04", "", &err);
    dg_ldap_free(l);
}

// ---- at the hosts ----

static bool is_one_of(const char *id, const char *const ids[], size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(ids[i], id))
            return true;
    return false;
}

// What the directory told of a host need not be told by that host again in other words; what is the
// user's is the same at each host.
static bool told(const struct drv_findings *list, unsigned from_directory,
                 const struct drv_finding *one)
{
    static const char *const of_directory[] = {"A04", "D10", "D11", "K05"};
    static const char *const of_user[] = {"D12", "K03"};
    bool users = is_one_of(one->id, of_user, DRV_ARRAY_LEN(of_user));
    for (unsigned i = 0; i < list->n; i++) {
        const struct drv_finding *f = &list->list[i];
        if (strcmp(f->id, one->id) != 0 || (!users && strcasecmp(f->host, one->host) != 0))
            continue;
        if (users || !strcmp(f->text, one->text) ||
            (i < from_directory && is_one_of(f->id, of_directory, DRV_ARRAY_LEN(of_directory))))
            return true;
    }
    return false;
}

static void take(struct examination *x, unsigned from_directory, const struct drv_findings *more)
{
    for (unsigned i = 0; i < more->n; i++) {
        const struct drv_finding *f = &more->list[i];
        if (!told(&x->found, from_directory, f))
            drv_finding_append(&x->found, f);
    }
}

static bool is_agent_at_hand(const struct examination *x, const char *host)
{
    return x->c->client && !strcasecmp(drv_client_server(x->c->client), host);
}

static json_t *ask(struct examination *x, const char *host, bool renew, struct drv_err *err)
{
    struct cli one = *x->c;
    json_t *peers = json_array();
    for (unsigned i = 0; i < x->n_hosts; i++)
        json_array_append_new(peers, json_string(x->hosts[i]));
    json_t *args =
        json_pack("{s:o, s:b, s:b}", "peers", peers, "identity", x->identity_only, "renew", renew);
    if (is_agent_at_hand(x, host))
        return cli_try(x->c, "doctor.host", args, HOST_MS, err);
    one.host = host;
    one.client = NULL;
    json_t *reply = cli_try(&one, "doctor.host", args, HOST_MS, err);
    cli_disconnect(&one);
    return reply;
}

static bool resolves(const char *host, struct drv_findings *ret)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int rc = getaddrinfo(host, NULL, &hints, &list);
    if (rc == 0)
        freeaddrinfo(list);
    else
        drv_finding_add(ret, "N06", host, "this computer does not find %s: %s", host,
                        gai_strerror(rc));
    return rc == 0;
}

// By the setting `auth` of the hosts: the strictest counts, of those that do not tell too.
static void note_auth(struct examination *x, const json_t *reply)
{
    const char *auth = json_string_value(json_object_get(reply, "auth"));
    enum drv_severity sev = !auth || !strcmp(auth, "delegation") ? DRV_SEV_ERROR
                            : !strcmp(auth, "either")            ? DRV_SEV_WARNING
                                                                 : DRV_SEV_INFO;
    x->no_delegation = sev > x->no_delegation ? sev : x->no_delegation;
}

static void look_at_host(struct examination *x, const char *host, bool renew,
                         struct drv_findings *ret)
{
    struct drv_err err = DRV_ERR_INIT;
    size_t i;
    json_t *store;
    if (!is_agent_at_hand(x, host) && !resolves(host, ret))
        return;
    DRV_AUTO_JSON json_t *reply = ask(x, host, renew, &err);
    if (!reply || drv_findings_from_json(json_object_get(reply, "findings"), ret, &err) < 0) {
        drv_finding_err(ret, "R04", host, &err);
        if (!err.id[0] && err.code == DRV_EUNREACHABLE)
            drv_finding_command(ret, host, "systemctl restart drover-agent");
        return;
    }
    note_auth(x, reply);
    json_array_foreach(json_object_get(reply, "stores"), i, store)
    {
        const char *url = json_string_value(json_object_get(store, "url"));
        if (url && !strncmp(url, "smb://", strlen("smb://")))
            add_server(x, url);
    }
}

static bool needs_ticket(const struct drv_findings *before, const char *host)
{
    for (unsigned i = 0; before && i < before->n; i++)
        if (!strcmp(before->list[i].id, "A09") && !strcasecmp(before->list[i].host, host))
            return true;
    return false;
}

// before: of the last time, NULL = this is the first.
static void examine(struct examination *x, const struct drv_findings *before)
{
    struct drv_findings hosts = {0};
    look_at_ticket(x);
    x->n_asked = 0;
    x->no_delegation = DRV_SEV_OK;
    for (unsigned i = 0; i < x->n_hosts; i++) {
        if (!x->ticket && !(x->local && is_agent_at_hand(x, x->hosts[i])))
            continue;
        look_at_host(x, x->hosts[i], needs_ticket(before, x->hosts[i]), &hosts);
        x->n_asked++;
    }
    if (x->no_delegation == DRV_SEV_OK) // nobody told
        x->no_delegation = DRV_SEV_ERROR;
    judge_ticket(x, &hosts);
    if (x->ticket && x->n_hosts)
        look_at_directory(x);
    take(x, x->found.n, &hosts);
    drv_findings_done(&hosts);
}

// ---- repairing and telling ----

static int repair(struct examination *x)
{
    const char *list[CLI_POS_MAX];
    struct drv_err err = DRV_ERR_INIT;
    struct dg_wanted w = wanted(x, list);
    struct drv_findings before = x->found;
    struct dg_ldap *l = dg_ldap_open(NULL, NULL, cli_opt(x->a, KEY_DC), &err);
    int status = l ? cli_delegation_carry_out(x->c, l, &w) : cli_error(x->c, &err);
    dg_ldap_free(l);
    x->found = (struct drv_findings){0};
    examine(x, &before);
    drv_findings_done(&before);
    return status;
}

static bool to_repair(const struct drv_findings *f)
{
    for (unsigned i = 0; i < f->n; i++)
        if (!strcmp(f->list[i].id, "A09") ||
            !strncmp(f->list[i].command, "drover delegation setup", 23))
            return true;
    return false;
}

static int tell(struct examination *x)
{
    struct drv_findings shown = {0};
    unsigned passed = 0;
    bool all = cli_opt(x->a, KEY_ALL) || x->c->json;
    for (unsigned i = 0; i < x->found.n; i++) {
        const struct drv_finding *f = &x->found.list[i];
        passed += f->severity == DRV_SEV_OK;
        if (all || f->severity >= DRV_SEV_WARNING)
            drv_finding_append(&shown, f);
    }
    cli_say(x->c, "%u host%s asked, %u checks passed.", x->n_asked, x->n_asked == 1 ? "" : "s",
            passed);
    DRV_AUTO_JSON json_t *reply = json_pack("{s:o}", "findings", drv_findings_to_json(&shown));
    drv_findings_done(&shown);
    return cli_put_findings(x->c, reply);
}

static int run(struct cli *c, const struct cli_args *a, bool identity_only)
{
    struct examination *x = drv_xcalloc(1, sizeof *x);
    DRV_AUTO_FREE void *owned = x;
    unsigned at = 0;
    struct drv_err none = DRV_ERR_INIT;
    *x = (struct examination){.c = c, .a = a, .identity_only = identity_only};
    x->local = !c->host && geteuid() == 0 && cli_connect(c, &none) == 0;
    int status = named_hosts(x);
    if (status != DRV_EXIT_OK)
        return status;
    for (const char *url; (url = cli_opt_next(a, KEY_STORE, &at));)
        add_server(x, url);
    if (!x->n_hosts)
        known_hosts(x);
    examine(x, NULL);
    if (cli_opt(a, KEY_FIX) && to_repair(&x->found))
        status = repair(x);
    int listed = tell(x);
    drv_findings_done(&x->found);
    for (unsigned i = 0; i < x->n_servers; i++)
        free(x->servers[i]);
    return listed ? listed : status;
}

int cli_doctor(struct cli *c, const struct cli_args *a)
{
    return run(c, a, false);
}

int cli_delegation_check(struct cli *c, const struct cli_args *a)
{
    return run(c, a, true);
}
