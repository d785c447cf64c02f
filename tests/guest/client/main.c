// SPDX-License-Identifier: GPL-3.0-or-later
// guest-client: drives and watches the test guest over the network.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

enum {
    FAILED = 1,
    USAGE = 2,
};

static const char usage_text[] =
    "usage: guest-client watch IP (--seconds N | --until-signal) [--ack-log FILE]\n"
    "       guest-client ctl IP [--timeout SECONDS] COMMAND...\n"
    "       guest-client wait IP SECONDS\n"
    "\n"
    "watch prints one JSON object when it ends; it says \"watching\" on stderr when it has begun.\n"
    "Commands: mem MIB | dirty MIB_PER_S [full|sparse] | memcheck | disk DEV PER_S [SLOTS] |\n"
    "  verify DEV | blob DEV OFFSET_MIB LENGTH_MIB SEED | sum DEV OFFSET_MIB LENGTH_MIB |\n"
    "  discard DEV OFFSET_MIB LENGTH_MIB | stat | reboot | poweroff\n"
    "Exit: 0 good, 1 the guest did not do it or lost something, 2 bad usage or no guest.\n";

static int usage(void)
{
    fputs(usage_text, stderr);
    return USAGE;
}

static int complain(const char *what)
{
    fprintf(stderr, "guest-client: %s: %s\n", what, strerror(errno));
    return USAGE;
}

// A whole number of seconds from 1 to a day, or 0 when text is none.
static unsigned read_seconds(const char *text)
{
    char *end;
    unsigned long seconds = text ? strtoul(text, &end, 10) : 0;

    return text && *text && *end == '\0' && seconds <= 86400 ? (unsigned)seconds : 0;
}

static int run_watch(struct in_addr ip, char **args)
{
    struct watch_options options = {.ip = ip};
    bool until_signal = false;

    for (; *args; args++) {
        if (strcmp(*args, "--until-signal") == 0)
            until_signal = true;
        else if (strcmp(*args, "--seconds") == 0 && (options.seconds = read_seconds(args[1])) > 0)
            args++;
        else if (strcmp(*args, "--ack-log") == 0 && args[1])
            options.ack_log = *++args;
        else
            return usage();
    }
    return until_signal == (options.seconds > 0) ? usage() : watch_run(&options);
}

static int run_ctl(struct in_addr ip, char **args)
{
    unsigned timeout_s = CLIENT_DEFAULT_TIMEOUT_S;
    char command[CLIENT_ANSWER] = "";
    char answer[CLIENT_ANSWER];
    size_t used = 0;

    if (*args && strcmp(*args, "--timeout") == 0) {
        timeout_s = read_seconds(args[1]);
        if (timeout_s == 0)
            return usage();
        args += 2;
    }
    if (!*args)
        return usage();
    for (; *args; args++) {
        used += (size_t)snprintf(command + used, sizeof(command) - used, "%s%s", used ? " " : "",
                                 *args);
        if (used >= sizeof(command))
            return usage();
    }
    if (client_ask(ip, command, timeout_s * 1000, answer) != 0)
        return complain(command);
    puts(answer);
    return strncmp(answer, "ok", 2) == 0 ? 0 : FAILED;
}

static int run_wait(struct in_addr ip, char **args)
{
    unsigned seconds = read_seconds(args[0]);

    if (seconds == 0 || args[1])
        return usage();
    return client_wait(ip, seconds) == 0 ? 0 : complain("wait");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(struct in_addr ip, char **args);
    } verbs[] = {{"watch", run_watch}, {"ctl", run_ctl}, {"wait", run_wait}};
    struct in_addr ip;

    if (argc < 3 || inet_pton(AF_INET, argv[2], &ip) != 1)
        return usage();
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(ip, argv + 3);
    }
    return usage();
}
