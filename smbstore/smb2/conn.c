// SPDX-License-Identifier: GPL-3.0-or-later
// Life of a connection, its requests and credits: see conn_int.h.
//
// Message ids and credits, MS-SMB2 3.2.4.1.2 and 3.2.4.1.5: every request takes as many ids as it
// costs credits (one per 64 KiB of payload), in the order of sending; every answer grants new ones.
// Requests that the credits do not allow wait in order.
#include "conn_int.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void watch_tick(evutil_socket_t fd, short what, void *arg);

struct smb2_conn *smb2_connect(struct drv_loop *loop, const struct smb2_config *cfg,
                               const struct smb2_conn *predecessor, smb2_connected *connected,
                               smb2_ended *ended, void *arg)
{
    static const struct timeval second = {.tv_sec = 1};
    struct smb2_conn *c = drv_xcalloc(1, sizeof *c);
    c->loop = loop;
    c->cfg = *cfg;
    c->cfg.server = drv_xstrdup(cfg->server);
    c->cfg.share = drv_xstrdup(cfg->share);
    c->connected = connected;
    c->ended = ended;
    c->arg = arg;
    c->fd = -1;
    c->previous_session = predecessor ? predecessor->session_id : 0;
    c->credits = 1; // 3.2.5.1: what a connection begins with
    c->waiting_tail = &c->waiting;
    c->watch = event_new(drv_loop_base(loop), -1, EV_PERSIST, watch_tick, c);
    event_add(c->watch, &second);
    smb2_setup_begin(c);
    return c;
}

// --- requests ---

void smb2_drop_packet(struct smb2_request *r)
{
    if (r->packet != r->room)
        free(r->packet);
    r->packet = NULL;
}

static struct smb2_request **slot_of(struct smb2_conn *c, uint64_t message_id)
{
    return &c->pending[message_id % SMB2_PENDING_SLOTS];
}

struct smb2_request *smb2_find(struct smb2_conn *c, uint64_t message_id)
{
    struct smb2_request *r = *slot_of(c, message_id);
    while (r && r->message_id != message_id)
        r = r->next;
    return r;
}

static void take_out(struct smb2_conn *c, const struct smb2_request *r)
{
    struct smb2_request **p = r->sent ? slot_of(c, r->message_id) : &c->waiting;
    while (*p && *p != r)
        p = &(*p)->next;
    if (!*p)
        return;
    *p = r->next;
    if (r->sent)
        c->n_pending--;
    else if (!*p)
        c->waiting_tail = p;
}

void smb2_complete(struct smb2_conn *c, struct smb2_request *r, uint32_t status)
{
    take_out(c, r);
    smb2_rx_forget(c, r);
    smb2_drop_packet(r);
    r->done(r, status);
}

void smb2_submit(struct smb2_conn *c, struct smb2_request *r)
{
    r->next = NULL;
    r->sent = r->cancelled = false;
    r->async_id = 0;
    *c->waiting_tail = r;
    c->waiting_tail = &r->next;
    if (c->state == SMB2_DEAD)
        smb2_complete(c, r, SMB2_S_LOST);
    else
        smb2_dispatch(c);
}

static int send_request(struct smb2_conn *c, struct smb2_request *r, struct drv_err *err)
{
    // Ask for as many credits as this costs and some more, until there are plenty (3.2.4.1.2).
    unsigned have = c->credits + c->n_pending;
    unsigned wish = r->charge + (have < SMB2_CREDITS_WANTED ? SMB2_CREDITS_WANTED - have : 0);
    struct smb2_hdr h = {
        .credit_charge = r->charge,
        .command = r->command,
        .credits = (uint16_t)(wish > 512 ? 512 : wish),
        .message_id = c->next_message_id,
        .session_id = c->session_id,
        .tree_id = c->tree_id,
    };
    bool is_write = r->kind == SMB2_K_WRITE;
    r->message_id = c->next_message_id;
    c->next_message_id += r->charge;
    c->credits -= r->charge;
    r->sent = true;
    r->next = *slot_of(c, r->message_id);
    *slot_of(c, r->message_id) = r;
    c->n_pending++;
    if (c->n_pending == 1)
        c->heard_ms = drv_now_ms();
    c->stats.requests++;
    smb2_put_hdr(r->packet, &h);
    if (r->kind == SMB2_K_SETUP)
        smb2_setup_sending(c, r->packet, r->packet_len);
    int rc = smb2_tx_message(c, r->packet, r->packet_len, is_write ? r->buf : NULL,
                             is_write ? r->len : 0, err);
    smb2_drop_packet(r);
    return rc;
}

