// SPDX-License-Identifier: GPL-3.0-or-later
// Findings as people read them: mark, id, text, and what to do below it. The mark is a word first
// and a colour second, and colours are told apart by blue, yellow and red.
#include "cli.h"

#include <string.h>

static const struct {
    const char *mark;
    const char *colour; // SGR
} marks[] = {
    [DRV_SEV_OK] = {"OK", "34"},
    [DRV_SEV_INFO] = {"..", "34"},
    [DRV_SEV_WARNING] = {"!!", "33"},
    [DRV_SEV_ERROR] = {"XX", "1;31"},
};
_Static_assert(DRV_ARRAY_LEN(marks) == DRV_SEV_MAX_, "a mark per severity");

static void put_command(const struct drv_finding *f)
{
    fputs("          Run: ", stdout);
    drv_put(stdout, f->command);
    if (!strcmp(f->at, DRV_AT_DOMAIN)) {
        fputs("   (as domain admin)", stdout);
    } else if (strcmp(f->at, DRV_AT_USER) != 0) {
        fputs("   (on ", stdout);
        drv_put(stdout, f->at);
        fputs(", as root)", stdout);
    }
    fputc('\n', stdout);
}

static void put_finding(const struct cli *c, const struct drv_finding *f)
{
    bool colour = cli_colour(c, stdout);
    size_t host_len = strcspn(f->host, ".");
    const char *mark = marks[f->severity].mark;
    if (c->plain) {
        printf("%s\t%s\t", drv_severity_name(f->severity), f->id);
        drv_put(stdout, f->host);
        fputc('\t', stdout);
        drv_put(stdout, f->text);
        fputc('\t', stdout);
        drv_put(stdout, f->fix);
        fputc('\t', stdout);
        drv_put(stdout, f->command);
        fputc('\n', stdout);
        return;
    }
    if (colour)
        printf(" \033[%sm%s\033[0m  %-3s  ", marks[f->severity].colour, mark, f->id);
    else
        printf(" %s  %-3s  ", mark, f->id);
    char host[sizeof f->host];
    snprintf(host, sizeof host, "%.*s", (int)host_len, f->host);
    if (*host) {
        drv_put(stdout, host);
        fputs(": ", stdout);
    }
    drv_put(stdout, f->text);
    fputc('\n', stdout);
    if (f->severity >= DRV_SEV_WARNING && f->fix[0]) {
        fputs("          Fix: ", stdout);
        drv_put(stdout, f->fix);
        fputc('\n', stdout);
    }
    if (f->severity >= DRV_SEV_WARNING && f->command[0])
        put_command(f);
}

int cli_put_findings(const struct cli *c, const json_t *reply)
{
    struct drv_findings list = {0};
    struct drv_err err = DRV_ERR_INIT;
    if (drv_findings_from_json(json_object_get(reply, "findings"), &list, &err)) {
        drv_findings_done(&list);
        return cli_error(c, &err);
    }
    unsigned errors = drv_findings_errors(&list), warnings = 0;
    for (unsigned i = 0; i < list.n; i++) {
        warnings += list.list[i].severity == DRV_SEV_WARNING;
        bool wanted = !c->quiet || list.list[i].severity == DRV_SEV_ERROR;
        if (!c->json && wanted)
            put_finding(c, &list.list[i]);
    }
    if (c->json)
        cli_put_json(reply);
    if (!errors && !warnings)
        cli_say(c, "No errors, no warnings.");
    else
        cli_say(c, "%u error%s, %u warning%s.", errors, errors == 1 ? "" : "s", warnings,
                warnings == 1 ? "" : "s");
    int status = (int)drv_findings_exit(&list);
    drv_findings_done(&list);
    return status;
}
