// SPDX-License-Identifier: GPL-3.0-or-later
// The wire alone, against a real domain: an agent that has nothing but sessions, a client, and
// clients that misbehave. Used by run.sh.
//
//   wiretool serve   KEYTAB CCACHE FQDN ADDR PORT ROLES SOCKET   until stdin ends; prints "ready"
//   wiretool call    HOST PORT CALL [ARGS]                       as the user of the ccache
//   wiretool local   SOCKET HOST|- CALL [ARGS]                   over the socket, logging on unless
//   - wiretool prf     HOST PORT                                   both ends derive the same key
//   wiretool garbage|short|empty|oversized|again|tampered|replayed|clear|forward HOST PORT
//                                                                what a broken or hostile client
//                                                                sends
// Output: the return value as JSON, or "denied ID message | hint" and exit as the CLI would.
#include <gssapi/gssapi_krb5.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drover/client.h"
#include "drover/delegation.h"
#include "drover/finding.h"
#include "drover/frame.h"
#include "drover/log.h"
#include "drover/util.h"
#include "drover/wire.h"
#include "server.h"

enum { TIMEOUT_MS = 30000 };

static int say_err(const struct drv_err *err)
{
    printf("denied %s %s | %s\n", err->id[0] ? err->id : "-", err->msg, err->hint);
    return (int)drv_err_exit(err);
}

static int say_json(json_t *j, const struct drv_err *err)
{
    if (!j)
        return say_err(err);
    DRV_AUTO_FREE char *text = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
    printf("%s\n", text);
    json_decref(j);
    return 0;
}

// --- the agent ---

struct ha {
    const char *keytab, *ccache;
    struct az_roles roles;
};

static int credential(struct ha *ha, gss_cred_id_t *ret, struct drv_err *err)
{
    return dg_host_cred(ha->keytab, ha->ccache, -1, ret, err);
}

static int classify(struct ha *ha, const struct drv_gss *gss, struct ha_identity *ret,
                    struct drv_err *err)
{
    if (az_identity_from_gss(drv_gss_peer_name(gss), drv_gss_peer(gss), &ret->az, err) < 0)
        return -1;
    ret->role = az_role_of(&ha->roles, &ret->az, NULL);
    ret->is_host = az_is_host(&ha->roles, &ret->az);
    return 0;
}

static void hex_key(const uint8_t key[32], char out[65])
{
    for (int i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", key[i]);
}

static json_t *run_prf(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    const char *label;
    uint8_t key[32];
    char hex[65];
    if (ha_args(args, err, "{s:s}", "label", &label) < 0 ||
        drv_gss_prf(ctx->peer->gss, label, key, err) < 0)
        return NULL;
    hex_key(key, hex);
    return json_string(hex);
}

static json_t *run_view(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    char who[512];
    (void)args;
    (void)err;
    ha_ctx_who(ctx, who, sizeof who);
    return json_string(who);
}

static json_t *run_inner(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    (void)args;
    if (!ctx->inner) {
        drv_err(err, DRV_EDENIED, "no user inside this channel");
        return NULL;
    }
    const struct az_identity *az = &ctx->inner->id.az;
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "host", ctx->peer->id.az.name, "user", az->name,
                     "role", az_role_name(ctx->inner->id.role), "by",
                     az->n_transited ? az->transited[az->n_transited - 1] : "", "target",
                     az->target);
}

// {"host","port"}: a host channel to another agent, and the caller inside it.
static json_t *run_relay(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    const char *host;
    int port;
    if (ha_args(args, err, "{s:s, s:i}", "host", &host, "port", &port) < 0)
        return NULL;
    struct drv_client *c = drv_client_tcp(host, (unsigned)port, ctx->peer->cred, TIMEOUT_MS, err);
    if (!c)
        return NULL;
    json_t *j = NULL;
    if (drv_client_inner(c, "peer.user", "drover", host, drv_gss_delegated(ctx->peer->gss), err) ==
        0)
        j = drv_client_call(c, "peer.inner", NULL, TIMEOUT_MS, err);
    drv_client_free(c);
    return j;
}

