// SPDX-License-Identifier: GPL-3.0-or-later
// The manual and the completion have every verb, option, setting and finding of the tables, and no
// page of a verb that is gone.
#include "fake_agent.h"

#include "agent.h"
#include "hostagent/droverd/options.h"
#include "smbstore/daemon/options.h"
#include "vm_set.h"
#include "wizard-tui/options.h"
#include <dirent.h>

static char *read_made(const char *name)
{
    DRV_AUTO_FREE char *path = drv_xasprintf(MADE_DIR "/%s", name);
    char *text = NULL;
    size_t size = 0;
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("%s is missing", path);
    assert_true(getdelim(&text, &size, '\0', f) > 0);
    fclose(f);
    return text;
}

// As roff has it: "-" escaped.
static void assert_option(const char *page, const char *name)
{
    char item[128] = "\\fB\\-\\-";
    size_t n = strlen(item);
    for (; *name; name++)
        n += (size_t)snprintf(item + n, sizeof item - n, *name == '-' ? "\\%c" : "%c", *name);
    snprintf(item + n, sizeof item - n, "\\fR");
    assert_has(page, item);
}

static void page_of(const struct cli_verb *v, char *ret, size_t size)
{
    snprintf(ret, size, "drover-%s%s%s.1", v->noun, v->verb ? "-" : "", v->verb ? v->verb : "");
}

static void each_verb_has_a_page_with_its_options(void **state)
{
    (void)state;
    DRV_AUTO_FREE char *all = read_made("man1/drover.1");
    for (const struct cli_verb *v = cli_verbs; v->noun; v++) {
        char name[64];
        page_of(v, name, sizeof name);
        DRV_AUTO_FREE char *path = drv_xasprintf("man1/%s", name);
        DRV_AUTO_FREE char *page = read_made(path);
        for (const struct argp_option *o = v->options; o && o->name; o++)
            if (!(o->flags & OPTION_HIDDEN))
                assert_option(page, o->name);
        assert_has(page, v->examples ? ".Sh EXAMPLES" : ".Sh EXIT STATUS");
        name[strlen(name) - 2] = '\0';
        DRV_AUTO_FREE char *reference = drv_xasprintf(".Xr %s 1", name);
        assert_has(all, reference);
    }
    for (const struct argp_option *o = cli_global_options; o->name; o++)
        assert_option(all, o->name);
}

static void programs_pages_have_their_options(void **state)
{
    (void)state;
    static const struct {
        const char *page;
        const struct argp *argp;
    } programs[] = {{"man8/droverd.8", &droverd_argp},
                    {"man8/drover-store.8", &ds_argp},
                    {"man1/drover-wizard.1", &tui_argp}};
    for (size_t i = 0; i < DRV_ARRAY_LEN(programs); i++) {
        DRV_AUTO_FREE char *page = read_made(programs[i].page);
        for (const struct argp_option *o = programs[i].argp->options; o->name; o++)
            assert_option(page, o->name);
        assert_option(page, "help");
        assert_null(strstr(page, "\n@"));
    }
}

static bool is_page_of_a_verb(const char *file)
{
    char name[64];
    for (const struct cli_verb *v = cli_verbs; v->noun; v++) {
        page_of(v, name, sizeof name);
        if (!strcmp(name, file))
            return true;
    }
    return !strcmp(file, "drover-wizard.1") || !strcmp(file, "drover.1");
}

static void no_page_is_left_of_a_verb_that_is_gone(void **state)
{
    (void)state;
    DIR *d = opendir(MADE_DIR "/man1");
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.' && !is_page_of_a_verb(e->d_name))
            fail_msg("%s is no verb's", e->d_name);
    closedir(d);
}

static void assert_items(const char *name, const struct drv_option *table)
{
    DRV_AUTO_FREE char *page = read_made(name);
    for (const struct drv_option *o = table; o->name; o++) {
        DRV_AUTO_FREE char *item = drv_xasprintf(".It Va %s\n", o->name);
        assert_has(page, item);
    }
}

