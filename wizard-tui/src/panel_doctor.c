// SPDX-License-Identifier: GPL-3.0-or-later
// What the doctor of a host found. Findings are drawn here for the preflight page, too.
#include "tui_findings.h"

#include <stdio.h>
#include <string.h>

static enum tui_style style_of(enum drv_severity s)
{
    static const enum tui_style styles[DRV_SEV_MAX_] = {
        [DRV_SEV_OK] = TUI_GOOD,
        [DRV_SEV_INFO] = TUI_PLAIN,
        [DRV_SEV_WARNING] = TUI_WARN,
        [DRV_SEV_ERROR] = TUI_BAD,
    };
    return s < DRV_SEV_MAX_ ? styles[s] : TUI_BAD;
}

static void add_finding(struct tui_doc *d, const struct drv_finding *f)
{
    const struct drv_finding_def *def = drv_finding_def(f->id);
    enum tui_style style = style_of(f->severity);
    bool wrong = f->severity == DRV_SEV_ERROR || f->severity == DRV_SEV_WARNING;
    uint32_t id = tui_id("finding", f->text);
    unsigned from = d->n;
    tui_add_item(d, style, id, 7, "%s %s %s  (%s)", tui_mark(style), f->id,
                 wrong && def ? def->title : f->text, tui_short(f->host).s);
    if (!wrong)
        return;
    if (def)
        tui_add_wrapped(d, TUI_PLAIN, 7, "%s", f->text);
    if (f->fix[0])
        tui_add_wrapped(d, TUI_PLAIN, 7, "Fix: %s", f->fix);
    if (f->command[0]) {
        bool domain = !strcmp(f->at, DRV_AT_DOMAIN), user = !strcmp(f->at, DRV_AT_USER);
        tui_add_wrapped(d, TUI_DIM, 7, "%s says, to be run %s%s:", tui_short(f->host).s,
                        domain ? "by a domain admin"
                        : user ? "by you, here"
                               : "as root on ",
                        domain || user ? "" : tui_short(f->at).s);
        tui_add_wrapped(d, TUI_HEAD, 9, "%s", f->command);
    }
    tui_belong(d, from, id);
}

void tui_add_findings(struct tui_doc *d, const struct drv_findings *f)
{
    static const enum drv_severity order[] = {DRV_SEV_ERROR, DRV_SEV_WARNING, DRV_SEV_INFO,
                                              DRV_SEV_OK};
    unsigned warnings = 0, errors = drv_findings_errors(f);
    for (unsigned i = 0; i < f->n; i++)
        warnings += f->list[i].severity == DRV_SEV_WARNING;
    // The verdict first: it is on a small screen, too.
    if (errors || warnings)
        tui_add_wrapped(d, errors ? TUI_BAD : TUI_WARN, 0, "%u error%s, %u warning%s.%s", errors,
                        errors == 1 ? "" : "s", warnings, warnings == 1 ? "" : "s",
                        errors ? " Errors block a move; warnings do not."
                               : " Warnings do not block.");
    else
        tui_add(d, TUI_GOOD, 0, "OK Nothing stands in the way.");
    for (unsigned k = 0; k < DRV_ARRAY_LEN(order); k++)
        for (unsigned i = 0; i < f->n; i++)
            if (f->list[i].severity == order[k])
                add_finding(d, &f->list[i]);
}

static void build(struct tui *t, struct tui_doc *d)
{
    struct tui_host *h = t->host;
    struct drv_findings f = {0};
    struct drv_err err = h->doctor_err;
    snprintf(d->title, sizeof d->title, "drover  Doctor: %s", tui_short(h->fqdn).s);
    snprintf(d->cli, sizeof d->cli, "drover -H %s doctor", tui_short(h->fqdn).s);
    if (h->doctor_asked)
        tui_add(d, TUI_DIM, 0, ".. looking: this takes some seconds a host and store ...");
    else if (err.code != DRV_OK)
        tui_add_wrapped(d, TUI_BAD, 0, "XX %s%s%s", err.msg, err.hint[0] ? ". " : "", err.hint);
    else if (h->doctor && !drv_findings_from_json(json_object_get(h->doctor, "findings"), &f, &err))
        tui_add_findings(d, &f);
    drv_findings_done(&f);
    snprintf(d->stamp, sizeof d->stamp, "doctor %d %u", h->doctor_asked, d->n);
}

static bool act(struct tui *t, enum tui_cmd cmd, uint32_t id)
{
    (void)id;
    if (cmd != TUI_REFRESH || t->host->doctor_asked)
        return false;
    json_decref(t->host->doctor);
    t->host->doctor = NULL;
    return tui_panel_hosts.act(t, TUI_DOCTOR_CMD, tui_id("host", t->host->fqdn));
}

const struct tui_panel_def tui_panel_doctor = {
    "Doctor",
    "What is wrong on this host and on the way from it to the others, tried for real, with what "
    "repairs it. Commands are what that computer says: read before you run them.",
    build,
    act,
    NULL,
};
