// SPDX-License-Identifier: GPL-3.0-or-later
// Drives authz/ and delegation/ against a real domain, without an agent: the two ends of a user's
// session and of a host channel, each reduced to its GSS exchanges. Used by run.sh.
//
//   krbtool accept  KEYTAB CCACHE FQDN PORT ROLES [PEER PORT] one user session; with PEER, also the
//                                                             host channel with the user inside it
//   krbtool peer    KEYTAB CCACHE FQDN PORT ROLES RECEIVE     one host channel and its inner user
//   krbtool connect FQDN PORT [--forward]                     a user; --forward hands over the TGT
//   krbtool channel KEYTAB CCACHE FQDN PORT USERCC            a host that shows USERCC's own ticket
//   krbtool ldap    CCACHE DC|- GROUP                         what dg_ldap reads
//   krbtool pac     KEYTAB CCACHE PORT                        prints the PACs of one connection as
//   hex krbtool threads CCACHE                                    binds with it and without, side
//   by side
//
// Output: one line per fact, "key value". Denials: "denied ID message | hint".
#include <arpa/inet.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drover/authz.h"
#include "drover/delegation.h"
#include "drover/gss.h"
#include "drover/util.h"

#define CIFS_SERVER "fs.drover.test"

static void say_err(const char *what, const struct drv_err *err)
{
    printf("%s denied %s %s | %s\n", what, err->id[0] ? err->id : "-", err->msg, err->hint);
}

// ---- sockets and tokens ----

static int dial(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *ai = NULL;
    if (getaddrinfo(host, port, &hints, &ai) != 0)
        return -1;
    int fd = socket(ai->ai_family, ai->ai_socktype, 0);
    for (int i = 0; i < 50; i++) {
        if (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0) {
            freeaddrinfo(ai);
            return fd;
        }
        drv_sleep_ms(100);
    }
    freeaddrinfo(ai);
    close(fd);
    return -1;
}

static int answer(const char *port)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(listener, (struct sockaddr *)&sin, sizeof(sin)) < 0 || listen(listener, 1) < 0)
        return -1;
    alarm(60);
    int fd = accept(listener, NULL, NULL);
    close(listener);
    return fd;
}

static int send_token(int fd, const void *token, size_t len)
{
    uint32_t n = htonl((uint32_t)len);
    return write(fd, &n, 4) == 4 && write(fd, token, len) == (ssize_t)len ? 0 : -1;
}

static int read_all(int fd, void *buf, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = read(fd, (char *)buf + got, len - got);
        if (n <= 0)
            return -1;
        got += (size_t)n;
    }
    return 0;
}

static ssize_t recv_token(int fd, char *buf, size_t size)
{
    uint32_t n;
    if (read_all(fd, &n, 4) < 0 || ntohl(n) > size || read_all(fd, buf, ntohl(n)) < 0)
        return -1;
    return (ssize_t)ntohl(n);
}

// Run one exchange to its end. 0 = established.
static int exchange(int fd, struct drv_gss *g, bool initiator, const char *what)
{
    static char in[DRV_GSS_TOKEN_MAX];
    ssize_t in_len = 0;
    for (int rc = 0;;) {
        struct drv_err err = DRV_ERR_INIT;
        void *out = NULL;
        size_t out_len = 0;
        if (!initiator && rc == 0 && (in_len = recv_token(fd, in, sizeof(in))) < 0) {
            printf("%s lost\n", what);
            return -1;
        }
        rc = drv_gss_step(g, initiator && in_len == 0 ? NULL : in, (size_t)in_len, &out, &out_len,
                          &err);
        if (out_len > 0)
            send_token(fd, out, out_len);
        free(out);
        if (rc < 0) {
            say_err(what, &err);
            return -1;
        }
        if (rc == 1)
            return 0;
        if (initiator && (in_len = recv_token(fd, in, sizeof(in))) < 0) {
            printf("%s lost\n", what);
            return -1;
        }
    }
}

// ---- what the two ends print ----

