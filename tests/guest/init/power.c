// SPDX-License-Identifier: GPL-3.0-or-later
// The ACPI power button, seen as a key of an input device.
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "guest.h"

enum { MAX_INPUTS = 8 };

static void *watch_button(void *unused)
{
    struct pollfd inputs[MAX_INPUTS];
    nfds_t count = 0;

    (void)unused;
    for (int i = 0; i < MAX_INPUTS; i++) {
        char path[32];
        int fd;

        snprintf(path, sizeof(path), "/dev/input/event%d", i);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            inputs[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    while (count > 0 && poll(inputs, count, -1) > 0) {
        for (nfds_t i = 0; i < count; i++) {
            struct input_event event;

            if (!inputs[i].revents)
                continue;
            if (read(inputs[i].fd, &event, sizeof(event)) != sizeof(event))
                return NULL;
            if (event.type == EV_KEY && event.code == KEY_POWER && event.value == 1)
                guest_power_off("power button");
        }
    }
    return NULL;
}

void power_start(void)
{
    guest_thread(watch_button, NULL);
}
