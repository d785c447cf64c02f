// SPDX-License-Identifier: GPL-3.0-or-later
// drover jobs, attach, cancel, and following a move to its end.
//
// Ctrl-C, a hang-up or SIGTERM detach: the agent owns the move. The handler writes a text prepared
// beforehand and ends the program, which is all that a client has to do to detach.
#include "cli.h"

#include "progress.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { KEY_ACTIVE = 1, RETRY_MS = 2000, RETRIES = 15 };

const struct argp_option cli_jobs_options[] = {
    {"active", KEY_ACTIVE, NULL, 0, "Only those in progress or in need of attention", 0},
    {0},
};

int cli_jobs(struct cli *c, const struct cli_args *a)
{
    static const struct cli_column columns[] = {
        {"ID", "move", CLI_SHORT_ID},     {"VM", "vm", CLI_TEXT},
        {"FROM", "from", CLI_SHORT_HOST}, {"TO", "to", CLI_SHORT_HOST},
        {"STATE", "state", CLI_TEXT},     {"PHASE", "phase", CLI_TEXT},
        {"STARTED", "started", CLI_TIME}, {0},
    };
    bool active = cli_opt(a, KEY_ACTIVE);
    DRV_AUTO_JSON json_t *reply =
        cli_call(c, "move.list", json_pack("{s:b}", "active", active), CLI_CALL_MS);
    if (!reply)
        return c->status;
    cli_put_list(c, reply, columns);
    return DRV_EXIT_OK;
}

static bool begins_with(const json_t *row, const char *given)
{
    return !strncmp(drv_json_text(row, "move"), given, strlen(given));
}

static bool is_of_vm(const json_t *row, const char *given)
{
    return !strcmp(drv_json_text(row, "vm"), given);
}

// How many moves fit; the last one's id.
static unsigned find_moves(const json_t *list, bool (*fits)(const json_t *row, const char *given),
                           const char *given, char ret[DRV_UUID_LEN])
{
    size_t i;
    unsigned found = 0;
    json_t *row;
    json_array_foreach(list, i, row)
    {
        if (fits(row, given) && !drv_copy(ret, DRV_UUID_LEN, drv_json_text(row, "move")))
            found++;
    }
    return found;
}

int cli_move_id(struct cli *c, const char *given, char ret[DRV_UUID_LEN])
{
    struct drv_err err = DRV_ERR_INIT;
    if (drv_uuid_valid(given))
        return drv_copy(ret, DRV_UUID_LEN, given);
    DRV_AUTO_JSON json_t *active =
        cli_call(c, "move.list", json_pack("{s:b}", "active", 1), CLI_CALL_MS);
    if (!active)
        return -1;
    if (find_moves(active, is_of_vm, given, ret) == 1)
        return 0;
    DRV_AUTO_JSON json_t *list = cli_call(c, "move.list", NULL, CLI_CALL_MS);
    if (!list)
        return -1;
    unsigned found = find_moves(list, begins_with, given, ret);
    if (found == 1)
        return 0;
    if (found == 0)
        drv_err(&err, DRV_ENOTFOUND, "there is no move %s, and no VM of that name is being moved",
                given);
    else
        drv_err(&err, DRV_EINVAL, "%u moves begin with %s", found, given);
    drv_err_hint(&err,
                 found ? "`drover jobs --plain` prints whole ids" : "`drover jobs` lists them");
    c->status = cli_error(c, &err);
    return -1;
}

int cli_cancel(struct cli *c, const struct cli_args *a)
{
    char id[DRV_UUID_LEN];
    if (cli_move_id(c, a->pos[0], id))
        return c->status;
    DRV_AUTO_JSON json_t *reply =
        cli_call(c, "move.cancel", json_pack("{s:s}", "move", id), CLI_CALL_MS);
    if (!reply)
        return c->status;
    if (c->json)
        cli_put_json(reply);
    const char *state = json_string_value(json_object_get(reply, "state"));
    cli_say(
        c, "Move %.8s is %s. The VM keeps running where it is; `drover attach %.8s` shows the end.",
        id, state ? state : "being cancelled", id);
    return DRV_EXIT_OK;
}

// ---- detaching ----

static char detach_text[1024];

static void on_signal(int sig)
{
    (void)sig;
    ssize_t n = write(STDERR_FILENO, detach_text, strlen(detach_text));
    (void)n;
    _exit(DRV_EXIT_INTERRUPTED);
}

