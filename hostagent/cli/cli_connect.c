// SPDX-License-Identifier: GPL-3.0-or-later
// The connection to an agent: which one, as whom.
#include "cli.h"

#include "drover/wire.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <krb5.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECT_MS = 15000 };

// The DNS domain that an AD realm has by construction. Kerberos must know the host by the name that
// we build, so the realm comes before this computer's own domain.
static bool realm_domain(char *ret, size_t size)
{
    krb5_context ctx;
    char *realm = NULL;
    bool ok = false;
    if (krb5_init_context(&ctx))
        return false;
    if (!krb5_get_default_realm(ctx, &realm)) {
        ok = !drv_copy(ret, size, realm);
        krb5_free_default_realm(ctx, realm);
    }
    krb5_free_context(ctx);
    for (char *p = ret; ok && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return ok;
}

static bool own_domain(char *ret, size_t size)
{
    char name[256];
    struct addrinfo hints = {.ai_flags = AI_CANONNAME}, *list = NULL;
    if (gethostname(name, sizeof name) || getaddrinfo(name, NULL, &hints, &list))
        return false;
    const char *dot = list->ai_canonname ? strchr(list->ai_canonname, '.') : NULL;
    bool ok = dot && !drv_copy(ret, size, dot + 1);
    freeaddrinfo(list);
    return ok;
}

static bool is_address(const char *name)
{
    unsigned char bin[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, name, bin) == 1 || inet_pton(AF_INET6, name, bin) == 1;
}

int cli_fqdn(const char *name, char *ret, size_t size, struct drv_err *err)
{
    char domain[256];
    if (is_address(name) || !drv_name_valid(name, 253)) {
        drv_err(err, DRV_EINVAL, "\"%s\" is not the name of a host", name);
        return drv_err_hint(err, "use its DNS name: Kerberos knows hosts by name only");
    }
    int n;
    if (strchr(name, '.')) {
        n = snprintf(ret, size, "%s", name);
    } else if (realm_domain(domain, sizeof domain) || own_domain(domain, sizeof domain)) {
        n = snprintf(ret, size, "%s.%s", name, domain);
    } else {
        drv_err(err, DRV_EINVAL, "which domain is %s in?", name);
        return drv_err_hint(err, "use its full name, or set default_realm in /etc/krb5.conf");
    }
    return n >= 0 && (size_t)n < size ? 0 : drv_err(err, DRV_EINVAL, "%s: name too long", name);
}

int cli_host_port(const char *text, char *ret_host, size_t size, unsigned *ret_port,
                  struct drv_err *err)
{
    const char *colon = strrchr(text, ':');
    int64_t port = DRV_WIRE_PORT;
    if (colon && cli_parse_count(colon + 1, 1, 65535, &port, err))
        return drv_err_prefix(err, "port of %s", text);
    int n =
        snprintf(ret_host, size, "%.*s", (int)(colon ? colon - text : (long)strlen(text)), text);
    if (n < 0 || (size_t)n >= size)
        return drv_err(err, DRV_EINVAL, "%s: name too long", text);
    *ret_port = (unsigned)port;
    return 0;
}

static int connect_remote(struct cli *c, struct drv_err *err)
{
    char name[256], fqdn[256];
    unsigned port = 0;
    if (cli_host_port(c->host, name, sizeof name, &port, err) ||
        cli_fqdn(name, fqdn, sizeof fqdn, err))
        return -1;
    c->client = drv_client_tcp(fqdn, port, GSS_C_NO_CREDENTIAL, CONNECT_MS, err);
    return c->client ? 0 : -1;
}

// On the local socket the kernel tells who we are, which is enough for root and what is local. For
// a move to another host, and for everybody else's role, a ticket is shown over it too.
static int connect_local(struct cli *c, struct drv_err *err)
{
    const char *path = getenv("DROVER_SOCKET");
    c->client = drv_client_unix(path && *path ? path : CLI_SOCKET, err);
    if (!c->client)
        return -1;
    bool root = geteuid() == 0;
    enum cli_kerberos wanted = c->verb->kerberos;
    if (wanted == CLI_KERBEROS_NO && root)
        return 0;
    struct drv_err e = DRV_ERR_INIT;
    if (!drv_client_login(c->client, drv_client_server(c->client), GSS_C_NO_CREDENTIAL, &e))
        return 0;
    c->no_ticket = e.id[0] == 'K';
    if (wanted != CLI_KERBEROS_MUST && (c->no_ticket || root))
        return 0; // the agent decides what this uid may do
    if (c->no_ticket)
        drv_err_prefix(&e, "a move to another host needs a Kerberos user");
    if (c->no_ticket && !e.hint[0])
        drv_err_hint(&e, "kinit USER");
    *err = e;
    return -1;
}

int cli_connect(struct cli *c, struct drv_err *err)
{
    if (c->client || !(c->host ? connect_remote(c, err) : connect_local(c, err)))
        return 0;
    cli_disconnect(c); // a log-on that failed leaves nothing to use
    return -1;
}

json_t *cli_try(struct cli *c, const char *name, json_t *args, int timeout_ms, struct drv_err *err)
{
    if (cli_connect(c, err)) {
        json_decref(args);
        return NULL;
    }
    json_t *reply = drv_client_call(c->client, name, args, timeout_ms, err);
    if (!reply && err->code == DRV_EDENIED && c->no_ticket)
        drv_err_hint(err, "you have no Kerberos ticket: kinit USER");
    return reply;
}

json_t *cli_call(struct cli *c, const char *name, json_t *args, int timeout_ms)
{
    struct drv_err err = DRV_ERR_INIT;
    json_t *reply = cli_try(c, name, args, timeout_ms, &err);
    if (!reply)
        c->status = cli_error(c, &err);
    return reply;
}

void cli_disconnect(struct cli *c)
{
    drv_client_free(c->client);
    c->client = NULL;
}
