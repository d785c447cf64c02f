// SPDX-License-Identifier: GPL-3.0-or-later
// Arguments: argp collects what was given; each verb interprets its own. Global options stand
// before the verb or after it.
#include "cli.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_JSON = 0x1000, KEY_PLAIN, KEY_NO_INPUT, KEY_YES, KEY_NO_COLOR };

const struct argp_option cli_global_options[] = {
    {"host", 'H', "HOST[:PORT]", 0, "Ask this host's agent, not the local one", 100},
    {"json", KEY_JSON, NULL, 0, "One JSON object per line", 100},
    {"plain", KEY_PLAIN, NULL, 0, "Tab-separated values without a header", 100},
    {"quiet", 'q', NULL, 0, "Only errors, and what was asked for", 100},
    {"no-input", KEY_NO_INPUT, NULL, 0, "Never ask; fail where a question would be asked", 100},
    {"yes", KEY_YES, NULL, 0, "Answer yes to every question", 100},
    {"no-color", KEY_NO_COLOR, NULL, 0, "No colour (also: NO_COLOR, DROVER_NO_COLOR)", 100},
    {0},
};

static error_t parse_global(int key, char *arg, struct argp_state *state)
{
    struct cli *c = state->input;
    switch (key) {
    case 'H':
        c->host = arg;
        return 0;
    case KEY_JSON:
        c->json = true;
        return 0;
    case KEY_PLAIN:
        c->plain = true;
        return 0;
    case 'q':
        c->quiet = true;
        return 0;
    case KEY_NO_INPUT:
        c->no_input = true;
        return 0;
    case KEY_YES:
        c->yes = true;
        return 0;
    case KEY_NO_COLOR:
        c->no_color = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp global_argp = {.options = cli_global_options, .parser = parse_global};

// ---- before the verb ----

struct top {
    struct cli *cli;
    int verb_at; // index of the first word in argv, 0 = none
};

static error_t parse_top(int key, char *arg, struct argp_state *state)
{
    struct top *t = state->input;
    (void)arg;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = t->cli;
        return 0;
    case ARGP_KEY_ARG:
        t->verb_at = state->next - 1;
        state->next = state->argc; // the rest is the verb's
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

// The list of verbs, for `drover --help`.
static char *top_doc(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        abort();
    fputs("Moves running virtual machines between hosts.\n\n"
          "  drover vm list                     what runs here\n"
          "  drover check web01 --to hv2        could it, and how long would it pause?\n"
          "  drover move web01 --to hv2         move it while it runs\n\v"
          "Verbs (`drover help VERB` tells more, and so does `man drover`):\n",
          f);
    cli_list_verbs(NULL, f);
    fputs("\nExit status:\n", f);
    for (const struct cli_exit *e = cli_exits; e->text; e++)
        fprintf(f, "  %-4d%s\n", (int)e->status, e->text);
    fclose(f);
    return text;
}

static int parse_before_verb(struct cli *c, int argc, char **argv)
{
    const struct argp_child children[] = {{&global_argp, 0, NULL, 0}, {0}};
    DRV_AUTO_FREE char *doc = top_doc();
    const struct argp argp = {
        .parser = parse_top, .args_doc = "VERB …", .doc = doc, .children = children};
    struct top t = {.cli = c};
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &t);
    return t.verb_at;
}

// ---- after the verb ----

struct collect {
    struct cli *cli;
    struct cli_args *args;
};

static bool is_option_of(const struct cli_verb *v, int key)
{
    for (const struct argp_option *o = v->options; o && (o->name || o->key); o++)
        if (o->key == key)
            return true;
    return false;
}

static error_t parse_verb(int key, char *arg, struct argp_state *state)
{
    struct collect *s = state->input;
    struct cli_args *a = s->args;
    const struct cli_verb *v = s->cli->verb;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = s->cli;
        return 0;
    case ARGP_KEY_ARG:
        if (a->n_pos >= v->max_pos || a->n_pos >= CLI_POS_MAX)
            argp_error(state, "unexpected: %s", arg);
        else
            a->pos[a->n_pos++] = arg;
        return 0;
    case ARGP_KEY_END:
        if (a->n_pos < v->min_pos)
            argp_error(state, "missing: %s", v->args);
        return 0;
    default:
        if (!is_option_of(v, key))
            return ARGP_ERR_UNKNOWN;
        if (a->n_opt >= CLI_OPT_MAX)
            argp_error(state, "too many options");
        a->opt[a->n_opt].key = key;
        a->opt[a->n_opt++].value = arg ? arg : "";
        return 0;
    }
}

static void parse_after_verb(struct cli *c, int argc, char **argv, struct cli_args *ret)
{
    const struct argp_child children[] = {{&global_argp, 0, "Everywhere:", 0}, {0}};
    const struct cli_verb *v = c->verb;
    DRV_AUTO_FREE char *doc = drv_xasprintf("%s\n\n%s", v->summary, v->examples ? v->examples : "");
    const struct argp argp = {.options = v->options,
                              .parser = parse_verb,
                              .args_doc = v->args,
                              .doc = doc,
                              .children = children};
    struct collect s = {c, ret};
    if (v->usage_exit)
        argp_err_exit_status = v->usage_exit;
    argp_parse(&argp, argc, argv, 0, NULL, &s);
}

const char *cli_opt(const struct cli_args *a, int key)
{
    for (unsigned i = a->n_opt; i > 0; i--)
        if (a->opt[i - 1].key == key)
            return a->opt[i - 1].value;
    return NULL;
}

const char *cli_opt_next(const struct cli_args *a, int key, unsigned *at)
{
    while (*at < a->n_opt) {
        unsigned i = (*at)++;
        if (a->opt[i].key == key)
            return a->opt[i].value;
    }
    return NULL;
}

// `drover help VERB` is `drover VERB --help`. at: where "help" stands.
static void turn_help(int argc, char **argv, int at)
{
    static char option[] = "--help";
    for (int i = at; i + 1 < argc; i++)
        argv[i] = argv[i + 1];
    argv[argc - 1] = option;
}

int cli_main(int argc, char **argv)
{
    static char name[] = "drover";
    argp_program_version = "drover " DROVER_VERSION;
    argp_err_exit_status = DRV_EXIT_USAGE;
    setenv("ARGP_HELP_FMT", "no-dup-args-note", 0); // the note says what the option list shows
    struct cli c = {0};
    struct cli_args a = {0};
    if (argc > 0)
        argv[0] = name;
    int at = parse_before_verb(&c, argc, argv);
    if (at > 0 && !strcmp(argv[at], "help")) {
        turn_help(argc, argv, at);
        at = parse_before_verb(&c, argc, argv);
    }
    if (at == 0) {
        fputs("drover: which verb?\n  hint: drover --help lists them\n", stderr);
        return DRV_EXIT_USAGE;
    }
    int words = 0;
    c.verb = cli_find_verb(argc - at, argv + at, &words);
    if (!c.verb)
        return words < 0 ? DRV_EXIT_OK : DRV_EXIT_USAGE;
    // argp prints argv[0] in its messages: let it be the whole verb.
    int first = at + words - 1;
    DRV_AUTO_FREE char *title = drv_xasprintf(
        "drover %s%s%s", c.verb->noun, c.verb->verb ? " " : "", c.verb->verb ? c.verb->verb : "");
    argv[first] = title;
    parse_after_verb(&c, argc - first, argv + first, &a);
    int status = c.verb->run(&c, &a);
    cli_disconnect(&c);
    if (fflush(stdout) != 0 && status == DRV_EXIT_OK)
        status = DRV_EXIT_FAILED;
    return status;
}
