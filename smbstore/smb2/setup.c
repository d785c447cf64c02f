// SPDX-License-Identifier: GPL-3.0-or-later
// Bringing a connection up, and keeping its session authenticated (MS-SMB2 3.2.4.2): address and
// ticket on a worker thread, then TCP, NEGOTIATE, SESSION_SETUP (which tells the server to end our
// predecessor's session, 3.3.5.5.3), TREE_CONNECT. Before the ticket ends, SESSION_SETUP again with
// a new one on the same session; its keys stay (3.2.5.3.3).
//
// A server that cannot ask its domain controller may take minutes over a SESSION_SETUP, and Samba's
// serves nothing else on that connection meanwhile: the guest would stand still for a renewal that
// has hours of time. So a scout goes first: another connection logs on with the new ticket, and
// only when the server let it in at once is the session itself renewed.
#include "conn_int.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drover/log.h"
#include "drover/worker.h"

enum {
    DEFAULT_PORT = 445,
    CONNECT_MS = 10000,
    TCP_MS = 4000, // a cable that was cut comes back between two SYNs: try anew rather than wait
    SESSION_MS = 15000,
    SCOUT_MS = 5000,
    REAUTH_RETRY_MS = 20000, // and longer while there is time:
    REAUTH_TRIES_LEFT = 32,  // this part of what the ticket has left
    KEEPALIVE_IDLE_S = 5,
    KEEPALIVE_EVERY_S = 2,
    KEEPALIVE_TRIES = 3,
    SETUP_BYTES = SMB2_REQUEST_MAX,
    SESSION_IS_GUEST = 1 | 2, // 2.2.6: guest or anonymous
    SHARE_DISK = 1,
};

enum stage {
    PREPARING,    // worker: address, ticket
    TCP,          //
    NEGOTIATING,  //
    LOGGING_ON,   //
    TREE,         //
    DONE,         // nothing under way
    SCOUTING,     // another connection tries a new ticket
    RE_PREPARING, // worker: the ticket that it got
    RE_LOGGING_ON,
};

// What runs on the worker thread; it may outlive the connection.
struct job {
    struct smb2_conn *conn; // loop thread; NULL: abandoned
    struct drv_loop *loop;
    struct smb2_tickets *tickets;
    char *server, *port;
    bool fresh, resolve;
    struct addrinfo *addresses;
    struct smb2_krb *krb;
    void *token;
    size_t token_len;
    struct drv_err err;
};

struct smb2_setup {
    enum stage stage;
    int64_t deadline_ms;
    struct job *job;
    struct addrinfo *addresses, *next_address;
    struct event *connecting;
    struct smb2_krb *krb;
    void *token; // to be sent next
    size_t token_len;
    struct smb2_preauth preauth;
    struct smb2_request request;
    struct smb2_conn *scout;
};

static void fail(struct smb2_conn *c, enum drv_code code, const char *what)
{
    struct drv_err err = DRV_ERR_INIT;
    drv_err(&err, code, "file server %s: %s", c->cfg.server, what);
    smb2_die(c, &err);
}

// --- on the worker ---

static void job_free(struct job *j)
{
    if (j->addresses)
        freeaddrinfo(j->addresses);
    smb2_krb_free(j->krb);
    free(j->token);
    free(j->server);
    free(j->port);
    free(j);
}

static int resolve(struct job *j)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    int rc = getaddrinfo(j->server, j->port, &hints, &j->addresses);
    if (rc == 0)
        return 0;
    drv_err(&j->err, DRV_EUNREACHABLE, "file server %s has no address: %s", j->server,
            gai_strerror(rc));
    return drv_err_hint(&j->err, "check the name and this host's DNS: getent hosts %s", j->server);
}

static void prepare(void *arg)
{
    struct job *j = arg;
    if (j->resolve && resolve(j) < 0)
        return;
    j->krb = smb2_krb_new(j->tickets, j->server, j->fresh, &j->err);
    if (j->krb && smb2_krb_step(j->krb, NULL, 0, &j->token, &j->token_len, &j->err) < 0)
        drv_err_prefix(&j->err, "logging on to file server %s", j->server);
}