static void settings_are_in_their_pages(void **state)
{
    (void)state;
    assert_items("man5/drover.conf.5", ha_conf_options);
    assert_items("man5/drover.conf.5", ha_setting_options);
    assert_items("man1/drover-host-set.1", ha_setting_options);
    assert_items("man1/drover-store-set.1", ha_store_options);
    assert_items("man1/drover-vm-set.1", ha_vm_options);
}

static void each_finding_is_explained(void **state)
{
    (void)state;
    DRV_AUTO_FREE char *page = read_made("man7/drover-troubleshooting.7");
    for (unsigned i = 0; i < drv_finding_defs_count; i++) {
        DRV_AUTO_FREE char *item = drv_xasprintf("\n.It \"\\fB%s\\fR: ", drv_finding_defs[i].id);
        assert_has(page, item);
    }
    assert_has(page, "K01\\fR: No Kerberos ticket"); // "No" is no macro here
}

// What the completion offers for a line that is being typed, by bash itself.
static int complete(void *line)
{
    // A drover that knows two VMs, and a store by the name of its first word.
    DRV_AUTO_FREE char *script = drv_xasprintf(
        "d=$(mktemp -d); printf '#!/bin/sh\\necho \"$*\" >>$0.log\\ncase \"$*\" in\\n"
        "*\"vm list\"*) printf \"web\\\\tx\\\\nwiki\\\\ty\\\\n\" ;;\\n"
        "*\"store list\"*) echo vms ;;\\n*\"host list\"*) echo hv2 ;;\\nesac\\n' >$d/drover; "
        "chmod +x $d/drover; PATH=$d:$PATH; . " MADE_DIR "/completion/drover; "
        "COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _drover; "
        "printf '%%s\\n' \"${COMPREPLY[@]}\"; sed 's/^/asked: /' $d/drover.log 2>/dev/null; rm -r "
        "$d",
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
        {"drover move web --to h", "hv2\n", "web"},
        {"drover move --to hv2 we", "web\n", "hv2"},
        {"drover move web --storage ''", "keep\nvms\n", "web"},
        {"drover move web --storage = v", "vms\n", "keep"},
        {"drover -H hv1 vm start we", "web\n", "wiki"},
        {"drover -H hv1 vm start we", "asked: -H hv1 vm list --plain --no-input", "Password"},
        {"drover vm insert web ''", "vms/\n", "wiki"},
        {"drover vm create x --accel ''", "kvm\ntcg\n", "vms"},
        {"drover host set rec", "receive=\n", "send"},
        {"drover host set receive = o", "on\noff\n", "receive"},
        {"drover store check ''", "vms\n", "web"},
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

// Every verb's options, as bash offers them.
static void the_completion_knows_every_option(void **state)
{
    (void)state;
    for (const struct cli_verb *v = cli_verbs; v->noun; v++) {
        struct fake_run r;
        char line[64];
        snprintf(line, sizeof line, "drover %s %s --", v->noun, v->verb ? v->verb : "");
        fake_run(&r, complete, line, NULL, 0);
        if (r.status == 99)
            skip();
        for (const struct argp_option *o = v->options; o && o->name; o++) {
            DRV_AUTO_FREE char *option = drv_xasprintf("--%s\n", o->name);
            assert_has(r.out, option);
        }
        assert_has(r.out, "--no-input\n");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_verb_has_a_page_with_its_options),
        cmocka_unit_test(programs_pages_have_their_options),
        cmocka_unit_test(no_page_is_left_of_a_verb_that_is_gone),
        cmocka_unit_test(settings_are_in_their_pages),
        cmocka_unit_test(each_finding_is_explained),
        cmocka_unit_test(the_completion_completes),
        cmocka_unit_test(the_completion_knows_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