static const struct ha_call calls[] = {
    {"view", HA_VIEWER, false, false, run_view},
    {"operate", HA_OPERATOR, false, false, run_view},
    {"move", HA_OPERATOR, true, false, run_view},
    {"prf", HA_VIEWER, true, false, run_prf},
    {"relay", HA_OPERATOR, true, false, run_relay},
    {"peer.inner", HA_HOST, false, false, run_inner},
    {0},
};
static const struct ha_server_ops ops = {.credential = credential, .classify = classify};

static void on_stdin(evutil_socket_t fd, short what, void *arg)
{
    char c;
    (void)what;
    if (read(fd, &c, 1) <= 0)
        drv_loop_stop(arg);
}

static int resolve_roles(struct ha *ha, const char *text, struct drv_err *err)
{
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    if (az_roles_parse(text, &ha->roles, err) < 0)
        return -1;
    if (!az_roles_unresolved(&ha->roles))
        return 0;
    if (credential(ha, &cred, err) < 0)
        return -1;
    dg_cred_free(&cred);
    struct dg_ldap *l = dg_ldap_open(ha->ccache, NULL, "dc1.drover.test", err);
    struct az_role_entry *e;
    int rc = l ? 0 : -1;
    while (rc == 0 && (e = az_roles_unresolved(&ha->roles)))
        rc = dg_ldap_group_sid(l, e->label, e->sid, err);
    dg_ldap_free(l);
    return rc;
}

static int serve(char **argv)
{
    struct drv_err err = DRV_ERR_INIT;
    struct ha ha = {.keytab = argv[0], .ccache = argv[1]};
    // A keytab that is of no use must not keep the agent down: roles by name are looked up if it
    // is.
    if (resolve_roles(&ha, argv[5], &err) < 0) {
        drv_log_err(LOG_WARNING, "wiretool.roles", &err);
        drv_err_clear(&err);
    }
    struct drv_loop *loop = drv_loop_new(&err);
    struct ha_server *server = loop ? ha_server_new(&ha, loop, &ops, calls, argv[2]) : NULL;
    if (!server || ha_server_listen_tcp(server, argv[3], (unsigned)atoi(argv[4]), NULL, &err) < 0 ||
        ha_server_listen_unix(server, argv[6], &err) < 0)
        return say_err(&err);
    struct event *in =
        event_new(drv_loop_base(loop), STDIN_FILENO, EV_READ | EV_PERSIST, on_stdin, loop);
    event_add(in, NULL);
    puts("ready");
    fflush(stdout);
    drv_loop_run(loop);
    event_free(in);
    ha_server_free(server);
    drv_loop_free(loop);
    return 0;
}

// --- clients that behave ---

static int call(struct drv_client *c, const char *name, const char *args, struct drv_err *err)
{
    json_t *a = args ? json_loads(args, 0, NULL) : json_object();
    int rc = say_json(drv_client_call(c, name, a, TIMEOUT_MS, err), err);
    drv_client_free(c);
    return rc;
}

static struct drv_client *dial(char **argv, struct drv_err *err)
{
    return drv_client_tcp(argv[0], (unsigned)atoi(argv[1]), GSS_C_NO_CREDENTIAL, TIMEOUT_MS, err);
}

static int do_call(char **argv)
{
    struct drv_err err = DRV_ERR_INIT;
    struct drv_client *c = dial(argv, &err);
    return c ? call(c, argv[2], argv[3], &err) : say_err(&err);
}

static int do_local(char **argv)
{
    struct drv_err err = DRV_ERR_INIT;
    struct drv_client *c = drv_client_unix(argv[0], &err);
    if (!c)
        return say_err(&err);
    if (strcmp(argv[1], "-") != 0 && drv_client_login(c, argv[1], GSS_C_NO_CREDENTIAL, &err) < 0) {
        drv_client_free(c);
        return say_err(&err);
    }
    return call(c, argv[2], argv[3], &err);
}

static int do_prf(char **argv)
{
    struct drv_err err = DRV_ERR_INIT;
    uint8_t key[32];
    char hex[65];
    struct drv_client *c = dial(argv, &err);
    if (!c)
        return say_err(&err);
    DRV_AUTO_JSON json_t *j =
        drv_client_call(c, "prf", json_pack("{s:s}", "label", "m1 memory"), TIMEOUT_MS, &err);
    if (!j || drv_gss_prf(drv_client_gss(c), "m1 memory", key, &err) < 0)
        return say_err(&err);
    hex_key(key, hex);
    puts(!strcmp(hex, json_string_value(j)) ? "same key" : "different keys");
    drv_client_free(c);
    return 0;
}

