// SPDX-License-Identifier: GPL-3.0-or-later
// What completion/drover.in asks: verbs, options and the kinds of values, as functions of bash. A
// kind is what the placeholder in the tables says: HOST, STORE, VM, FILE, "kvm|tcg", KEY=VALUE….
#include "man.h"

#include <ctype.h>
#include <string.h>

static bool is_word(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!islower((unsigned char)s[i]) && !isdigit((unsigned char)s[i]) && s[i] != '-')
            return false;
    return len > 0;
}

// One placeholder, up to a blank, as words for _drover_values: "@HOST", "kvm". What has commas is
// a small language of its own: nothing.
static void put_kind(FILE *out, const char *arg, size_t len)
{
    while (len > 0 && strchr("[(", *arg)) {
        arg++;
        len--;
    }
    for (size_t i = 0; i < len; i++)
        if (arg[i] == ',')
            return;
    while (len > 0) {
        size_t n = 0;
        while (n < len && arg[n] != '|')
            n++;
        if (is_word(arg, n)) {
            fprintf(out, " %.*s", (int)n, arg);
        } else {
            size_t name = 0;
            while (name < n && (isupper((unsigned char)arg[name]) || strchr("/=", arg[name])))
                name++;
            if (name)
                fprintf(out, " @%.*s", (int)name, arg);
        }
        arg += n + (n < len);
        len -= n + (n < len);
    }
}

static void put_verbs(FILE *out)
{
    fputs("_drover_verbs() {\n    case $1 in\n    '') echo", out);
    for (const struct cli_verb *v = cli_verbs; v->noun; v++)
        if (v == cli_verbs || strcmp(v->noun, v[-1].noun) != 0)
            fprintf(out, " %s", v->noun);
    fputs(" ;;\n", out);
    for (const struct cli_verb *v = cli_verbs; v->noun; v++) {
        if (!v->verb)
            continue;
        if (v == cli_verbs || strcmp(v->noun, v[-1].noun) != 0)
            fprintf(out, "    %s) echo", v->noun);
        fprintf(out, " %s", v->verb);
        if (!v[1].noun || strcmp(v->noun, v[1].noun) != 0)
            fputs(" ;;\n", out);
    }
    fputs("    esac\n}\n\n", out);
}

static void put_option_names(FILE *out, const struct argp_option *o)
{
    for (; o && o->name; o++)
        fprintf(out, " --%s", o->name);
}

static void put_options(FILE *out)
{
    fputs("_drover_options() {\n    case $1 in\n", out);
    for (const struct cli_verb *v = cli_verbs; v->noun; v++) {
        char name[64];
        if (!v->options)
            continue;
        man_verb_name(v, ' ', name, sizeof name);
        fprintf(out, "    '%s') echo", name);
        put_option_names(out, v->options);
        fputs(" ;;\n", out);
    }
    fputs("    esac\n    echo", out);
    put_option_names(out, cli_global_options);
    fputs(" --help\n}\n\n", out);
}

static void put_value_of(FILE *out, const char *verb, const struct argp_option *o)
{
    const struct argp_option *first = o;
    for (; o && o->name; o++) {
        first = o->flags & OPTION_ALIAS ? first : o;
        if (!first->arg || first->flags & OPTION_ARG_OPTIONAL)
            continue;
        fprintf(out, "    '%s --%s'", verb, o->name);
        if (isgraph(o->key))
            fprintf(out, " | '%s -%c'", verb, o->key);
        fputs(") echo", out);
        put_kind(out, first->arg, strlen(first->arg));
        fputs(" ;;\n", out);
    }
}

static void put_option_values(FILE *out)
{
    fputs("# Fails for what takes no value.\n"
          "_drover_option_value() {\n    case $1 in\n",
          out);
    for (const struct cli_verb *v = cli_verbs; v->noun; v++) {
        char name[64];
        man_verb_name(v, ' ', name, sizeof name);
        put_value_of(out, name, v->options);
    }
    fputs("    *) return 1 ;;\n    esac\n}\n"
          "_drover_global_value() {\n    case \" $1\" in\n",
          out);
    put_value_of(out, "", cli_global_options);
    fputs("    *) return 1 ;;\n    esac\n}\n\n", out);
}

// Each place of the words after the verb; the last for those that follow, if it repeats. Where a
// word may be left out, the next one may stand in its place.
static void put_args(FILE *out)
{
    fputs("_drover_arg() {\n    case \"$1 $2\" in\n", out);
    for (const struct cli_verb *v = cli_verbs; v->noun; v++) {
        char name[64];
        unsigned place = 1;
        man_verb_name(v, ' ', name, sizeof name);
        for (const char *a = v->args; a && *a; place++) {
            size_t len = strcspn(a, " ");
            const char *next = a + len + strspn(a + len, " ");
            bool repeats = !*next && v->max_pos > place;
            fprintf(out, repeats ? "    \"%s \"*) echo" : "    '%s %u') echo", name, place);
            put_kind(out, a, len);
            if (*a == '[' && *next)
                put_kind(out, next, strcspn(next, " "));
            fputs(" ;;\n", out);
            a = next;
        }
    }
    fputs("    esac\n}\n\n", out);
}

static void put_keys(FILE *out)
{
    fputs("_drover_keys() {\n    case $1 in\n", out);
    for (const struct cli_verb *v = cli_verbs; v->noun; v++) {
        const struct drv_option *o = man_keys(v);
        if (!o)
            continue;
        fprintf(out, "    '%s %s') echo", v->noun, v->verb);
        for (; o->name; o++)
            fprintf(out, " %s=", o->name);
        fputs(" ;;\n", out);
    }
    fputs("    esac\n}\n_drover_key_values() {\n    case $1 in\n", out);
    for (const struct cli_verb *v = cli_verbs; v->noun; v++)
        for (const struct drv_option *o = man_keys(v); o && o->name; o++) {
            if (o->type != DRV_OPT_BOOL && o->type != DRV_OPT_ENUM)
                continue;
            fprintf(out, "    '%s %s %s') echo", v->noun, v->verb, o->name);
            fputc(' ', out);
            for (const char *c = o->type == DRV_OPT_BOOL ? "on|off" : o->choices; *c; c++)
                fputc(*c == '|' ? ' ' : *c, out);
            fputs(" ;;\n", out);
        }
    fputs("    esac\n}\n", out);
}

void man_completion(FILE *out)
{
    put_verbs(out);
    put_options(out);
    put_option_values(out);
    put_args(out);
    put_keys(out);
}
