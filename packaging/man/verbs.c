// SPDX-License-Identifier: GPL-3.0-or-later
// The verbs of drover: a page each, and their list.
#include "man.h"

#include "agent.h"
#include "tables.h"
#include "vm_set.h"
#include <string.h>

void man_verb_name(const struct cli_verb *v, char between, char *ret, size_t size)
{
    if (v->verb)
        snprintf(ret, size, "%s%c%s", v->noun, between, v->verb);
    else
        snprintf(ret, size, "%s", v->noun);
}

const struct drv_option *man_keys(const struct cli_verb *v)
{
    if (!v->verb || strcmp(v->verb, "set") != 0)
        return NULL;
    return !strcmp(v->noun, "host")    ? ha_setting_options
           : !strcmp(v->noun, "store") ? ha_store_options
           : !strcmp(v->noun, "vm")    ? ha_vm_options
                                       : NULL;
}

// ---- who may ----

static const struct ha_call *find_call(const char *name)
{
    for (const struct ha_call *const *t = ha_call_tables; *t; t++)
        for (const struct ha_call *c = *t; c->name; c++)
            if (!strcmp(c->name, name))
                return c;
    return NULL;
}

static void put_role(FILE *out, const struct cli_verb *v)
{
    char name[64];
    const struct cli_about *about = cli_about(v);
    man_verb_name(v, '.', name, sizeof name);
    const struct ha_call *c = find_call(about && about->call ? about->call : name);
    if (!c)
        return;
    fputs(".Sh AUTHORISATION\n", out);
    if (c->who & HA_ANY)
        fputs("Everybody who can log on may ask.\n", out);
    else
        fprintf(out, "Needs the role %s%s.\n",
                c->who & HA_VIEWER     ? "viewer"
                : c->who & HA_OPERATOR ? "operator"
                                       : "admin",
                c->who & (HA_VIEWER | HA_OPERATOR) ? ", or one above it" : "");
    if (c->needs_kerberos)
        fputs("A Kerberos ticket is needed, by root on the host itself, too.\n", out);
    else
        fputs("On the host itself root may do it without a ticket.\n", out);
}

// ---- pages ----

static void put_synopsis(FILE *out, const struct cli_verb *v)
{
    char name[64];
    man_verb_name(v, ' ', name, sizeof name);
    fprintf(out, ".Sh SYNOPSIS\n.Nm drover %s\n", name);
    if (v->options)
        fputs(".Op Ar option ...\n", out);
    if (v->args) {
        fputs(".Ar ", out);
        man_inline(out, v->args);
        fputc('\n', out);
    }
}

static void put_see_also(FILE *out, const struct cli_verb *v)
{
    char name[64];
    fputs(".Sh SEE ALSO\n.Xr drover 1 ,\n", out);
    // The other verbs of the noun, in the order of the alphabet as mdoc wants it.
    const char *last = "";
    for (;;) {
        const struct cli_verb *next = NULL;
        for (const struct cli_verb *o = cli_verbs; o->noun; o++)
            if (v->verb && o != v && !strcmp(o->noun, v->noun) && strcmp(o->verb, last) > 0 &&
                (!next || strcmp(o->verb, next->verb) < 0))
                next = o;
        if (!next)
            break;
        man_verb_name(next, '-', name, sizeof name);
        fprintf(out, ".Xr drover-%s 1 ,\n", name);
        last = next->verb;
    }
    fputs(".Xr drover-troubleshooting 7\n", out);
}

void man_exit_list(FILE *out)
{
    fputs(".Bl -tag -width 4n\n", out);
    for (const struct cli_exit *e = cli_exits; e->text; e++) {
        fprintf(out, ".It %d\n", (int)e->status);
        man_prose(out, e->text);
    }
    fputs(".El\n", out);
}

void man_verb_page(FILE *out, const struct cli_verb *v)
{
    char name[64];
    DRV_AUTO_FREE char *page = NULL;
    const struct cli_about *about = cli_about(v);
    man_verb_name(v, '-', name, sizeof name);
    page = drv_xasprintf("drover-%s", name);
    man_head(out, page, 1, v->summary);
    put_synopsis(out, v);
    fputs(".Sh DESCRIPTION\n", out);
    DRV_AUTO_FREE char *summary = drv_xasprintf("%s.", v->summary);
    man_prose(out, summary);
    if (about && about->text) {
        fputs(".Pp\n", out);
        man_prose(out, about->text);
    }
    if (v->options) {
        fputs(".Pp\nThe options:\n", out);
        man_options(out, v->options);
    }
    if (man_keys(v)) {
        fputs(".Pp\nThe keys:\n", out);
        man_settings(out, man_keys(v));
    }
    fputs(".Pp\nThe options of every verb, such as\n.Fl H Ar host\nand\n.Fl Fl json ,\nare in\n"
          ".Xr drover 1 .\n",
          out);
    put_role(out, v);
    fputs(".Sh EXIT STATUS\n", out);
    if (about && about->exits)
        man_prose(out, about->exits);
    else
        man_exit_list(out);
    if (v->examples) {
        fputs(".Sh EXAMPLES\n", out);
        man_prose(out, v->examples);
    }
    put_see_also(out, v);
}

void man_verb_list(FILE *out)
{
    char name[64], page[64];
    fputs(".Bl -tag -width Ds\n", out);
    for (const struct cli_verb *v = cli_verbs; v->noun; v++) {
        man_verb_name(v, ' ', name, sizeof name);
        man_verb_name(v, '-', page, sizeof page);
        fprintf(out, ".It Cm %s", name);
        if (v->args) {
            fputs(" Ar ", out);
            man_inline(out, v->args);
        }
        fputc('\n', out);
        man_inline(out, v->summary);
        fprintf(out, ":\n.Xr drover-%s 1 .\n", page);
    }
    fputs(".El\n", out);
}