void smb2_dispatch(struct smb2_conn *c)
{
    smb2_enter(c);
    while (c->state != SMB2_DEAD && c->waiting && c->waiting->charge <= c->credits &&
           c->tx.queued < SMB2_QUEUED_MAX) {
        struct smb2_request *r = c->waiting;
        struct drv_err err = DRV_ERR_INIT;
        c->waiting = r->next;
        if (!c->waiting)
            c->waiting_tail = &c->waiting;
        if (send_request(c, r, &err) < 0)
            smb2_die(c, &err);
    }
    smb2_leave(c);
}

void smb2_cancel(struct smb2_conn *c, struct smb2_request *r)
{
    uint8_t msg[SMB2_HDR_BYTES + 4];
    if (c->state == SMB2_DEAD || r->cancelled)
        return;
    if (!r->sent) {
        smb2_complete(c, r, SMB2_S_CANCELLED);
        return;
    }
    // 3.2.4.24: the id of the request that it cancels, no credit asked or taken.
    struct smb2_hdr h = {.command = SMB2_CANCEL,
                         .message_id = r->message_id,
                         .session_id = c->session_id,
                         .flags = r->async_id ? SMB2_F_ASYNC : 0,
                         .async_id = r->async_id,
                         .tree_id = r->async_id ? 0 : c->tree_id};
    struct drv_err err = DRV_ERR_INIT;
    size_t len = smb2_put_cancel(msg, sizeof msg);
    r->cancelled = true;
    smb2_put_hdr(msg, &h);
    smb2_enter(c);
    if (smb2_tx_message(c, msg, len, NULL, 0, &err) < 0)
        smb2_die(c, &err);
    smb2_leave(c);
}

// --- the end ---

static void complete_all(struct smb2_conn *c)
{
    // Sent ones first, as they were first; a done() may submit again: that one is refused at once.
    for (unsigned i = 0; i < SMB2_PENDING_SLOTS; i++)
        while (c->pending[i])
            smb2_complete(c, c->pending[i], SMB2_S_LOST);
    while (c->waiting)
        smb2_complete(c, c->waiting, SMB2_S_LOST);
}

// The socket stays open, for what a successor tells the server; nothing goes over it any more.
static bool end_quietly(struct smb2_conn *c)
{
    if (c->state == SMB2_DEAD)
        return false;
    c->state = SMB2_DEAD;
    smb2_tx_done(c);
    smb2_rx_done(c);
    event_del(c->watch);
    complete_all(c);
    return true;
}

void smb2_die(struct smb2_conn *c, const struct drv_err *err)
{
    bool was_ready = c->state == SMB2_READY;
    if (!end_quietly(c))
        return;
    smb2_setup_free(c);
    if (was_ready) {
        if (c->ended)
            c->ended(c->arg, c, err);
        return;
    }
    smb2_connected *connected = c->connected;
    void *arg = c->arg;
    smb2_free(c);
    connected(arg, NULL, err);
}

void smb2_protocol_error(struct smb2_conn *c, const struct drv_err *err)
{
    struct drv_err outer = *err;
    drv_err_prefix(&outer, "file server %s", c->cfg.server);
    smb2_die(c, &outer);
}

