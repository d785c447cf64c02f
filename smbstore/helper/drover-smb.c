// SPDX-License-Identifier: GPL-3.0-or-later
// drover-smb smb://server/share[/folder] [timeout_ms]: works on the files of one SMB store that are
// no running VM's disk, for one caller, who speaks lines of JSON on standard input and output
// (ops.h). A process of its own because libsmbclient is not thread-safe, can wedge, and takes its
// credentials from KRB5CCNAME.
#include "copy.h"
#include "ops.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { LINE_BYTES = 1 << 20, DEFAULT_TIMEOUT_MS = 10000, MEMORY_BYTES = 256 << 20 };

// Standard output is for replies alone: whatever a library prints there goes to standard error.
static FILE *take_stdout(void)
{
    int fd = dup(STDOUT_FILENO);
    if (fd < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        return NULL;
    return fdopen(fd, "w");
}

// A server that never ends a listing must not cost the host its memory.
static void limit_memory(void)
{
#ifndef __SANITIZE_ADDRESS__ // its shadow counts as data
    const struct rlimit limit = {MEMORY_BYTES, MEMORY_BYTES};
    setrlimit(RLIMIT_DATA, &limit);
#endif
}

static int send_reply(FILE *out, json_t *reply)
{
    int rc = reply && json_dumpf(reply, out, JSON_COMPACT) == 0 && fputc('\n', out) != EOF ? 0 : -1;
    json_decref(reply);
    return fflush(out) == 0 ? rc : -1;
}

static int serve(struct conn *c, FILE *out)
{
    static char line[LINE_BYTES];
    while (fgets(line, sizeof line, stdin)) {
        if (!strchr(line, '\n')) {
            fprintf(stderr, "drover-smb: request too long\n");
            return 1;
        }
        if (send_reply(out, ops_handle(c, line)) < 0)
            return 1;
    }
    return 0;
}

int main(int argc, char *argv[])
{
    struct drv_err err = DRV_ERR_INIT;
    struct ss_url url;
    static struct conn conn;
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: drover-smb smb://server/share[/folder] [timeout_ms]\n");
        return 2;
    }
#ifndef __SANITIZE_ADDRESS__   // whose search for leaks wants to trace us
    prctl(PR_SET_DUMPABLE, 0); // tickets, and what is in users' folders: no core file
#endif
    long timeout_ms = argc == 3 ? strtol(argv[2], NULL, 10) : DEFAULT_TIMEOUT_MS;
    FILE *out = take_stdout();
    if (!out || timeout_ms < 1 || timeout_ms > 3600000 || ss_url_parse(argv[1], &url, &err) < 0 ||
        url.kind != SS_SMB || conn_init(&conn, &url, (int)timeout_ms, &err) < 0) {
        fprintf(stderr, "drover-smb: %s\n", err.code ? err.msg : "bad arguments");
        return 2;
    }
    limit_memory();
    int rc = serve(&conn, out);
    copy_end(&conn, false, NULL); // the caller went away in the middle of one
    return rc;
}