static void say_identity(const char *what, const struct az_identity *id)
{
    printf("%s user %s sid %s groups %u flags 0x%x not_delegated %d protected %d\n", what, id->name,
           id->sid, id->n_groups, id->account_flags, id->not_delegated, id->protected_user);
    if (id->delegated)
        printf("%s delegated target %s by %s\n", what, id->target,
               id->transited[id->n_transited - 1]);
}

static void say_decision(const char *what, const struct az_decision *d)
{
    printf("%s who %s\n", what, d->who);
    if (d->allowed)
        printf("%s allowed %s\n", what, d->reason);
    for (unsigned i = 0; i < d->n_refusals; i++)
        printf("%s denied %s %s | %s\n", what, d->refusals[i].id, d->refusals[i].reason,
               d->refusals[i].fix);
}

static int roles_from(const char *text, const char *ccache, struct az_roles *ret)
{
    struct drv_err err = DRV_ERR_INIT;
    if (az_roles_parse(text, ret, &err) < 0) {
        say_err("roles", &err);
        return -1;
    }
    struct dg_ldap *l = dg_ldap_open(ccache, NULL, NULL, &err);
    for (struct az_role_entry *e; l && (e = az_roles_unresolved(ret));)
        if (dg_ldap_group_sid(l, e->label, e->sid, &err) < 0)
            break;
    dg_ldap_free(l);
    if (err.code != DRV_OK)
        say_err("roles", &err);
    return err.code == DRV_OK ? 0 : -1;
}

// ---- the host channel ----

static void open_channel(gss_cred_id_t host_cred, gss_cred_id_t user_cred, const char *peer,
                         const char *port)
{
    struct drv_err err = DRV_ERR_INIT;
    int fd DRV_AUTO_CLOSE = dial(peer, port);
    if (fd < 0) {
        printf("channel unreachable\n");
        return;
    }
    struct drv_gss *outer = drv_gss_initiate("drover", peer, host_cred, &err);
    struct drv_gss *inner = drv_gss_initiate("drover", peer, user_cred, &err);
    if (exchange(fd, outer, true, "channel") == 0 && exchange(fd, inner, true, "inner") == 0)
        printf("inner established\n");
    drv_gss_free(inner);
    drv_gss_free(outer);
}

static int cmd_peer(char **a)
{
    struct drv_err err = DRV_ERR_INIT;
    gss_cred_id_t cred DG_AUTO_CRED = GSS_C_NO_CREDENTIAL;
    struct az_roles roles = {0};
    if (dg_host_cred(a[0], a[1], -1, &cred, &err) < 0) {
        say_err("host", &err);
        return 1;
    }
    if (roles_from(a[4], a[1], &roles) < 0)
        return 1;
    int fd DRV_AUTO_CLOSE = answer(a[3]);
    struct drv_gss *outer = drv_gss_accept(cred), *inner = drv_gss_accept(cred);
    if (exchange(fd, outer, false, "channel") < 0)
        return 1;
    struct az_identity host AZ_AUTO_IDENTITY = {0}, user AZ_AUTO_IDENTITY = {0};
    if (az_identity_from_gss(drv_gss_peer_name(outer), drv_gss_peer(outer), &host, &err) < 0) {
        say_err("channel", &err);
        return 1;
    }
    say_identity("channel", &host);
    bool shown = exchange(fd, inner, false, "inner") == 0;
    if (shown &&
        az_identity_from_gss(drv_gss_peer_name(inner), drv_gss_peer(inner), &user, &err) < 0)
        say_err("inner", &err);
    if (shown)
        say_identity("inner", &user);
    struct az_policy policy = {.fqdn = a[2], .receive = strcmp(a[5], "on") == 0, .roles = &roles};
    struct az_actor actor = {.host = &host, .user = shown ? &user : NULL};
    struct az_decision d;
    az_decide(&policy, AZ_MOVE_IN, &actor, &d);
    say_decision("move-in", &d);
    actor.host = NULL; // the same ticket in a session of its own
    az_decide(&policy, AZ_VIEW, &actor, &d);
    say_decision("direct", &d);
    drv_gss_free(inner);
    drv_gss_free(outer);
    return 0;
}

