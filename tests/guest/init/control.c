// SPDX-License-Identifier: GPL-3.0-or-later
// The control port: one command a line, answered by one line that begins with "ok" or "err".
// A table says which arguments each command takes, so the commands themselves see checked values
// only.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest.h"

enum {
    MAX_NUMBERS = 3,
    LONGEST_LINE = 128,
    GOODBYE_MS = 100, // for the answer to leave before the guest does
};

#define MAX_NUMBER (UINT64_C(1) << 24) // MiB, records per second, seeds: all far below

struct call {
    struct disk *disk;
    const char *word;             // "" when left out
    uint64_t number[MAX_NUMBERS]; // 0 when left out
};

struct command {
    const char *name;
    const char *args; // a letter each: d disk, n number, w word
    size_t least;     // arguments that must be there
    bool (*run)(const struct call *call,
                char answer[GUEST_TEXT]); // fills what follows "ok" or "err"
};

static bool run_mem(const struct call *call, char answer[GUEST_TEXT])
{
    return memory_set(call->number[0], answer) == 0;
}

static bool run_dirty(const struct call *call, char answer[GUEST_TEXT])
{
    bool sparse = strcmp(call->word, "sparse") == 0;

    if (!sparse && call->word[0] != '\0' && strcmp(call->word, "full") != 0) {
        snprintf(answer, GUEST_TEXT, "%s is neither full nor sparse", call->word);
        return false;
    }
    memory_dirty(call->number[0], !sparse);
    return true;
}

static bool run_memcheck(const struct call *call, char answer[GUEST_TEXT])
{
    uint64_t pages;
    uint64_t bad = memory_check(&pages);

    (void)call;
    snprintf(answer, GUEST_TEXT, "bad=%" PRIu64 " pages=%" PRIu64, bad, pages);
    return bad == 0;
}

static bool run_disk(const struct call *call, char answer[GUEST_TEXT])
{
    return disk_write(call->disk, call->number[0], call->number[1], answer) == 0;
}

static bool run_verify(const struct call *call, char answer[GUEST_TEXT])
{
    return disk_verify(call->disk, answer) == 0;
}

static bool run_blob(const struct call *call, char answer[GUEST_TEXT])
{
    return disk_fill(call->disk, call->number[0], call->number[1], call->number[2], answer) == 0;
}

static bool run_discard(const struct call *call, char answer[GUEST_TEXT])
{
    return disk_discard(call->disk, call->number[0], call->number[1], answer) == 0;
}

static bool run_sum(const struct call *call, char answer[GUEST_TEXT])
{
    uint64_t sum;

    if (disk_sum(call->disk, call->number[0], call->number[1], &sum, answer) != 0)
        return false;
    snprintf(answer, GUEST_TEXT, "sum=%016" PRIx64, sum);
    return true;
}

static bool run_stat(const struct call *call, char answer[GUEST_TEXT])
{
    uint64_t up_ms = guest_now_ns() / 1000000;
    struct disk *disk;
    int used = snprintf(answer, GUEST_TEXT, "up=%" PRIu64 ".%03" PRIu64 " dirtied=%" PRIu64,
                        up_ms / 1000, up_ms % 1000, memory_dirtied());

    (void)call;
    for (unsigned i = 0; (disk = disk_at(i)); i++) {
        const char *name = disk_name(disk);
        struct disk_stat stat;

        disk_stat(disk, &stat);
        // Four disks at most, of less than 100 bytes each: this always fits.
        used += snprintf(answer + used, (size_t)(GUEST_TEXT - used),
                         " %s.seq=%" PRIu64 " %s.errors=%" PRIu64 " %s.maxlat_us=%" PRIu64, name,
                         stat.seq, name, stat.errors, name, stat.max_lat_us);
    }
    return true;
}

static const struct command commands[] = {
    {"mem", "n", 1, run_mem},      // MiB
    {"dirty", "nw", 1, run_dirty}, // MiB per second, full or sparse
    {"memcheck", "", 0, run_memcheck},
    {"disk", "dnn", 2, run_disk}, // records per second, slots
    {"verify", "d", 1, run_verify},
    {"blob", "dnnn", 4, run_blob},      // offset and length in MiB, seed
    {"discard", "dnn", 3, run_discard}, // offset and length in MiB
    {"sum", "dnn", 3, run_sum},         // offset and length in MiB
    {"stat", "", 0, run_stat},
    {"reboot", "", 0, NULL}, // these two are answered before they act: see talk()
    {"poweroff", "", 0, NULL},
};

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; name && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static bool read_number(const char *text, uint64_t *ret_number)
{
    char *end;

    errno = 0;
    *ret_number = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && *ret_number <= MAX_NUMBER;
}

// Reads the words left in *rest as the arguments of command.
static bool read_arguments(const struct command *command, char **rest, struct call *ret_call,
                           char answer[GUEST_TEXT])
{
    struct call call = {.word = ""};
    size_t numbers = 0;
    size_t given = 0;
    char *text;

    while ((text = strtok_r(NULL, " \t\r\n", rest))) {
        bool good = true;

        switch (command->args[given]) {
        case 'd':
            good = (call.disk = disk_find(text)) != NULL;
            break;
        case 'n':
            good = read_number(text, &call.number[numbers++]);
            break;
        case 'w':
            call.word = text;
            break;
        default: // the end of args
            good = false;
            break;
        }
        if (!good) {
            snprintf(answer, GUEST_TEXT, "%s: bad argument %s", command->name, text);
            return false;
        }
        given++;
    }
    if (given < command->least) {
        snprintf(answer, GUEST_TEXT, "%s: arguments are missing", command->name);
        return false;
    }
    *ret_call = call;
    return true;
}

// Obeys one line.  Returns the command when it is one that ends the guest once it is answered.
static const struct command *obey(char *line, FILE *out)
{
    char answer[GUEST_TEXT] = "";
    char *rest = NULL;
    const struct command *command = find_command(strtok_r(line, " \t\r\n", &rest));
    struct call call;
    bool good = false;

    if (!command)
        snprintf(answer, sizeof(answer), "unknown command");
    else if (read_arguments(command, &rest, &call, answer))
        good = !command->run || command->run(&call, answer);
    fprintf(out, "%s%s%s\n", good ? "ok" : "err", answer[0] ? " " : "", answer);
    fflush(out);
    return good && !command->run ? command : NULL;
}

static void talk(int connection)
{
    FILE *in = fdopen(dup(connection), "r");
    FILE *out = fdopen(dup(connection), "w");
    char line[LONGEST_LINE];

    while (in && out && fgets(line, sizeof(line), in)) {
        const struct command *last = obey(line, out);

        if (!last)
            continue;
        guest_sleep_ms(GOODBYE_MS);
        if (strcmp(last->name, "poweroff") == 0)
            guest_power_off("told to");
        sync();
        reboot(RB_AUTOBOOT);
    }
    if (in)
        fclose(in);
    if (out)
        fclose(out);
}

_Noreturn void control_run(void)
{
    guest_serve(guest_listen(SOCK_STREAM, TG_PORT_CONTROL), talk);
}