static void prepared(void *arg);

static int start_job(struct smb2_conn *c, bool resolve_too)
{
    struct job *j = drv_xcalloc(1, sizeof *j);
    j->conn = c;
    j->loop = c->loop;
    j->tickets = c->cfg.tickets;
    j->server = drv_xstrdup(c->cfg.server);
    j->port = drv_xasprintf("%u", c->cfg.port ? c->cfg.port : DEFAULT_PORT);
    j->fresh = c->cfg.fresh_ticket;
    j->resolve = resolve_too;
    if (drv_work(c->loop, prepare, prepared, j) < 0) {
        job_free(j);
        return -1;
    }
    c->setup->job = j;
    return 0;
}

// --- requests of this file ---

static void request_done(struct smb2_request *r, uint32_t status)
{
    (void)r, (void)status; // answers come to smb2_setup_answer(); here only the connection's end
}

static void send_setup(struct smb2_conn *c, enum smb2_command command, uint8_t *msg, size_t len)
{
    struct smb2_request *r = &c->setup->request;
    if (len == 0) {
        free(msg);
        fail(c, DRV_EINVAL, "a name or ticket is too long");
        return;
    }
    *r = (struct smb2_request){.done = request_done,
                               .command = (uint16_t)command,
                               .kind = SMB2_K_SETUP,
                               .charge = 1,
                               .packet = msg,
                               .packet_len = (uint32_t)len};
    smb2_submit(c, r);
}

void smb2_setup_sending(struct smb2_conn *c, const uint8_t *msg, size_t len)
{
    if (c->setup->stage == NEGOTIATING || c->setup->stage == LOGGING_ON)
        smb2_preauth_add(&c->setup->preauth, msg, len);
}

static void send_negotiate(struct smb2_conn *c)
{
    struct smb2_negotiate *o = &c->offer;
    *o = (struct smb2_negotiate){.ciphers = {SMB2_AES128_GCM, SMB2_AES256_GCM},
                                 .n_ciphers = 2,
                                 .signings = {SMB2_SIGN_GMAC, SMB2_SIGN_CMAC},
                                 .n_signings = 2,
                                 .server = c->cfg.server};
    if (getrandom(o->client_guid, sizeof o->client_guid, 0) < 0 ||
        getrandom(o->salt, sizeof o->salt, 0) < 0) {
        fail(c, DRV_EINTERNAL, "no random numbers");
        return;
    }
    uint8_t *msg = drv_xcalloc(1, SETUP_BYTES);
    c->setup->stage = NEGOTIATING;
    send_setup(c, SMB2_NEGOTIATE, msg, smb2_put_negotiate(msg, SETUP_BYTES, o));
}

static void send_session_setup(struct smb2_conn *c, enum stage stage)
{
    struct smb2_setup *s = c->setup;
    uint8_t *msg = drv_xcalloc(1, SETUP_BYTES);
    s->stage = stage;
    size_t len = smb2_put_session_setup(
        msg, SETUP_BYTES, stage == LOGGING_ON ? c->previous_session : 0, s->token, s->token_len);
    free(DRV_TAKE(s->token));
    send_setup(c, SMB2_SESSION_SETUP, msg, len);
}

static void send_tree_connect(struct smb2_conn *c)
{
    uint8_t *msg = drv_xcalloc(1, SETUP_BYTES);
    c->setup->stage = TREE;
    send_setup(c, SMB2_TREE_CONNECT, msg,
               smb2_put_tree_connect(msg, SETUP_BYTES, c->cfg.server, c->cfg.share));
}

// --- answers ---

