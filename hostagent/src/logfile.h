// SPDX-License-Identifier: GPL-3.0-or-later
// A log of one thing, kept in two files of bounded size: PATH, and PATH.1 with what came before it.
// Knows nothing of VMs. What is written comes from QEMU, from guests by way of QEMU, and from
// peers: control characters are written out as \xHH and bytes that are no UTF-8 become '?', so that
// a line is a line wherever it is shown. Nothing is flushed to the disk for its sake. Any thread
// (one lock for all logs of the process); blocks on files.
//
// A line: "2026-11-26T20:05:50.123Z SOURCE TEXT".
#ifndef HOSTAGENT_LOGFILE_H
#define HOSTAGENT_LOGFILE_H

#include "drover/err.h"
#include "drover/util.h"
#include <stdbool.h>

enum {
    HA_LOGFILE_BYTES = 256 * 1024, // of each of the two
    HA_LOGFILE_LINE = 8 * 1024,    // a longer text is cut
    HA_LOGFILE_ANSWER = 384 * 1024 // of text in one answer: as JSON it fits a frame
};

// Write a line. at_ms: wall clock, ms since 1970. source: one word, at most 31 bytes. text: at its
// newlines it becomes several lines. A log that cannot be written is nobody's failure: nothing is
// said.
void ha_logfile_add(const char *path, int64_t at_ms, const char *source, const char *text);

// Move what another process has appended to the file `from` into the log. Whole lines only, but for
// `rest`: then all. Each line's time is its own if it begins with one as QEMU's do, else now_ms; a
// priority in front ("<5>") goes, and with it lines that are less than notices. The writer may go
// on meanwhile: what was taken becomes a hole in its file, so that the next call begins behind it
// and the file takes no space. Of more than HA_LOGFILE_BYTES the beginning is left out, and it is
// said.
void ha_logfile_take(const char *path, const char *source, const char *from, bool rest,
                     int64_t now_ms);

// The newest lines, at most `lines`, as [{at,source,text}]; with `after` ("" or NULL = none), a
// text that an earlier call returned in ret_next, those since then, the oldest first, at most
// `lines`. No such log: none. ret_next: for the next call.
json_t *ha_logfile_read(const char *path, unsigned lines, const char *after, char ret_next[64]);

// Both files. Absent is no error.
void ha_logfile_remove(const char *path);

#endif
