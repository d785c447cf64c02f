// SPDX-License-Identifier: GPL-3.0-or-later
// guest-imgcheck: did the disk keep every record that the guest was told is safe?
//
// Compares the image of a disk that nobody writes to any more with the acks that guest-client
// logged. The guest's own word is not asked for.
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/abi.h"
#include "../common/ring.h"

enum {
    LOST = 1,
    UNCHECKED = 2, // bad usage, or nothing that could be checked
};

extern char **environ;

// What the log says about one disk.
struct log_summary {
    uint64_t acked; // records acknowledged
    uint64_t last;  // highest of them
    uint64_t slots; // of the last ring, 0: no hello seen
    uint64_t first; // number in that ring
};

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "guest-imgcheck: %s: %s\n", what, why);
    return -1;
}

static int read_log(const char *path, const char *disk, struct log_summary *ret_summary)
{
    struct log_summary summary = {0};
    FILE *file = fopen(path, "re");
    char line[TG_ACK_LINE];

    if (!file)
        return complain(path, strerror(errno));
    while (fgets(line, sizeof(line), file)) {
        struct tg_ack ack;

        // A client that was killed may leave half a line at the end: an ack that it did not count.
        if (!strchr(line, '\n'))
            break;
        if (!tg_ack_parse(line, &ack)) {
            fclose(file);
            return complain(path, "not a log of acks");
        }
        if (strcmp(ack.disk, disk) != 0)
            continue;
        if (ack.hello) {
            summary.slots = ack.slots;
            summary.first = ack.first;
        } else {
            summary.acked++;
        }
        // A hello's number was acknowledged as well, if to somebody else.
        if (ack.seq > summary.last)
            summary.last = ack.seq;
    }
    fclose(file);
    if (summary.acked == 0)
        return complain(path, "holds no ack of this disk");
    *ret_summary = summary;
    return 0;
}

// ---- images that are not raw ----

static bool is_qcow2(int fd)
{
    char magic[4];

    return pread(fd, magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) &&
           memcmp(magic, "QFI\xfb", sizeof(magic)) == 0;
}

static int run_convert(const char *from, const char *to)
{
    char program[] = "qemu-img";
    char convert[] = "convert", f[] = "-f", qcow2[] = "qcow2", o[] = "-O", raw[] = "raw";
    char *source = strdup(from), *target = strdup(to);
    char *args[] = {program, convert, f, qcow2, o, raw, source, target, NULL};
    int status = -1;
    pid_t pid;

    if (source && target && posix_spawnp(&pid, program, NULL, NULL, args, environ) == 0)
        waitpid(pid, &status, 0);
    free(source);
    free(target);
    return status == 0 ? 0 : complain(from, "qemu-img convert failed");
}

// Opens a raw copy of a qcow2 image, already unlinked.
static int open_converted(const char *path)
{
    const char *folder = getenv("TMPDIR");
    char copy[512];
    int fd;

    snprintf(copy, sizeof(copy), "%s/guest-imgcheck-XXXXXX", folder ? folder : "/var/tmp");
    fd = mkstemp(copy);
    if (fd < 0)
        return complain(copy, strerror(errno));
    if (run_convert(path, copy) != 0) {
        close(fd);
        fd = -1;
    }
    unlink(copy);
    return fd;
}

static int open_image(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return complain(path, strerror(errno));
    if (is_qcow2(fd)) {
        close(fd);
        fd = open_converted(path);
    }
    return fd;
}

// ---- the check ----

static void print(const struct log_summary *log, const struct tg_verdict *verdict, uint64_t highest)
{
    json_t *report =
        json_pack("{si sI sI sI sI sI sI sI}", "schema", 1, "writes_acked", (json_int_t)log->acked,
                  "writes_lost", (json_int_t)verdict->lost, "corrupt", (json_int_t)verdict->corrupt,
                  "checked", (json_int_t)verdict->checked, "last_acked", (json_int_t)log->last,
                  "last_found", (json_int_t)highest, "slots", (json_int_t)log->slots);

    json_dumpf(report, stdout, JSON_PRESERVE_ORDER | JSON_COMPACT);
    putchar('\n');
    json_decref(report);
}

// Returns the exit status.
static int check(int fd, const char *path, const struct log_summary *log)
{
    struct tg_verdict verdict = {0};
    uint64_t slots = 0, first = 0, highest = 0, last;
    uint64_t *seqs = calloc(log->slots + 1, sizeof(*seqs));
    int header = tg_ring_load(fd, &slots, &first);

    if (!seqs || header < 0 || (header == 1 && tg_ring_scan(fd, log->slots, seqs) != 0)) {
        complain(path, strerror(errno));
        free(seqs);
        return UNCHECKED;
    }
    if (header == 0 || slots != log->slots || first != log->first) {
        // The guest said hello only once the header was safe: with it, everything is gone.
        complain(path, "holds another ring than the log tells of, or none");
        verdict.lost = log->acked;
    } else {
        // Records after the last logged ack are checked as well: the guest writes each only once
        // the one before is safe.
        highest = tg_ring_highest(seqs, slots);
        last = highest > log->last ? highest : log->last;
        verdict = tg_ring_judge(seqs, slots, first, last, true);
    }
    free(seqs);
    print(log, &verdict, highest);
    return verdict.lost || verdict.corrupt || verdict.ahead ? LOST : 0;
}

int main(int argc, char **argv)
{
    const char *disk = "vda";
    struct log_summary log;
    int fd, status;

    if (argc == 5 && strcmp(argv[3], "--disk") == 0) {
        disk = argv[4];
    } else if (argc != 3) {
        fprintf(stderr,
                "usage: guest-imgcheck IMAGE ACKFILE [--disk vda]\n"
                "IMAGE is raw or qcow2 and not in use; ACKFILE is what guest-client wrote.\n"
                "Exit: 0 nothing lost, 1 writes lost or corrupt, 2 could not check.\n");
        return UNCHECKED;
    }
    if (read_log(argv[2], disk, &log) != 0 || (fd = open_image(argv[1])) < 0)
        return UNCHECKED;
    status = check(fd, argv[1], &log);
    close(fd);
    return status;
}