static void negotiated(struct smb2_conn *c, const uint8_t *msg, size_t len, uint32_t status)
{
    struct drv_err err = DRV_ERR_INIT;
    char name[16];
    if (status != SMB2_OK)
        drv_err(&err, DRV_EPEER, "it refused to negotiate SMB 3.1.1: %s",
                smb2_status_name(status, name));
    else if (smb2_get_negotiate(msg, len, &c->offer, &c->agreed, &err) == 0) {
        if (!c->agreed.cipher && !c->cfg.no_encryption)
            drv_err(&err, DRV_EPEER, "it knows neither AES-128-GCM nor AES-256-GCM");
        else if (c->agreed.max_read < SMB2_IO_MAX || c->agreed.max_write < SMB2_IO_MAX)
            drv_err(&err, DRV_EPEER, "it allows no reads and writes of 1 MiB (%u, %u bytes)",
                    c->agreed.max_read, c->agreed.max_write);
    }
    if (err.code) {
        smb2_protocol_error(c, &err);
        return;
    }
    c->setup->deadline_ms = drv_now_ms() + (c->cfg.session_ms ? c->cfg.session_ms : SESSION_MS);
    send_session_setup(c, LOGGING_ON);
}

#ifdef DROVER_SMB_KEYLOG
// Test programs alone are built with this (tests/integration/smb): the keys as a line of
// Wireshark's table smb2_seskey_list.
static void put_hex(FILE *f, const char *before, const void *bytes, size_t len)
{
    fputs(before, f);
    for (size_t i = 0; i < len; i++)
        fprintf(f, "%02x", ((const uint8_t *)bytes)[i]);
}

static void log_keys(uint64_t session_id, const struct smb2_keys *k)
{
    const char *path = getenv("DROVER_SMB_KEYLOG");
    FILE *f = path ? fopen(path, "ae") : NULL;
    if (!f)
        return;
    uint64_t id = htole64(session_id);
    put_hex(f, "", &id, sizeof id);
    put_hex(f, ",\"\",", k->decrypt, k->cipher_len);
    put_hex(f, ",", k->encrypt, k->cipher_len);
    fputc('\n', f);
    fclose(f);
}
#endif

static int make_keys(struct smb2_conn *c, struct drv_err *err)
{
    uint8_t key[64];
    size_t len = 0;
    struct smb2_keys keys;
    if (smb2_krb_session_key(c->setup->krb, key, &len, err) < 0)
        return -1;
    enum smb2_cipher cipher = c->agreed.cipher ? c->agreed.cipher : SMB2_AES128_GCM;
    int rc = smb2_derive_keys(key, len, &c->setup->preauth, cipher, &keys, err);
    explicit_bzero(key, sizeof key);
    if (rc < 0)
        return -1;
#ifdef DROVER_SMB_KEYLOG
    log_keys(c->session_id, &keys);
#endif
    c->signer = smb2_signer_new(c->agreed.signing, keys.signing, err);
    if (c->signer && !c->cfg.no_encryption) {
        c->seal = smb2_crypt_new(cipher, keys.encrypt, c->session_id, err);
        c->open = c->seal ? smb2_crypt_new(cipher, keys.decrypt, c->session_id, err) : NULL;
    }
    smb2_keys_wipe(&keys);
    return c->signer && (c->cfg.no_encryption || c->open) ? 0 : -1;
}

static void renew_later(struct smb2_conn *c, const struct drv_err *err)
{
    int64_t now = drv_now_ms(), wait_ms = (c->ticket_end_ms - now) / REAUTH_TRIES_LEFT;
    c->setup->stage = DONE;
    c->reauth_ms = now + (wait_ms > REAUTH_RETRY_MS ? wait_ms : REAUTH_RETRY_MS);
    drv_log(LOG_WARNING, "smb2.session.not_renewed", F_STR("server", c->cfg.server),
            F_INT("ticket_s", (c->ticket_end_ms - now) / 1000), F_STR("error", err->msg));
}

static void note_lifetime(struct smb2_conn *c)
{
    int64_t life_ms = smb2_krb_lifetime_s(c->setup->krb) * 1000;
    c->ticket_end_ms = drv_now_ms() + life_ms;
    c->reauth_ms = drv_now_ms() + life_ms / 3 * 2;
}