// A host that uses a user's own ticket in its channel: what a stolen or forwarded TGT allows.
static int cmd_channel(char **a)
{
    struct drv_err err = DRV_ERR_INIT;
    gss_cred_id_t host DG_AUTO_CRED = GSS_C_NO_CREDENTIAL, user DG_AUTO_CRED = GSS_C_NO_CREDENTIAL;
    if (dg_host_cred(a[0], a[1], -1, &host, &err) < 0) {
        say_err("host", &err);
        return 1;
    }
    gss_key_value_element_desc element = {"ccache", a[4]};
    gss_key_value_set_desc store = {1, &element};
    OM_uint32 minor, major;
    major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, GSS_C_NO_OID_SET,
                                  GSS_C_INITIATE, &store, &user, NULL, NULL);
    if (GSS_ERROR(major))
        return 1;
    open_channel(host, user, a[2], a[3]);
    return 0;
}

// ---- a user's session ----

static int cmd_accept(char **a, int n)
{
    struct drv_err err = DRV_ERR_INIT;
    gss_cred_id_t cred DG_AUTO_CRED = GSS_C_NO_CREDENTIAL;
    struct az_roles roles = {0};
    if (dg_host_cred(a[0], a[1], -1, &cred, &err) < 0) {
        say_err("host", &err);
        return 1;
    }
    if (roles_from(a[4], a[1], &roles) < 0)
        return 1;
    int fd DRV_AUTO_CLOSE = answer(a[3]);
    struct drv_gss *g = drv_gss_accept(cred);
    if (exchange(fd, g, false, "session") < 0)
        return 1;
    struct az_identity user AZ_AUTO_IDENTITY = {0};
    if (az_identity_from_gss(drv_gss_peer_name(g), drv_gss_peer(g), &user, &err) < 0) {
        say_err("session", &err);
        return 1;
    }
    say_identity("session", &user);
    struct az_policy policy = {.fqdn = a[2], .send = true, .receive = true, .roles = &roles};
    struct az_actor actor = {.user = &user};
    struct az_decision d;
    az_decide(&policy, AZ_MOVE_OUT, &actor, &d);
    say_decision("move-out", &d);

    gss_cred_id_t deleg = drv_gss_delegated(g);
    char by[DG_NAME_LEN] = "";
    if (dg_impersonator(deleg, by, &err) < 0)
        say_err("impersonator", &err);
    else
        printf("impersonator %s\n", by);
    struct dg_env env = {.host_ccache = a[1],
                         .user_known = true,
                         .user_not_delegated = user.not_delegated,
                         .user_protected = user.protected_user};
    const char *targets[][2] = {{"drover", n > 5 ? a[5] : "hv2.drover.test"},
                                {"cifs", CIFS_SERVER},
                                {"drover", "nowhere.drover.test"},
                                {"host", "hv2.drover.test"}};
    for (unsigned i = 0; i < DRV_ARRAY_LEN(targets); i++) {
        char what[300];
        snprintf(what, sizeof(what), "probe %s/%s", targets[i][0], targets[i][1]);
        drv_err_clear(&err);
        int64_t t0 = drv_now_us();
        if (dg_probe(&env, deleg, targets[i][0], targets[i][1], &err) < 0)
            say_err(what, &err);
        else
            printf("%s ok in %lld us\n", what, (long long)(drv_now_us() - t0));
    }
    // Once more without the PAC's word: LDAP must find the same cause.
    env.user_known = false;
    drv_err_clear(&err);
    if (dg_probe(&env, deleg, targets[0][0], targets[0][1], &err) < 0)
        say_err("by-ldap", &err);

    char *cifs DRV_AUTO_FREE = drv_xasprintf("%s.cifs", a[1]);
    int64_t life_s = 0;
    drv_err_clear(&err);
    if (dg_cifs_ccache(&env, deleg, CIFS_SERVER, cifs, &err) < 0 ||
        dg_ccache_lifetime_s(cifs, &life_s, &err) < 0)
        say_err("cifs", &err);
    else
        printf("cifs %s lives %lld s\n", cifs, (long long)life_s);
    if (n > 6)
        open_channel(cred, deleg, a[5], a[6]);
    drv_gss_free(g);
    return 0;
}