void cli_detach_on_signals(const struct cli *c, const char *move)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    const char *opt = c->host ? " -H " : "", *host = c->host ? c->host : "";
    struct sigaction act = {.sa_handler = on_signal};
    sigset_t set, old;
    sigfillset(&act.sa_mask);
    sigemptyset(&set);
    for (unsigned i = 0; i < DRV_ARRAY_LEN(signals); i++)
        sigaddset(&set, signals[i]);
    sigprocmask(SIG_BLOCK, &set, &old); // the text must be whole when a handler reads it
    if (move)
        snprintf(detach_text, sizeof detach_text,
                 "\nDetached: the move goes on.\n"
                 "  follow it:  drover%s%s attach %s\n"
                 "  cancel it:  drover%s%s cancel %s\n",
                 opt, host, move, opt, host, move);
    else
        snprintf(detach_text, sizeof detach_text,
                 "\nInterrupted. If the move has begun, it goes on:  drover%s%s jobs\n", opt, host);
    for (unsigned i = 0; i < DRV_ARRAY_LEN(signals); i++)
        sigaction(signals[i], &act, NULL);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

// ---- results ----

bool cli_result_error(const json_t *result, struct drv_err *ret, const char **ret_phase)
{
    json_t *e = json_object_get(result, "error");
    const char *id = "", *code = "", *phase = "", *msg = "", *hint = "";
    if (!json_is_object(e))
        return false;
    json_unpack(e, "{s?s, s?s, s?s, s?s, s?s}", "id", &id, "code", &code, "phase", &phase, "msg",
                &msg, "hint", &hint);
    *ret = (struct drv_err)DRV_ERR_INIT;
    drv_err(ret, drv_code_from_name(code), "%s", msg);
    drv_err_id(ret, id);
    drv_err_hint(ret, "%s", hint);
    *ret_phase = phase;
    return true;
}

int cli_result_exit(const json_t *result)
{
    static const struct {
        const char *state;
        int exit;
    } states[] = {
        {"done", DRV_EXIT_OK},
        {"cancelled", DRV_EXIT_CANCELLED},
        {"attention", DRV_EXIT_ATTENTION},
        {"refused", DRV_EXIT_REFUSED},
    };
    const char *state = json_string_value(json_object_get(result, "state"));
    for (unsigned i = 0; state && i < DRV_ARRAY_LEN(states); i++)
        if (!strcmp(state, states[i].state))
            return states[i].exit;
    struct drv_err err;
    const char *phase;
    // Turned away before anything was touched: the cause decides. Later it is a failure.
    if (state && !strcmp(state, "failed") && cli_result_error(result, &err, &phase) &&
        (!*phase || !strcmp(phase, "check") || !strcmp(phase, "reserve")))
        return (int)drv_err_exit(&err);
    return state && !strcmp(state, "failed") ? DRV_EXIT_FAILED : DRV_EXIT_ATTENTION;
}

static double number(const json_t *obj, const char *key)
{
    return json_number_value(json_object_get(obj, key));
}

static bool is_storage(const json_t *r)
{
    const char *kind = json_string_value(json_object_get(r, "kind"));
    return kind && !strcmp(kind, "storage");
}

static void put_done(const struct cli *c, const json_t *r)
{
    const char *vm = "the VM", *to = "the destination";
    json_unpack((json_t *)r, "{s?s, s?s}", "vm", &vm, "to", &to);
    if (is_storage(r)) {
        cli_say(c, "%s has its disks where they were to go: %s in %s. It was paused for %s.", vm,
                drv_fmt_bytes((int64_t)number(r, "disk_bytes")).s,
                drv_fmt_ms(number(r, "total_ms")).s, drv_fmt_ms(number(r, "blackout_ms")).s);
        return;
    }
    cli_say(c, "%s runs on %.*s. It was paused for %s (predicted %s); the move took %s.", vm,
            (int)strcspn(to, "."), to, drv_fmt_ms(number(r, "blackout_ms")).s,
            drv_fmt_ms(number(r, "predicted_blackout_ms")).s, drv_fmt_ms(number(r, "total_ms")).s);
    cli_say(c, "Memory %s in %.0f passes, disks %s, %s.",
            drv_fmt_bytes((int64_t)number(r, "memory_bytes")).s, number(r, "passes"),
            drv_fmt_bytes((int64_t)number(r, "disk_bytes")).s,
            json_is_true(json_object_get(r, "encrypted")) ? "encrypted" : "NOT encrypted");
}