// The server's last token proves who it is; the last answer's signature, that nobody changed what
// was negotiated (3.2.5.3.1).
static int logged_on(struct smb2_conn *c, const uint8_t *msg, size_t len, const struct smb2_hdr *h,
                     const struct smb2_session_reply *reply, struct drv_err *err)
{
    struct smb2_setup *s = c->setup;
    if (reply->flags & SESSION_IS_GUEST)
        return drv_err(err, DRV_EDENIED, "it let us in as a guest only");
    if (smb2_krb_step(s->krb, reply->token, reply->token_len, &s->token, &s->token_len, err) != 1)
        return err->code ? -1 : drv_err(err, DRV_EPEER, "it ended the logon half-way");
    free(DRV_TAKE(s->token));
    note_lifetime(c);
    if (s->stage == RE_LOGGING_ON) {
        c->stats.reauthentications++;
        drv_log(LOG_NOTICE, "smb2.session.renewed", F_STR("server", c->cfg.server),
                F_INT("ticket_s", smb2_krb_lifetime_s(s->krb)));
        return 0;
    }
    c->session_id = h->session_id;
    if (make_keys(c, err) < 0)
        return -1;
    const struct iovec whole = {(uint8_t *)(uintptr_t)msg, len};
    if (!(h->flags & SMB2_F_SIGNED) || !smb2_verify(c->signer, &whole, 1))
        return drv_err(err, DRV_EPEER, "its answer to the logon was changed on the way");
    c->secure = true;
    return 0;
}

static int go_on(struct smb2_conn *c, const struct smb2_hdr *h,
                 const struct smb2_session_reply *reply, struct drv_err *err)
{
    struct smb2_setup *s = c->setup;
    if (smb2_krb_step(s->krb, reply->token, reply->token_len, &s->token, &s->token_len, err) < 0)
        return -1;
    if (!s->token)
        return drv_err(err, DRV_EPEER, "it asks for more than Kerberos has to say");
    if (s->stage == LOGGING_ON)
        c->session_id = h->session_id;
    return 0;
}

static int logon_answer(struct smb2_conn *c, const uint8_t *msg, size_t len,
                        const struct smb2_hdr *h, struct drv_err *err)
{
    struct smb2_setup *s = c->setup;
    struct smb2_session_reply reply;
    char name[16];
    bool more = h->status == SMB2_S_MORE_PROCESSING;
    if (h->status != SMB2_OK && !more) {
        smb2_tickets_forget(c->cfg.tickets);
        drv_err(err, DRV_EDENIED, "it refused this host's ticket: %s",
                smb2_status_name(h->status, name));
        return drv_err_hint(err, "the server's account, its keys and its SPN cifs/%s must be right",
                            c->cfg.server);
    }
    if (smb2_get_session_setup(msg, len, &reply, err) < 0)
        return -1;
    if (!more)
        return logged_on(c, msg, len, h, &reply, err);
    if (s->stage == LOGGING_ON)
        smb2_preauth_add(&s->preauth, msg, len);
    return go_on(c, h, &reply, err);
}

static void logon(struct smb2_conn *c, const uint8_t *msg, size_t len, const struct smb2_hdr *h)
{
    struct smb2_setup *s = c->setup;
    struct drv_err err = DRV_ERR_INIT;
    enum stage stage = s->stage;
    int rc = logon_answer(c, msg, len, h, &err);
    if (rc == 0 && h->status == SMB2_S_MORE_PROCESSING) {
        send_session_setup(c, stage);
    } else if (stage == RE_LOGGING_ON) {
        s->stage = DONE;
        if (rc < 0) // the session lasts until its ticket ends, whatever this said
            renew_later(c, &err);
    } else if (rc < 0) {
        smb2_protocol_error(c, &err);
    } else {
        s->deadline_ms = drv_now_ms() + CONNECT_MS;
        send_tree_connect(c);
    }
}

