// SPDX-License-Identifier: GPL-3.0-or-later
// From what a person calls a host to a connection: see connect.h.
#include "drover/connect.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <krb5.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drover/util.h"
#include "drover/wire.h"

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

int drv_host_fqdn(const char *name, char *ret, size_t size, struct drv_err *err)
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

static int parse_port(const char *text, unsigned *ret)
{
    unsigned n = 0;
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9' || n > 65535)
            return -1;
        n = n * 10 + (unsigned)(*p - '0');
    }
    *ret = n;
    return n >= 1 && n <= 65535 ? 0 : -1;
}

int drv_host_port(const char *text, char *ret_host, size_t size, unsigned *ret_port,
                  struct drv_err *err)
{
    const char *colon = strrchr(text, ':');
    unsigned port = DRV_WIRE_PORT;
    if (colon && parse_port(colon + 1, &port))
        return drv_err(err, DRV_EINVAL, "port of %s: a number from 1 to 65535 is wanted", text);
    int n =
        snprintf(ret_host, size, "%.*s", (int)(colon ? colon - text : (long)strlen(text)), text);
    if (n < 0 || (size_t)n >= size)
        return drv_err(err, DRV_EINVAL, "%s: name too long", text);
    *ret_port = port;
    return 0;
}

static struct drv_client *connect_remote(const char *name_port, struct drv_err *err)
{
    char name[256], fqdn[256];
    unsigned port = 0;
    if (drv_host_port(name_port, name, sizeof name, &port, err) ||
        drv_host_fqdn(name, fqdn, sizeof fqdn, err))
        return NULL;
    return drv_client_tcp(fqdn, port, GSS_C_NO_CREDENTIAL, CONNECT_MS, err);
}

// Show a ticket on the local socket. 0 also without one, where the agent may go by the uid.
static int show_ticket(struct drv_client *c, enum drv_ticket wanted, bool *ret_no_ticket,
                       struct drv_err *err)
{
    bool root = geteuid() == 0;
    if (wanted == DRV_TICKET_NO && root)
        return 0;
    struct drv_err e = DRV_ERR_INIT;
    if (!drv_client_login(c, drv_client_server(c), GSS_C_NO_CREDENTIAL, &e))
        return 0;
    *ret_no_ticket = e.id[0] == 'K';
    if (wanted != DRV_TICKET_MUST && (*ret_no_ticket || root))
        return 0; // the agent decides what this uid may do
    if (*ret_no_ticket)
        drv_err_prefix(&e, "a move to another host needs a Kerberos user");
    if (*ret_no_ticket && !e.hint[0])
        drv_err_hint(&e, "kinit USER");
    *err = e;
    return -1;
}

struct drv_client *drv_connect(const char *host, enum drv_ticket wanted, bool *ret_no_ticket,
                               struct drv_err *err)
{
    *ret_no_ticket = false;
    if (host)
        return connect_remote(host, err);
    const char *path = getenv("DROVER_SOCKET");
    struct drv_client *c = drv_client_unix(path && *path ? path : DRV_SOCKET, err);
    if (!c || !show_ticket(c, wanted, ret_no_ticket, err))
        return c;
    drv_client_free(c); // a log-on that failed leaves nothing to use
    return NULL;
}
