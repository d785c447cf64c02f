// SPDX-License-Identifier: GPL-3.0-or-later
// Asking `drover-store --probe smb://server/share/file` what a share can do: the client that
// carries VM disks is the only one that flushes, punches holes and knows its cipher.
//
// The probe gets its ticket by KRB5CCNAME. It makes the file, which must not exist, measures with
// it and removes it. It prints one line, a JSON object, as its last, and exits with 0 when it has:
//   {"dialect":"3.1.1","encrypted":"AES-128-GCM","signing":"AES-128-GMAC","capabilities":47,
//    "share_capabilities":0,"max_read":8388608,"max_write":8388608,"flush_ms":0.81,
//    "answer_ms":0.29,"sparse":true,"ranges":true,"punch":true}
// encrypted, signing: as negotiated and in use, "" for none. capabilities: of the NEGOTIATE answer
// (MS-SMB2 2.2.4), share_capabilities: of TREE_CONNECT (2.2.10). flush_ms: the quickest of at
// least 20 FLUSHes, each after a write of 1 MiB; answer_ms: of as many answers
// to a question in between, which need no disk. (The quickest, as a busy server is slow for other
// reasons.) sparse: FSCTL_SET_SPARSE was taken; ranges:
// FSCTL_QUERY_ALLOCATED_RANGES told a hole from data; punch: FSCTL_SET_ZERO_DATA gave a range back,
// as ranges showed. More members may be added. Or it prints
//   {"error":{"code":"denied","msg":"…","hint":"…"}}
#ifndef DROVER_STOREPROBE_H
#define DROVER_STOREPROBE_H

#include "drover/err.h"
#include <stdbool.h>
#include <stdint.h>

enum { SS_CAP_MULTI_CHANNEL = 0x8, SS_SHARE_CAP_CONTINUOUS = 0x10 };

struct ss_probe {
    char dialect[8], encrypted[24], signing[24];
    uint32_t capabilities, share_capabilities, max_read, max_write;
    double flush_ms, answer_ms;
    bool sparse, ranges, punch;
};

// output: all that the program printed; its last line that begins with '{' counts. -1: what the
// program says went wrong, or DRV_EPEER.
int ss_probe_parse(const char *output, struct ss_probe *ret, struct drv_err *err);
// Blocking: worker threads only. ccache: "FILE:/run/…".
int ss_probe_run(const char *program, const char *url, const char *ccache, int timeout_ms,
                 struct ss_probe *ret, struct drv_err *err);

#endif
