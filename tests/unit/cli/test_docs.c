// SPDX-License-Identifier: GPL-3.0-or-later
// The man page and the completion know every verb and every option of the table.
#include "fake_agent.h"

static char *read_source(const char *name)
{
    DRV_AUTO_FREE char *path = drv_xasprintf(SOURCE_DIR "/%s", name);
    static char text[2][65536];
    static int next;
    char *buf = text[next++ % 2];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    buf[fread(buf, 1, sizeof text[0] - 1, f)] = '\0';
    fclose(f);
    return buf;
}

static void the_man_page_names_every_verb_and_option(void **state)
{
    (void)state;
    const char *man = read_source("packaging/man/drover.1");
    for (const struct cli_verb *v = cli_verbs; v->noun; v++) {
        DRV_AUTO_FREE char *verb =
            drv_xasprintf(".It Cm %s%s%s", v->noun, v->verb ? " " : "", v->verb ? v->verb : "");
        assert_has(man, verb);
        for (const struct argp_option *o = v->options; o && o->name; o++) {
            DRV_AUTO_FREE char *option = drv_xasprintf("Fl Fl %s", o->name);
            assert_has(strstr(man, verb), option); // in this verb's part or later
        }
    }
    for (const struct argp_option *o = cli_global_options; o->name; o++) {
        DRV_AUTO_FREE char *option = drv_xasprintf("Fl Fl %s", o->name);
        assert_has(man, option);
    }
}

static void the_completion_knows_every_verb_and_option(void **state)
{
    (void)state;
    const char *completion = read_source("packaging/completion/drover");
    for (const struct cli_verb *v = cli_verbs; v->noun; v++) {
        assert_has(completion, v->noun);
        assert_has(completion, v->verb ? v->verb : v->noun);
        for (const struct argp_option *o = v->options; o && o->name; o++) {
            DRV_AUTO_FREE char *option = drv_xasprintf("--%s", o->name);
            assert_has(completion, option);
        }
    }
    for (const struct argp_option *o = cli_global_options; o->name; o++)
        assert_has(completion, o->name);
}

// What the completion offers for a line that is being typed, by bash itself.
static int complete(void *line)
{
    // A drover that knows two VMs.
    DRV_AUTO_FREE char *script = drv_xasprintf(
        "d=$(mktemp -d); printf '#!/bin/sh\\nprintf \"web\\\\tx\\\\nwiki\\\\ty\\\\n\"\\n' "
        ">$d/drover; "
        "chmod +x $d/drover; PATH=$d:$PATH; . " SOURCE_DIR "/packaging/completion/drover; "
        "COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _drover; rm -r $d; "
        "printf '%%s\\n' \"${COMPREPLY[@]}\"",
        (const char *)line);
    execlp("bash", "bash", "--norc", "-c", script, (char *)NULL);
    return 99;
}

static void the_completion_completes(void **state)
{
    (void)state;
    static const struct {
        char line[64];
        const char *has, *lacks;
    } cases[] = {
        {"drover mo", "move\n", "vm\n"},
        {"drover vm st", "start\nstop\n", "list\n"},
        {"drover move w", "web\nwiki\n", "--to"},
        {"drover move web --st", "--storage\n", "--detach"},
        {"drover -H hv1 vm start we", "web\n", "wiki"},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        struct fake_run r;
        char line[64];
        DRV_COPY(line, cases[i].line);
        fake_run(&r, complete, line, NULL, 0);
        if (r.status == 99)
            skip();
        assert_has(r.out, cases[i].has);
        assert_lacks(r.out, cases[i].lacks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_man_page_names_every_verb_and_option),
        cmocka_unit_test(the_completion_knows_every_verb_and_option),
        cmocka_unit_test(the_completion_completes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
