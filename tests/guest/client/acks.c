// SPDX-License-Identifier: GPL-3.0-or-later
// Follows the sequence of acknowledged records of each disk and writes every line of it to the log.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client.h"

void acks_connected(struct acks *acks)
{
    acks->used = 0;
    for (int i = 0; i < TG_MAX_DISKS; i++)
        acks->disks[i].fresh = false;
}

static struct ack_disk *find_disk(struct acks *acks, const char *name)
{
    for (int i = 0; i < TG_MAX_DISKS; i++) {
        if (strcmp(acks->disks[i].hello.disk, name) == 0)
            return &acks->disks[i];
    }
    return NULL;
}

static bool take_hello(struct acks *acks, const struct tg_ack *ack)
{
    struct ack_disk *disk = find_disk(acks, ack->disk);

    if (!disk)
        disk = find_disk(acks, "");
    if (!disk)
        return false;
    // Further on is no loss: we may have missed acks while there was no connection.
    if (ack->seq < disk->last)
        acks->lost += disk->last - ack->seq;
    disk->hello = *ack;
    disk->fresh = true;
    disk->last = ack->seq;
    return true;
}

static bool take_ack(struct acks *acks, const struct tg_ack *ack)
{
    struct ack_disk *disk = find_disk(acks, ack->disk);

    if (!disk || !disk->fresh)
        return false;
    if (ack->seq <= disk->last)
        acks->reordered++;
    else
        acks->lost += ack->seq - disk->last - 1;
    disk->last = ack->seq;
    if (disk->first == 0)
        disk->first = ack->seq;
    disk->count++;
    acks->count++;
    return true;
}

static void take_line(struct acks *acks)
{
    struct tg_ack ack;

    if (!tg_ack_parse(acks->line, &ack) ||
        !(ack.hello ? take_hello(acks, &ack) : take_ack(acks, &ack))) {
        acks->malformed++;
        return;
    }
    if (acks->log)
        fprintf(acks->log, "%s\n", acks->line);
}

void acks_take(struct acks *acks, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '\n') {
            acks->line[acks->used] = '\0';
            acks->used = 0;
            take_line(acks);
        } else if (acks->used < sizeof(acks->line) - 1) {
            acks->line[acks->used++] = data[i];
        }
    }
    // An ack counts only once the log has it, also if we are killed the next moment.
    if (acks->log)
        fflush(acks->log);
}

void acks_report(const struct acks *acks, json_t *report)
{
    json_t *disks = json_object();

    for (int i = 0; i < TG_MAX_DISKS && acks->disks[i].hello.disk[0]; i++) {
        const struct ack_disk *disk = &acks->disks[i];

        json_object_set_new(disks, disk->hello.disk,
                            json_pack("{sI sI sI sI}", "acks", (json_int_t)disk->count, "first",
                                      (json_int_t)disk->first, "last", (json_int_t)disk->last,
                                      "slots", (json_int_t)disk->hello.slots));
    }
    json_object_set_new(report, "acks", json_integer((json_int_t)acks->count));
    json_object_set_new(report, "acks_lost", json_integer((json_int_t)acks->lost));
    json_object_set_new(report, "acks_reordered", json_integer((json_int_t)acks->reordered));
    json_object_set_new(report, "acks_malformed", json_integer((json_int_t)acks->malformed));
    json_object_set_new(report, "disks", disks);
}