// How a move ended that is not done. Only what the result says is claimed.
static void put_not_done(const struct cli *c, const char *state, const json_t *r)
{
    const char *vm = "the VM", *from = "its host";
    json_unpack((json_t *)r, "{s?s, s?s}", "vm", &vm, "from", &from);
    if (is_storage(r) && (!strcmp(state, "cancelled") || !strcmp(state, "failed")))
        cli_say(c, "%s%s runs on with its disks where they were.",
                !strcmp(state, "cancelled") ? "Cancelled: " : "", vm);
    else if (!strcmp(state, "cancelled"))
        cli_say(c, "Cancelled: %s stays on %.*s, as before.", vm, (int)strcspn(from, "."), from);
    else if (!strcmp(state, "failed"))
        cli_say(c, "%s stays on %.*s, as before.", vm, (int)strcspn(from, "."), from);
    else if (!strcmp(state, "refused"))
        cli_say(c, "The destination did not take %s: its source, %.*s, tells how the move ended.",
                vm, (int)strcspn(from, "."), from);
    else
        fprintf(stderr,
                "drover: the move is in state \"%s\": it is not clear who owns the VM\n"
                "  hint: `drover vm show VM` on both hosts tells what the owner record says\n",
                state);
}

void cli_put_result(const struct cli *c, const json_t *r)
{
    struct drv_err err;
    const char *phase, *state = json_string_value(json_object_get(r, "state"));
    if (c->json) {
        cli_put_json(r);
        return;
    }
    if (state && !strcmp(state, "done")) {
        put_done(c, r);
        return;
    }
    if (cli_result_error(r, &err, &phase)) {
        if (*phase)
            drv_err_prefix(&err, "phase %s", phase);
        cli_error(c, &err);
    }
    put_not_done(c, state ? state : "unknown", r);
}

// ---- following ----

struct follow {
    struct progress progress;
    const char *move;
    bool seen; // the agent was reached at least once
    bool lost; // and given up on
};

static unsigned screen_columns(void)
{
    struct winsize ws;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0 ? ws.ws_col : 80;
}

static void on_event(const json_t *event, void *arg)
{
    struct follow *f = arg;
    const char *kind = json_string_value(json_object_get(event, "event"));
    const char *move = json_string_value(json_object_get(event, "move"));
    if (!kind || strcmp(kind, "move") != 0 || !move || strcmp(move, f->move) != 0)
        return;
    if (f->progress.mode == PROGRESS_SCREEN)
        f->progress.columns = screen_columns(); // it may have been resized
    progress_event(&f->progress, event);
}

static enum progress_mode mode_for(const struct cli *c)
{
    const char *term = getenv("TERM");
    if (c->json)
        return PROGRESS_JSON;
    if (c->quiet)
        return PROGRESS_NONE;
    if (c->plain || !isatty(STDOUT_FILENO) || !term || !*term || !strcmp(term, "dumb"))
        return PROGRESS_LINES;
    return PROGRESS_SCREEN;
}

// Attach until the result comes. An agent that is lost on the way, as when it is restarted, is
// asked again for half a minute.
static json_t *attach(struct cli *c, struct follow *f, struct drv_err *err)
{
    for (int attempt = 0;; attempt++) {
        drv_err_clear(err);
        if (!cli_connect(c, err)) {
            f->seen = true;
            drv_client_on_event(c->client, on_event,
                                f); // before the call: events come with its answer
            json_t *result = cli_try(c, "move.attach", json_pack("{s:s}", "move", f->move), 0, err);
            if (result || err->code != DRV_EUNREACHABLE)
                return result;
        }
        f->lost = f->seen && attempt == RETRIES;
        if (!f->seen || f->lost)
            return NULL;
        progress_end(&f->progress);
        if (attempt == 0)
            fprintf(stderr, "drover: %s; trying again\n", err->msg);
        cli_disconnect(c);
        drv_sleep_ms(RETRY_MS);
    }
}

json_t *cli_follow(struct cli *c, const char *move)
{
    struct follow f = {.move = move};
    struct drv_err err = DRV_ERR_INIT;
    progress_init(&f.progress, mode_for(c), stdout, screen_columns());
    f.progress.host = c->host;
    cli_detach_on_signals(c, move);
    if (f.progress.mode == PROGRESS_SCREEN || f.progress.mode == PROGRESS_LINES)
        printf("Move %s. Ctrl-C detaches; the move goes on.\n", move);
    fflush(stdout);
    json_t *result = attach(c, &f, &err);
    progress_end(&f.progress);
    if (!result) {
        c->status = cli_error(c, &err);
        if (f.lost)
            on_signal(0); // nobody here knows how it ends: the same as detaching
    }
    return result;
}

int cli_attach(struct cli *c, const struct cli_args *a)
{
    char id[DRV_UUID_LEN];
    struct drv_err err = DRV_ERR_INIT;
    if (cli_connect(c, &err))
        return cli_error(c, &err);
    if (cli_move_id(c, a->pos[0], id))
        return c->status;
    DRV_AUTO_JSON json_t *result = cli_follow(c, id);
    if (!result)
        return c->status;
    cli_put_result(c, result);
    return cli_result_exit(result);
}
