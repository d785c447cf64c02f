// SPDX-License-Identifier: GPL-3.0-or-later
// Listening sockets: who gets a session at all. See server.h.
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "drover/log.h"
#include "drover/util.h"
#include "drover/wire.h"
#include "session.h"

static void enable_again(evutil_socket_t fd, short what, void *arg);

struct ha_server *ha_server_new(struct ha *ha, struct drv_loop *loop,
                                const struct ha_server_ops *ops, const struct ha_call *calls,
                                const char *fqdn)
{
    struct ha_server *s = drv_xcalloc(1, sizeof *s);
    s->ha = ha;
    s->loop = loop;
    s->ops = ops;
    s->calls = calls;
    DRV_COPY(s->fqdn, fqdn);
    s->accept_again = evtimer_new(drv_loop_base(loop), enable_again, s);
    return s;
}

void ha_server_free(struct ha_server *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->n_listeners; i++) {
        evconnlistener_free(s->listeners[i]);
        if (s->unix_paths[i])
            unlink(s->unix_paths[i]);
        free(s->unix_paths[i]);
    }
    while (s->sessions)
        ha_session_free(s->sessions);
    if (s->accept_again)
        event_free(s->accept_again);
    free(s);
}

unsigned ha_server_sessions(const struct ha_server *s)
{
    return s->n_unix + s->n_tcp;
}

// --- accepting ---

// Say why in clear, if the socket takes it at once, and close. log: say it in the log as well.
static void turn_away(int fd, const char *name, const char *why, bool log)
{
    struct drv_err err = DRV_ERR_INIT;
    uint8_t header[DRV_FRAME_HEADER];
    size_t len;
    drv_err(&err, DRV_EBUSY, "%s", why);
    DRV_AUTO_JSON json_t *m = json_pack("{s:o}", "error", drv_wire_error(&err));
    DRV_AUTO_FREE char *text = drv_wire_text(m, &len, NULL);
    if (text && drv_frame_header(header, len, NULL) == 0 &&
        send(fd, header, sizeof header, MSG_NOSIGNAL | MSG_MORE) == sizeof header)
        (void)!send(fd, text, len, MSG_NOSIGNAL);
    if (log)
        drv_log(LOG_NOTICE, "session.turned_away", F_STR("peer", name), F_STR("msg", why));
    close(fd);
}

static void on_unix(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int sa_len,
                    void *arg)
{
    (void)l;
    (void)sa;
    (void)sa_len;
    struct ha_server *s = arg;
    struct ucred who;
    socklen_t len = sizeof who;
    char name[64];
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0) {
        close(fd);
        return;
    }
    snprintf(name, sizeof name, "unix:uid %u pid %d", (unsigned)who.uid, (int)who.pid);
    // A crowd of other users must not keep root out.
    if (who.uid != 0 && s->n_unix >= HA_MAX_UNIX_SESSIONS)
        turn_away(fd, name, "too many connections to the local socket; try again", true);
    else
        ha_session_new(s, fd, HA_VIA_UNIX, who.uid, NULL, name);
}

