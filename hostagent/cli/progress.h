// SPDX-License-Identifier: GPL-3.0-or-later
// A move's progress events as people watch them: a block of lines redrawn in place on a terminal, a
// line now and then in a log. Bars never run backwards; what does is told in figures.
#ifndef DROVER_PROGRESS_H
#define DROVER_PROGRESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum progress_mode { PROGRESS_NONE, PROGRESS_JSON, PROGRESS_LINES, PROGRESS_SCREEN };

struct progress_disk {
    char id[64];
    int64_t done, total; // of the last event
    unsigned permille;   // highest seen: the bar
    int64_t mark_done;   // for the rate, where the agent tells none
    int64_t mark_ms;
    int64_t rate_bps;
};

struct progress {
    enum progress_mode mode;
    FILE *out;
    const char *host; // as it was named to us, for commands; NULL = the local one
    bool stuck;       // of the last event
    unsigned columns; // width of the screen, set before each event
    char phase[32];   // the last event's
    int64_t phase_began_ms;
    unsigned drawn; // lines of the block on the screen
    int64_t line_due_ms, redraw_due_ms;
    struct progress_disk disks[8];
    unsigned n_disks;
};

enum { PROGRESS_LINE_EVERY_MS = 10000 };

void progress_init(struct progress *p, enum progress_mode mode, FILE *out, unsigned columns);
// One "move" event, borrowed. Members that are missing or of another type are left out.
void progress_event(struct progress *p, const json_t *event);
// Take the block off the screen; what is written next begins on a fresh line.
void progress_end(struct progress *p);

#endif