static void tree_connected(struct smb2_conn *c, const uint8_t *msg, size_t len,
                           const struct smb2_hdr *h)
{
    struct drv_err err = DRV_ERR_INIT;
    char name[16];
    if (h->status != SMB2_OK) {
        int e = smb2_errno(h->status);
        drv_err(&err,
                e == ENOENT   ? DRV_ENOTFOUND
                : e == EACCES ? DRV_EDENIED
                              : DRV_EPEER,
                "share %s: %s", c->cfg.share, smb2_status_name(h->status, name));
        if (e == EACCES)
            drv_err_hint(&err, "the share must let this host's account in%s",
                         c->cfg.no_encryption ? ", and do without encryption" : "");
    } else if (smb2_get_tree_connect(msg, len, &c->tree, &err) == 0 && c->tree.type != SHARE_DISK) {
        drv_err(&err, DRV_EINVAL, "share %s holds no files", c->cfg.share);
    }
    if (err.code) {
        smb2_protocol_error(c, &err);
        return;
    }
    c->tree_id = h->tree_id;
    c->state = SMB2_READY;
    c->setup->stage = DONE;
    smb2_krb_free(DRV_TAKE(c->setup->krb));
    c->connected(c->arg, c, NULL);
}

void smb2_setup_answer(struct smb2_conn *c, const uint8_t *msg, size_t len,
                       const struct smb2_hdr *h)
{
    struct smb2_setup *s = c->setup;
    smb2_complete(c, &s->request, h->status);
    switch (s->stage) {
    case NEGOTIATING:
        smb2_preauth_add(&s->preauth, msg, len);
        negotiated(c, msg, len, h->status);
        break;
    case LOGGING_ON:
    case RE_LOGGING_ON:
        logon(c, msg, len, h);
        break;
    case TREE:
        tree_connected(c, msg, len, h);
        break;
    case PREPARING:
    case TCP:
    case DONE:
    case SCOUTING:
    case RE_PREPARING:
        break;
    }
}

// --- TCP ---

static void connect_next(struct smb2_conn *c);

static void tune(int fd)
{
    const struct {
        int level, name, value;
    } options[] = {{IPPROTO_TCP, TCP_NODELAY, 1},
                   {SOL_SOCKET, SO_KEEPALIVE, 1},
                   {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
                   {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY_S},
                   {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_TRIES}};
    for (size_t i = 0; i < DRV_ARRAY_LEN(options); i++)
        setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                   sizeof options[i].value);
}

static void tcp_connected(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct smb2_conn *c = arg;
    struct smb2_setup *s = c->setup;
    int e = 0;
    socklen_t size = sizeof e;
    event_free(DRV_TAKE(s->connecting));
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &size);
    smb2_enter(c);
    if (e) {
        close(c->fd);
        c->fd = -1;
        errno = e;
        connect_next(c);
    } else {
        tune(fd);
        c->rx.readable =
            event_new(drv_loop_base(c->loop), fd, EV_READ | EV_PERSIST, smb2_rx_readable, c);
        if (!c->rx.readable || smb2_rx_init(c) < 0 || smb2_tx_init(c) < 0) {
            fail(c, DRV_ENOSPACE, "no memory for a connection");
        } else {
            event_add(c->rx.readable, NULL);
            c->state = SMB2_AGREEING;
            c->heard_ms = drv_now_ms();
            s->deadline_ms = drv_now_ms() + CONNECT_MS;
            send_negotiate(c);
        }
    }
    smb2_leave(c);
}

static void connect_next(struct smb2_conn *c)
{
    struct smb2_setup *s = c->setup;
    int e = errno;
    for (; s->next_address; s->next_address = s->next_address->ai_next) {
        const struct addrinfo *a = s->next_address;
        int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0 && (connect(fd, a->ai_addr, a->ai_addrlen) == 0 || errno == EINPROGRESS)) {
            c->fd = fd;
            s->next_address = a->ai_next;
            s->connecting = event_new(drv_loop_base(c->loop), fd, EV_WRITE, tcp_connected, c);
            event_add(s->connecting, NULL);
            return;
        }
        e = errno;
        drv_cleanup_close(&fd);
    }
    struct drv_err err = DRV_ERR_INIT;
    drv_err_os(&err, e, "file server %s does not answer", c->cfg.server);
    err.code = DRV_EUNREACHABLE;
    smb2_die(c, &err);
}

