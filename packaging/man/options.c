// SPDX-License-Identifier: GPL-3.0-or-later
// Options of commands (argp's tables) and of files and verbs (struct drv_option) as lists.
#include "man.h"

#include <ctype.h>

static void put_name(FILE *out, const struct argp_option *o, const char *arg, int flags)
{
    fputs("\\fB\\-\\-", out);
    man_inline(out, o->name);
    fputs("\\fR", out);
    if (arg) {
        fputs(flags & OPTION_ARG_OPTIONAL ? "[=" : "=", out);
        fputs("\\fI", out);
        man_inline(out, arg);
        fputs("\\fR", out);
        if (flags & OPTION_ARG_OPTIONAL)
            fputc(']', out);
    }
}

static bool is_end(const struct argp_option *o)
{
    return !o->name && !o->key;
}

static void put_items(FILE *out, const struct argp_option *o)
{
    while (!is_end(o)) {
        const struct argp_option *first = o;
        fputs(".It ", out);
        if (isgraph(first->key))
            fprintf(out, "\\fB\\-%c\\fR, ", first->key);
        put_name(out, o++, first->arg, first->flags);
        for (; !is_end(o) && o->flags & OPTION_ALIAS; o++) {
            if (o->flags & OPTION_HIDDEN)
                continue;
            fputs(", ", out);
            put_name(out, o, first->arg, first->flags);
        }
        fputc('\n', out);
        man_prose(out, first->doc ? first->doc : "");
    }
}

void man_options(FILE *out, const struct argp_option *table)
{
    fputs(".Bl -tag -width Ds\n", out);
    put_items(out, table);
    fputs(".El\n", out);
}

void man_program(FILE *out, const struct argp *argp)
{
    static const struct argp_option of_argp[] = {
        {"help", '?', NULL, 0, "Print a summary of options.", 0},
        {"usage", 0x100, NULL, 0, "Print a short usage message.", 0},
        {"version", 'V', NULL, 0, "Print the version.", 0},
        {0},
    };
    fputs(".Bl -tag -width Ds\n", out);
    put_items(out, argp->options);
    put_items(out, of_argp);
    fputs(".El\n", out);
}

void man_settings(FILE *out, const struct drv_option *table)
{
    fputs(".Bl -tag -width Ds\n", out);
    for (const struct drv_option *o = table; o->name; o++) {
        char want[256];
        drv_conf_expects(o, want, sizeof want);
        fprintf(out, ".It Va %s\n", o->name);
        man_prose(out, o->text);
        fputs(".br\nExpects ", out);
        man_inline(out, want);
        fputs("; default: ", out);
        man_inline(out, *o->def ? o->def : "empty");
        fputs(o->reloadable ? ".\n" : "; a change needs a restart.\n", out);
    }
    fputs(".El\n", out);
}