static void set_tcp_options(int fd)
{
    int on = 1, idle = 15, interval = 5, count = 3;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// Why nobody, or nobody more from there, gets a session now; NULL: welcome.
static const char *tcp_refusal(const struct ha_server *s, const struct ha_door_address *from)
{
    const char *why = ha_door_refusal(&s->door, from, drv_now_ms());
    if (why)
        return why;
    if (s->n_logons >= HA_MAX_LOGONS)
        return "too many log-ons at a time; try again";
    return s->n_tcp >= HA_MAX_TCP_SESSIONS ? "too many connections; try again" : NULL;
}

static void on_tcp(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int sa_len,
                   void *arg)
{
    (void)l;
    struct ha_server *s = arg;
    char host[64] = "?";
    char port[8] = "?";
    char name[96];
    getnameinfo(sa, (socklen_t)sa_len, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(name, sizeof name, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
    set_tcp_options(fd);
    struct ha_door_address from;
    ha_door_address(sa, &from);
    const char *why = tcp_refusal(s, &from);
    if (why)
        turn_away(fd, name, why, ha_door_may_log(&s->door, &from, drv_now_ms()));
    else
        ha_session_new(s, fd, HA_VIA_TCP, (uid_t)-1, &from, name);
}

// Out of descriptors, most likely: accepting again at once would spin.
static void enable_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct ha_server *s = arg;
    for (unsigned i = 0; i < s->n_listeners; i++)
        evconnlistener_enable(s->listeners[i]);
}

static void on_accept_error(struct evconnlistener *l, void *arg)
{
    struct ha_server *s = arg;
    struct timeval pause = {1, 0};
    drv_log(LOG_WARNING, "server.accept", F_STR("msg", strerror(errno)),
            F_STR("then", "retrying in 1 s"));
    if (!s->accept_again)
        return;
    evconnlistener_disable(l);
    event_add(s->accept_again, &pause);
}

// --- listening ---

static int add_listener(struct ha_server *s, int fd, evconnlistener_cb cb, const char *unix_path,
                        struct drv_err *err)
{
    unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC;
    if (s->n_listeners == DRV_ARRAY_LEN(s->listeners)) {
        close(fd);
        return drv_err(err, DRV_EINVAL, "more than %zu addresses to listen on",
                       DRV_ARRAY_LEN(s->listeners));
    }
    struct evconnlistener *l = evconnlistener_new(drv_loop_base(s->loop), cb, s, flags, 64, fd);
    if (!l) {
        int saved = errno;
        close(fd);
        return drv_err_os(err, saved, "listening");
    }
    evconnlistener_set_error_cb(l, on_accept_error);
    s->unix_paths[s->n_listeners] = drv_xstrdup(unix_path);
    s->listeners[s->n_listeners++] = l;
    return 0;
}

// 0 when nobody answers on the socket; a file that a dead agent left is removed.
static int clear_stale(const struct sockaddr_un *sa, struct drv_err *err)
{
    struct stat st;
    if (lstat(sa->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : drv_err_os(err, errno, "%s", sa->sun_path);
    if (!S_ISSOCK(st.st_mode))
        return drv_err(err, DRV_EEXIST, "%s is there and is not a socket", sa->sun_path);
    DRV_AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && (connect(fd, (const struct sockaddr *)sa, sizeof *sa) == 0 || errno == EAGAIN))
        return drv_err(err, DRV_EBUSY, "another agent answers on %s", sa->sun_path);
    if (unlink(sa->sun_path) < 0)
        return drv_err_os(err, errno, "removing the stale %s", sa->sun_path);
    return 0;
}

int ha_server_listen_unix(struct ha_server *s, const char *path, struct drv_err *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (drv_copy(sa.sun_path, sizeof sa.sun_path, path) < 0)
        return drv_err(err, DRV_EINVAL, "the socket path %s is too long", path);
    if (clear_stale(&sa, err) < 0)
        return -1;
    DRV_AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 || chmod(path, 0666) < 0)
        return drv_err_os(err, errno, "listening on %s", path);
    int listen_fd = fd;
    fd = -1;
    return add_listener(s, listen_fd, on_unix, path, err);
}

int ha_server_adopt_unix(struct ha_server *s, int fd, struct drv_err *err)
{
    return add_listener(s, fd, on_unix, NULL, err);
}

static int bind_tcp(const struct addrinfo *ai, const char *address, unsigned port,
                    struct drv_err *err)
{
    int on = 1;
    DRV_AUTO_CLOSE int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return drv_err_os(err, errno, "listening on %s port %u", address, port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (ai->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0)
        return drv_err_os(err, errno, "listening on %s port %u", address, port);
    int ret = fd;
    fd = -1;
    return ret;
}

static unsigned port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a = {0};
    socklen_t len = sizeof a;
    if (getsockname(fd, &a.any, &len) < 0)
        return 0;
    return ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
}

int ha_server_listen_tcp(struct ha_server *s, const char *address, unsigned port,
                         unsigned *ret_port, struct drv_err *err)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *ai = NULL;
    char service[16];
    snprintf(service, sizeof service, "%u", port);
    if (getaddrinfo(address, service, &hints, &ai) != 0)
        return drv_err(err, DRV_EINVAL, "%s is not an IP address to listen on", address);
    int fd = bind_tcp(ai, address, port, err);
    freeaddrinfo(ai);
    if (fd < 0)
        return -1;
    if (ret_port)
        *ret_port = port_of(fd);
    return add_listener(s, fd, on_tcp, NULL, err);
}