void smb2_abandon(struct smb2_conn *c, bool reset)
{
    end_quietly(c);
    // A connection to "nowhere" throws the queue away and sends RST (tcp(7), Linux'
    // tcp_disconnect).
    struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    if (reset && c->fd >= 0)
        (void)connect(c->fd, &nowhere, sizeof nowhere);
}

static void really_free(struct smb2_conn *c)
{
    event_free(c->watch);
    if (c->fd >= 0)
        close(c->fd);
    smb2_crypt_free(c->seal);
    smb2_crypt_free(c->open);
    smb2_signer_free(c->signer);
    free((char *)(uintptr_t)c->cfg.server);
    free((char *)(uintptr_t)c->cfg.share);
    free(c);
}

void smb2_free(struct smb2_conn *c)
{
    if (!c || c->freed)
        return;
    smb2_enter(c);
    end_quietly(c);
    smb2_setup_free(c);
    // What the server has not read yet must not reach it after a successor's writes.
    if (c->fd >= 0) {
        struct linger now = {.l_onoff = 1};
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    c->freed = true;
    smb2_leave(c);
}

void smb2_enter(struct smb2_conn *c)
{
    c->busy++;
}

void smb2_leave(struct smb2_conn *c)
{
    if (--c->busy == 0 && c->freed)
        really_free(c);
}

// --- liveness ---

static void echoed(struct smb2_request *r, uint32_t status)
{
    struct smb2_conn *c = (struct smb2_conn *)((char *)r - offsetof(struct smb2_conn, echo));
    (void)status;
    c->echo_under_way = false;
}

// A cut cable and a stuck server say nothing: ask when an answer is due for long (3.2.6 leaves it
// to the client).
static void check_alive(struct smb2_conn *c)
{
    int64_t quiet_ms = drv_now_ms() - c->heard_ms;
    if (c->n_pending == 0)
        return;
    if (quiet_ms >= SMB2_QUIET_DEAD_MS) {
        struct drv_err err = DRV_ERR_INIT;
        drv_err(&err, DRV_EUNREACHABLE, "file server %s has not answered for %d s", c->cfg.server,
                (int)(quiet_ms / 1000));
        smb2_die(c, &err);
    } else if (quiet_ms >= SMB2_QUIET_ECHO_MS && !c->echo_under_way) {
        c->echo_under_way = true;
        c->echo.done = echoed;
        smb2_echo(c, &c->echo);
    }
}

static void watch_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct smb2_conn *c = arg;
    smb2_enter(c);
    smb2_setup_watch(c);
    if (c->state == SMB2_READY)
        check_alive(c);
    smb2_leave(c);
}

// --- what others may know ---

bool smb2_usable(const struct smb2_conn *c)
{
    return c && c->state == SMB2_READY;
}

const char *smb2_cipher_name(uint16_t cipher)
{
    return cipher == SMB2_AES128_GCM   ? "AES-128-GCM"
           : cipher == SMB2_AES256_GCM ? "AES-256-GCM"
                                       : "";
}

const char *smb2_signing_name(uint16_t signing)
{
    return signing == SMB2_SIGN_GMAC ? "AES-128-GMAC" : "AES-128-CMAC";
}

void smb2_about(const struct smb2_conn *c, struct smb2_about *ret)
{
    *ret = (struct smb2_about){
        .cipher = c->seal ? c->agreed.cipher : 0,
        .signing = c->agreed.signing,
        .capabilities = c->agreed.capabilities,
        .max_read = c->agreed.max_read,
        .max_write = c->agreed.max_write,
        .tree_capabilities = c->tree.capabilities,
        .session_id = c->session_id,
        .ticket_left_s = c->ticket_end_ms ? (c->ticket_end_ms - drv_now_ms()) / 1000 : 0,
        .credits = c->credits,
    };
}

void smb2_stats(const struct smb2_conn *c, struct smb2_stats *ret)
{
    *ret = c->stats;
}
