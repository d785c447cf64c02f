// SPDX-License-Identifier: GPL-3.0-or-later
// The ack port: every follower hears of every record, in order, as soon as it is safe.
//
// One lock covers the list of followers and each disk's latest state, so that a newcomer's hello
// and the acks after it have no gap between them.
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest.h"

enum {
    MAX_FOLLOWERS = 32,
    // Room for the acks of a long blackout: writers never wait for a follower.
    SEND_BUFFER_BYTES = 4 << 20,
};

static struct {
    pthread_mutex_t lock;
    int followers[MAX_FOLLOWERS];
    int count;
    struct tg_ack latest[TG_MAX_DISKS]; // hello lines; disk[0] == 0 while there is no ring
} acks = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool send_line(int fd, const struct tg_ack *ack)
{
    char line[TG_ACK_LINE];
    int length = tg_ack_print(line, ack);

    return send(fd, line, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) == length;
}

void acks_publish(unsigned index, const struct tg_ack *ack)
{
    pthread_mutex_lock(&acks.lock);
    if (ack->hello)
        acks.latest[index] = *ack;
    else
        acks.latest[index].seq = ack->seq;
    for (int i = 0; i < acks.count;) {
        if (send_line(acks.followers[i], ack)) {
            i++;
        } else {
            // Its serving thread sees the end and closes it.
            shutdown(acks.followers[i], SHUT_RDWR);
            acks.followers[i] = acks.followers[--acks.count];
        }
    }
    pthread_mutex_unlock(&acks.lock);
}

static bool add_follower(int fd)
{
    bool added = false;

    pthread_mutex_lock(&acks.lock);
    if (acks.count < MAX_FOLLOWERS) {
        added = true;
        for (int i = 0; added && i < TG_MAX_DISKS; i++)
            added = acks.latest[i].disk[0] == '\0' || send_line(fd, &acks.latest[i]);
        if (added)
            acks.followers[acks.count++] = fd;
    }
    pthread_mutex_unlock(&acks.lock);
    return added;
}

static void drop_follower(int fd)
{
    pthread_mutex_lock(&acks.lock);
    for (int i = 0; i < acks.count; i++) {
        if (acks.followers[i] == fd)
            acks.followers[i--] = acks.followers[--acks.count];
    }
    pthread_mutex_unlock(&acks.lock);
}

// What a follower says means nothing; reading tells when it is gone.
static void follow(int connection)
{
    int bytes = SEND_BUFFER_BYTES;
    char ignored[64];

    setsockopt(connection, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
    if (!add_follower(connection))
        return;
    while (read(connection, ignored, sizeof(ignored)) > 0)
        ;
    drop_follower(connection);
}

_Noreturn static void *serve_acks(void *unused)
{
    (void)unused;
    guest_serve(guest_listen(SOCK_STREAM, TG_PORT_ACKS), follow);
}

void acks_start(void)
{
    guest_thread(serve_acks, NULL);
}