// --- clients that do not ---

// Read one frame into a fixed buffer; its length, or 0 when the connection ended.
static size_t raw_receive(int fd, uint8_t *buf, size_t size)
{
    struct drv_frames d = {0};
    size_t len = 0;
    char byte;
    drv_frames_limit(&d, size);
    alarm(20);
    while (recv(fd, &byte, 1, 0) == 1) {
        const uint8_t *frame;
        size_t used;
        int rc = drv_frames_feed(&d, &byte, 1, &used, &frame, &len, NULL);
        if (rc == 1)
            memcpy(buf, frame, len);
        if (rc != 0)
            break;
        len = 0;
    }
    drv_frames_done(&d);
    return len;
}

static void raw_send(int fd, const void *payload, size_t len)
{
    uint8_t header[4];
    drv_frame_header(header, len, NULL);
    (void)!send(fd, header, 4, MSG_NOSIGNAL);
    (void)!send(fd, payload, len, MSG_NOSIGNAL);
}

// Print what the peer says until it closes: JSON in clear, sealed messages by g, or a token.
static int say_rest(int fd, struct drv_gss *g)
{
    static uint8_t buf[DRV_FRAME_MAX];
    size_t len;
    while ((len = raw_receive(fd, buf, sizeof buf)) > 0) {
        void *plain = NULL;
        size_t plain_len;
        struct drv_err err = DRV_ERR_INIT;
        if (buf[0] == '{')
            printf("clear %.*s\n", (int)len, (char *)buf);
        else if (g && drv_gss_unwrap(g, buf, len, &plain, &plain_len, &err) == 0)
            printf("sealed %.*s\n", (int)plain_len, (char *)plain);
        else
            printf("token of %zu bytes\n", len);
        free(plain);
    }
    puts("closed");
    return 0;
}

static int raw_connect(char **argv)
{
    uint8_t greeting[4096];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *ai = NULL;
    if (getaddrinfo(argv[0], argv[1], &hints, &ai) != 0)
        return -1;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = connect(fd, ai->ai_addr, ai->ai_addrlen);
    freeaddrinfo(ai);
    if (rc < 0 || raw_receive(fd, greeting, sizeof greeting) == 0)
        return -1;
    return fd;
}

// The first token that a proper client would send. Its context goes to *g.
static size_t first_token(char **argv, struct drv_gss **g, void **token)
{
    size_t len = 0;
    *g = drv_gss_initiate("drover", argv[0], GSS_C_NO_CREDENTIAL, NULL);
    if (drv_gss_step(*g, NULL, 0, token, &len, NULL) < 0)
        return 0;
    return len;
}

// The token logs somebody on, and is then shown once more on a connection of its own: the latter.
static int send_twice(int fd, char **argv, const void *token, size_t len)
{
    static uint8_t reply[DRV_GSS_TOKEN_MAX];
    raw_send(fd, token, len);
    if (raw_receive(fd, reply, sizeof reply) == 0)
        return -1;
    close(fd);
    fd = raw_connect(argv);
    raw_send(fd, token, len);
    return fd;
}

static int bad_token(const char *kind, int fd, char **argv)
{
    struct drv_gss *g = NULL;
    DRV_AUTO_FREE void *token = NULL;
    size_t len = first_token(argv, &g, &token);
    if (len == 0)
        return 1;
    if (!strcmp(kind, "garbage"))
        raw_send(fd, "this is no token at all", 23);
    else if (!strcmp(kind, "short"))
        raw_send(fd, token, len / 2);
    else if (!strcmp(kind, "oversized"))
        (void)!send(fd, "\x7f\xff\xff\xff", 4, MSG_NOSIGNAL);
    else if (!strcmp(kind, "empty"))
        (void)!send(fd, "\0\0\0\0", 4, MSG_NOSIGNAL);
    else if (!strcmp(kind, "again"))
        fd = send_twice(fd, argv, token, len);
    int rc = say_rest(fd, NULL);
    drv_gss_free(g);
    return rc;
}