static void prepared(void *arg)
{
    struct job *j = arg;
    struct smb2_conn *c = j->conn;
    if (!c) {
        job_free(j);
        return;
    }
    struct smb2_setup *s = c->setup;
    struct drv_err err = j->err;
    s->job = NULL;
    s->addresses = s->next_address = DRV_TAKE(j->addresses);
    smb2_krb_free(s->krb);
    s->krb = DRV_TAKE(j->krb);
    free(s->token);
    s->token = DRV_TAKE(j->token);
    s->token_len = j->token_len;
    job_free(j);
    smb2_enter(c);
    if (s->stage == RE_PREPARING) {
        if (err.code)
            renew_later(c, &err);
        else
            send_session_setup(c, RE_LOGGING_ON);
    } else if (err.code) {
        smb2_die(c, &err);
    } else {
        s->stage = TCP;
        s->deadline_ms = drv_now_ms() + TCP_MS;
        c->state = SMB2_CONNECTING;
        errno = EHOSTUNREACH;
        connect_next(c);
    }
    smb2_leave(c);
}

// --- renewal ---

static void scouted(void *arg, struct smb2_conn *scout, const struct drv_err *err)
{
    struct smb2_conn *c = arg;
    struct drv_err busy = DRV_ERR_INIT;
    smb2_free(scout);
    c->setup->scout = NULL;
    if (c->state != SMB2_READY)
        return; // it has ended meanwhile
    if (err) {
        renew_later(c, err);
        return;
    }
    c->setup->stage = RE_PREPARING;
    if (start_job(c, false) < 0) {
        drv_err(&busy, DRV_EBUSY, "no worker thread is free");
        renew_later(c, &busy);
    }
}

static void begin_renewal(struct smb2_conn *c)
{
    struct smb2_config cfg = c->cfg;
    cfg.fresh_ticket = true;
    cfg.session_ms = SCOUT_MS;
    c->setup->stage = SCOUTING;
    c->setup->scout = smb2_connect(c->loop, &cfg, NULL, scouted, NULL, c);
}

// --- life ---

void smb2_setup_begin(struct smb2_conn *c)
{
    c->setup = drv_xcalloc(1, sizeof *c->setup);
    c->setup->stage = PREPARING;
    c->setup->deadline_ms = drv_now_ms() + CONNECT_MS;
    if (start_job(c, true) < 0)
        c->setup->deadline_ms = 0; // told by the next tick: nobody expects an answer from within
}

void smb2_setup_free(struct smb2_conn *c)
{
    struct smb2_setup *s = c->setup;
    if (!s)
        return;
    smb2_free(s->scout);
    if (s->job)
        s->job->conn = NULL;
    if (s->connecting)
        event_free(s->connecting);
    if (s->addresses)
        freeaddrinfo(s->addresses);
    smb2_krb_free(s->krb);
    free(s->token);
    free(DRV_TAKE(c->setup));
}

void smb2_setup_watch(struct smb2_conn *c)
{
    struct smb2_setup *s = c->setup;
    int64_t now = drv_now_ms();
    if (!s || c->state == SMB2_DEAD)
        return;
    if (c->state != SMB2_READY) {
        if (now < s->deadline_ms)
            return;
        if (s->stage == LOGGING_ON)
            fail(c, DRV_ETIMEDOUT,
                 "no answer to the logon: our last session there may still be busy");
        else
            fail(c, DRV_ETIMEDOUT,
                 s->stage == PREPARING ? "no address or ticket in time: DNS or the domain "
                                         "controller does not answer"
                                       : "it did not answer in time");
        return;
    }
    if (s->stage == DONE && c->reauth_ms && now >= c->reauth_ms)
        begin_renewal(c);
}
