// SPDX-License-Identifier: GPL-3.0-or-later
// man_pages SOURCES OUT: write all pages into OUT/man{1,5,7,8}, which must exist, and the
// completion into OUT/completion. SOURCES has the texts that are not in tables, with @NAMES@ of
// those that are.
#include "man.h"

#include "agent.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/droverd/options.h"
#include "smbstore/daemon/options.h"
#include "wizard-tui/options.h"

static const char *sources, *target;

__attribute__((noreturn)) static void fail(const char *what)
{
    fprintf(stderr, "man_pages: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static FILE *create(const char *name)
{
    DRV_AUTO_FREE char *path = drv_xasprintf("%s/%s", target, name);
    FILE *f = fopen(path, "w");
    if (!f)
        fail(path);
    return f;
}

static void finish(FILE *f, const char *name)
{
    bool bad = ferror(f);
    if (fclose(f) != 0 || bad)
        fail(name);
}

static char *read_all(const char *name)
{
    DRV_AUTO_FREE char *path = drv_xasprintf("%s/%s", sources, name);
    char *text = NULL;
    size_t size = 0;
    FILE *f = fopen(path, "r");
    if (!f || getdelim(&text, &size, '\0', f) < 0)
        fail(path);
    fclose(f);
    return text;
}

static void put_conf(FILE *out)
{
    man_settings(out, ha_conf_options);
}
static void put_settings(FILE *out)
{
    man_settings(out, ha_setting_options);
}
static void put_global(FILE *out)
{
    man_options(out, cli_global_options);
}
static void put_droverd(FILE *out)
{
    man_program(out, &droverd_argp);
}
static void put_wizard(FILE *out)
{
    man_program(out, &tui_argp);
}
static void put_store(FILE *out)
{
    man_program(out, &ds_argp);
}

static const struct {
    const char *line;
    void (*put)(FILE *out);
} parts[] = {
    {"@OPTIONS@", put_conf},    {"@SETTINGS@", put_settings}, {"@VERBS@", man_verb_list},
    {"@GLOBAL@", put_global},   {"@EXITS@", man_exit_list},   {"@TABLES@", man_completion},
    {"@DROVERD@", put_droverd}, {"@STORE@", put_store},       {"@WIZARD@", put_wizard},
    {"@DATE@", man_date},
};

// A source with lines that name a part: the parts in their places.
static void fill(const char *source, const char *name)
{
    DRV_AUTO_FREE char *text = read_all(source);
    FILE *out = create(name);
    for (char *line = text, *next; line && *line; line = next) {
        bool done = false;
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        for (size_t i = 0; i < DRV_ARRAY_LEN(parts) && !done; i++)
            if (!strcmp(line, parts[i].line)) {
                parts[i].put(out);
                done = true;
            }
        if (!done)
            fprintf(out, "%s\n", line);
    }
    finish(out, name);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: man_pages SOURCES OUT\n", stderr);
        return 2;
    }
    sources = argv[1];
    target = argv[2];
    fill("packaging/man/drover.1.in", "man1/drover.1");
    fill("packaging/man/drover-wizard.1", "man1/drover-wizard.1");
    fill("packaging/man/drover.conf.5.in", "man5/drover.conf.5");
    fill("packaging/man/droverd.8", "man8/droverd.8");
    fill("packaging/man/drover-store.8", "man8/drover-store.8");
    fill("packaging/completion/drover.in", "completion/drover");
    for (const struct cli_verb *v = cli_verbs; v->noun; v++) {
        char name[64], path[96];
        man_verb_name(v, '-', name, sizeof name);
        snprintf(path, sizeof path, "man1/drover-%s.1", name);
        FILE *out = create(path);
        man_verb_page(out, v);
        finish(out, path);
    }
    DRV_AUTO_FREE char *markdown = read_all("docs/FINDINGS.md");
    FILE *out = create("man7/drover-troubleshooting.7");
    int rc = man_findings_page(out, markdown);
    finish(out, "drover-troubleshooting.7");
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