// Log on properly, then send what a wire-tapper would.
static int bad_message(const char *kind, int fd, char **argv)
{
    static const char request[] = "{\"call\":\"view\",\"id\":1}";
    static uint8_t reply[DRV_GSS_TOKEN_MAX];
    struct drv_gss *g = NULL;
    DRV_AUTO_FREE void *token = NULL;
    DRV_AUTO_FREE void *none = NULL;
    DRV_AUTO_FREE uint8_t *sealed = NULL;
    size_t sealed_len, none_len;
    size_t len = first_token(argv, &g, &token);
    raw_send(fd, token, len);
    len = raw_receive(fd, reply, sizeof reply);
    if (drv_gss_step(g, reply, len, &none, &none_len, NULL) != 1 ||
        drv_gss_wrap(g, request, sizeof request - 1, (void **)&sealed, &sealed_len, NULL) < 0)
        return 1;
    if (!strcmp(kind, "tampered"))
        sealed[sealed_len - 1] ^= 1;
    if (!strcmp(kind, "clear")) {
        raw_send(fd, request, sizeof request - 1);
    } else {
        raw_send(fd, sealed, sealed_len);
        if (!strcmp(kind, "replayed"))
            raw_send(fd, sealed, sealed_len);
    }
    int rc = say_rest(fd, g);
    drv_gss_free(g);
    return rc;
}

// A client that forwards its whole ticket-granting ticket (ours never do).
static int forward_tgt(int fd, char **argv)
{
    static uint8_t reply[DRV_GSS_TOKEN_MAX];
    OM_uint32 minor;
    gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
    gss_name_t name;
    gss_buffer_desc in = GSS_C_EMPTY_BUFFER, out = GSS_C_EMPTY_BUFFER;
    DRV_AUTO_FREE char *target = drv_xasprintf("drover@%s", argv[0]);
    gss_buffer_desc text = {strlen(target), target};
    gss_import_name(&minor, &text, GSS_C_NT_HOSTBASED_SERVICE, &name);
    for (OM_uint32 major = GSS_S_CONTINUE_NEEDED; major == GSS_S_CONTINUE_NEEDED;) {
        major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &ctx, name, gss_mech_krb5,
                                     GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG |
                                         GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG | GSS_C_DELEG_FLAG,
                                     0, NULL, &in, NULL, &out, NULL, NULL);
        if (out.length > 0)
            raw_send(fd, out.value, out.length);
        gss_release_buffer(&minor, &out);
        if (major == GSS_S_CONTINUE_NEEDED) {
            in.length = raw_receive(fd, reply, sizeof reply);
            in.value = reply;
        }
    }
    in.length = raw_receive(fd, reply, sizeof reply);
    if (gss_unwrap(&minor, ctx, &in, &out, NULL, NULL) == GSS_S_COMPLETE)
        printf("sealed %.*s\n", (int)out.length, (char *)out.value);
    gss_release_buffer(&minor, &out);
    gss_release_name(&minor, &name);
    gss_delete_sec_context(&minor, &ctx, NULL);
    return say_rest(fd, NULL);
}

static int do_raw(const char *kind, char **argv)
{
    int fd = raw_connect(argv);
    if (fd < 0)
        return 1;
    int rc;
    if (!strcmp(kind, "forward"))
        rc = forward_tgt(fd, argv);
    else if (!strcmp(kind, "tampered") || !strcmp(kind, "replayed") || !strcmp(kind, "clear"))
        rc = bad_message(kind, fd, argv);
    else
        rc = bad_token(kind, fd, argv);
    close(fd);
    return rc;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 9 && !strcmp(argv[1], "serve"))
        return serve(argv + 2);
    if (argc >= 5 && argc <= 6 && !strcmp(argv[1], "call"))
        return do_call(argv + 2);
    if (argc >= 5 && argc <= 6 && !strcmp(argv[1], "local"))
        return do_local(argv + 2);
    if (argc == 4 && !strcmp(argv[1], "prf"))
        return do_prf(argv + 2);
    if (argc == 4)
        return do_raw(argv[1], argv + 2);
    return 2;
}
