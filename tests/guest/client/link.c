// SPDX-License-Identifier: GPL-3.0-or-later
// A TCP connection that is made again when it breaks, and counts how often it did.
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

#define RETRY_NS (100 * NS_PER_MS)

void link_init(struct link *link, struct in_addr ip, enum tg_port port)
{
    memset(link, 0, sizeof(*link));
    link->fd = -1;
    link->peer = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr = ip, .sin_port = htons((uint16_t)port)};
}

// Drops the socket.  Only a connection that was made can break; a failed attempt is just tried
// again.
static void lose(struct link *link, int error, uint64_t now_ns)
{
    if (!link->connecting) {
        link->broken++;
        link->last_errno = error;
    }
    link->retry_at_ns = now_ns + RETRY_NS;
    link_close(link);
}

void link_try(struct link *link, uint64_t now_ns)
{
    int on = 1;

    if (link->fd >= 0 || now_ns < link->retry_at_ns)
        return;
    link->retry_at_ns = now_ns + RETRY_NS;
    link->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0)
        return;
    link->connecting = true;
    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(link->fd, (struct sockaddr *)&link->peer, sizeof(link->peer)) != 0 &&
        errno != EINPROGRESS)
        link_close(link);
}

short link_events(const struct link *link)
{
    if (link->fd < 0)
        return 0;
    return link->connecting ? POLLOUT : POLLIN;
}

bool link_ready(struct link *link, short revents, uint64_t now_ns)
{
    int error = 0;
    socklen_t size = sizeof(error);

    if (!link->connecting || revents == 0)
        return false;
    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
        lose(link, error, now_ns);
        return false;
    }
    link->connecting = false;
    link->made++;
    return true;
}

bool link_up(const struct link *link)
{
    return link->fd >= 0 && !link->connecting;
}

size_t link_read(struct link *link, void *buffer, size_t size, uint64_t now_ns)
{
    ssize_t n;

    if (!link_up(link))
        return 0;
    n = recv(link->fd, buffer, size, 0);
    if (n > 0)
        return (size_t)n;
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        lose(link, n == 0 ? 0 : errno, now_ns);
    return 0;
}

size_t link_write(struct link *link, const void *data, size_t size, uint64_t now_ns)
{
    ssize_t n;

    if (!link_up(link))
        return 0;
    n = send(link->fd, data, size, MSG_NOSIGNAL);
    if (n >= 0)
        return (size_t)n;
    if (errno != EAGAIN && errno != EINTR)
        lose(link, errno, now_ns);
    return 0;
}

void link_close(struct link *link)
{
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
    link->connecting = false;
}
