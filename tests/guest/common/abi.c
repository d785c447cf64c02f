// SPDX-License-Identifier: GPL-3.0-or-later
// The lines of the ack port, see abi.h.
#include "abi.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ring.h"

int tg_ack_print(char line[TG_ACK_LINE], const struct tg_ack *ack)
{
    if (ack->hello)
        return snprintf(line, TG_ACK_LINE,
                        "hello %s slots=%" PRIu64 " first=%" PRIu64 " seq=%" PRIu64 "\n", ack->disk,
                        ack->slots, ack->first, ack->seq);
    return snprintf(line, TG_ACK_LINE, "%s %" PRIu64 "\n", ack->disk, ack->seq);
}

bool tg_ack_parse(const char *line, struct tg_ack *ret_ack)
{
    struct tg_ack ack = {0};
    int end = -1;

    if (strncmp(line, "hello ", 6) == 0) {
        ack.hello = true;
        if (sscanf(line, "hello %7s slots=%" SCNu64 " first=%" SCNu64 " seq=%" SCNu64 "%n",
                   ack.disk, &ack.slots, &ack.first, &ack.seq, &end) != 4)
            return false;
        if (ack.slots < TG_MIN_SLOTS || ack.slots > TG_MAX_SLOTS || ack.first == 0)
            return false;
    } else if (sscanf(line, "%7s %" SCNu64 "%n", ack.disk, &ack.seq, &end) != 2 || ack.seq == 0) {
        return false;
    }
    if (end < 0 || (line[end] != '\0' && line[end] != '\n'))
        return false;
    *ret_ack = ack;
    return true;
}