// A user's client. drv_gss_initiate never sets GSS_C_DELEG_FLAG, so --forward uses GSSAPI itself.
static int cmd_connect(char **a, int n)
{
    int fd DRV_AUTO_CLOSE = dial(a[0], a[1]);
    if (fd < 0)
        return 1;
    if (n < 3) {
        struct drv_err err = DRV_ERR_INIT;
        struct drv_gss *g = drv_gss_initiate("drover", a[0], GSS_C_NO_CREDENTIAL, &err);
        int rc = exchange(fd, g, true, "connect");
        char last;
        (void)!read(fd, &last, 1); // until the host has done its work
        drv_gss_free(g);
        return rc < 0;
    }
    char *text DRV_AUTO_FREE = drv_xasprintf("drover@%s", a[0]);
    gss_buffer_desc name_text = {strlen(text), text}, in = GSS_C_EMPTY_BUFFER, out;
    gss_name_t name;
    gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
    OM_uint32 minor, major;
    static char buf[DRV_GSS_TOKEN_MAX];
    gss_import_name(&minor, &name_text, GSS_C_NT_HOSTBASED_SERVICE, &name);
    do {
        major =
            gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &ctx, name, (gss_OID)gss_mech_krb5,
                                 GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG |
                                     GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG | GSS_C_DELEG_FLAG,
                                 0, NULL, &in, NULL, &out, NULL, NULL);
        if (out.length)
            send_token(fd, out.value, out.length);
        ssize_t got = major == GSS_S_CONTINUE_NEEDED ? recv_token(fd, buf, sizeof(buf)) : 0;
        if (got < 0)
            break;
        in = (gss_buffer_desc){(size_t)got, buf};
    } while (major == GSS_S_CONTINUE_NEEDED);
    char last;
    (void)!read(fd, &last, 1);
    return GSS_ERROR(major) != 0;
}

// ---- the rest ----

static int cmd_ldap(char **a)
{
    struct drv_err err = DRV_ERR_INIT;
    int64_t t0 = drv_now_us();
    struct dg_ldap *l = dg_ldap_open(a[0], NULL, strcmp(a[1], "-") ? a[1] : NULL, &err);
    if (!l) {
        say_err("ldap", &err);
        return 1;
    }
    printf("ldap %s bound in %lld us\n", dg_ldap_dc(l), (long long)(drv_now_us() - t0));
    char sid[DG_SID_LEN] = "", name[DG_NAME_LEN] = "";
    if (dg_ldap_group_sid(l, a[2], sid, &err) < 0 || dg_ldap_sid_name(l, sid, name, &err) < 0)
        say_err("group", &err);
    printf("group %s %s\n", sid, name);
    struct dg_host *hosts = NULL;
    unsigned n = 0;
    drv_err_clear(&err);
    if (dg_ldap_hosts(l, sid, &hosts, &n, &err) < 0)
        say_err("hosts", &err);
    for (unsigned i = 0; i < n; i++)
        printf("host %s %s\n", hosts[i].name, hosts[i].fqdn);
    free(hosts);
    static const char *const accounts[] = {"HV1$", "alice", "carol", "dave", "no*body", "no)(body"};
    for (unsigned i = 0; i < DRV_ARRAY_LEN(accounts); i++) {
        struct dg_account acc = {0};
        drv_err_clear(&err);
        if (dg_ldap_account(l, accounts[i], &acc, &err) < 0) {
            say_err("account", &err);
            continue;
        }
        printf(
            "account %s uac 0x%x fqdn \"%s\" not_delegated %d protected %d delegates %u spns %u\n",
            acc.name, acc.uac, acc.fqdn, acc.not_delegated, acc.protected_user,
            acc.allowed_to_delegate.n, acc.spns.n);
        for (unsigned k = 0; k < acc.allowed_to_delegate.n; k++)
            printf("  delegates %s\n", acc.allowed_to_delegate.list[k]);
        dg_account_done(&acc);
    }
    dg_ldap_free(l);
    return 0;
}

