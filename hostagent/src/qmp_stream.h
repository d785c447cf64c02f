// SPDX-License-Identifier: GPL-3.0-or-later
// The byte stream under QMP: a unix socket that carries one JSON object per line, bounded and with
// time-outs. Knows nothing of commands. One thread may receive while another sends.
#ifndef HOSTAGENT_QMP_STREAM_H
#define HOSTAGENT_QMP_STREAM_H

#include "drover/err.h"
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct qmp_stream {
    int fd;    // -1 = not connected
    char *buf; // received, not yet taken; the receiving thread's
    size_t len, cap, scanned;
};

// Connect, trying again until deadline_ms (drv_now_ms()) while the socket is missing or refuses.
// 0, or -1 DRV_EUNREACHABLE, DRV_EINVAL (path too long).
int qmp_stream_open(struct qmp_stream *s, const char *path, int64_t deadline_ms,
                    struct drv_err *err);
void qmp_stream_done(struct qmp_stream *s);

// The next object (new reference); timeout_ms -1 = wait for ever. NULL: DRV_ETIMEDOUT,
// DRV_EUNREACHABLE (closed), DRV_EPEER (no JSON object, or a line above QMP_LINE_MAX).
json_t *qmp_stream_receive(struct qmp_stream *s, int timeout_ms, struct drv_err *err);

// Send all of text, its first byte together with pass_fd (-1 = none). After -1 a message may be cut
// in the middle: the stream is of no more use.
int qmp_stream_send(struct qmp_stream *s, const char *text, size_t len, int pass_fd, int timeout_ms,
                    struct drv_err *err);

#endif