static void dump(gss_name_t name, const char *urn)
{
    gss_buffer_desc attr = {strlen(urn), (void *)urn}, value = GSS_C_EMPTY_BUFFER;
    gss_buffer_desc display = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    int authenticated = 0, complete = 0, more = -1;
    if (GSS_ERROR(gss_get_name_attribute(&minor, name, &attr, &authenticated, &complete, &value,
                                         &display, &more)))
        return;
    printf("%s ", urn);
    for (size_t i = 0; i < value.length; i++)
        printf("%02x", ((unsigned char *)value.value)[i]);
    printf("\n");
    gss_release_buffer(&minor, &value);
}

static int cmd_pac(char **a)
{
    struct drv_err err = DRV_ERR_INIT;
    gss_cred_id_t cred DG_AUTO_CRED = GSS_C_NO_CREDENTIAL;
    if (dg_host_cred(a[0], a[1], -1, &cred, &err) < 0) {
        say_err("host", &err);
        return 1;
    }
    int fd DRV_AUTO_CLOSE = answer(a[2]);
    for (int rc = 0; rc == 0;) {
        struct drv_gss *g = drv_gss_accept(cred);
        rc = exchange(fd, g, false, "session");
        if (rc == 0) {
            printf("user %s\n", drv_gss_peer(g));
            dump(drv_gss_peer_name(g), "urn:mspac:logon-info");
            dump(drv_gss_peer_name(g), "urn:mspac:delegation-info");
        }
        drv_gss_free(g);
    }
    return 0;
}

// Half of the threads bind with the cache, half with one that does not exist: none may take the
// other's credential.
static void *bind_once(void *arg)
{
    struct drv_err err = DRV_ERR_INIT;
    struct dg_ldap *l = dg_ldap_open(arg, "DROVER.TEST", NULL, &err);
    dg_ldap_free(l);
    return l ? arg : NULL;
}

static int cmd_threads(char **a)
{
    int right = 0, wrong = 0;
    for (int round = 0; round < 20; round++) {
        char missing[] = "/nonexistent";
        pthread_t threads[8];
        for (unsigned i = 0; i < DRV_ARRAY_LEN(threads); i++)
            pthread_create(&threads[i], NULL, bind_once, i % 2 ? missing : a[0]);
        for (unsigned i = 0; i < DRV_ARRAY_LEN(threads); i++) {
            void *bound = NULL;
            pthread_join(threads[i], &bound);
            if ((bound != NULL) == (i % 2 == 0))
                right++;
            else
                wrong++;
        }
    }
    printf("threads right %d wrong %d\n", right, wrong);
    return wrong != 0;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    const char *verb = argc > 1 ? argv[1] : "";
    char **a = argv + 2;
    int n = argc - 2;
    if (strcmp(verb, "accept") == 0 && n >= 5)
        return cmd_accept(a, n);
    if (strcmp(verb, "peer") == 0 && n == 6)
        return cmd_peer(a);
    if (strcmp(verb, "connect") == 0 && n >= 2)
        return cmd_connect(a, n);
    if (strcmp(verb, "channel") == 0 && n == 5)
        return cmd_channel(a);
    if (strcmp(verb, "ldap") == 0 && n == 3)
        return cmd_ldap(a);
    if (strcmp(verb, "pac") == 0 && n == 3)
        return cmd_pac(a);
    if (strcmp(verb, "threads") == 0 && n == 1)
        return cmd_threads(a);
    fprintf(stderr, "usage: see the head of %s\n", __FILE__);
    return 2;
}
