// SPDX-License-Identifier: GPL-3.0-or-later
// A host's settings and stores.
#include "tui.h"

#include <stdio.h>
#include <string.h>

#include "drover/text.h"

static void add_stores(const struct tui_host *h, struct tui_doc *d)
{
    size_t i;
    json_t *s;
    tui_add(d, TUI_HEAD, 0, "Stores");
    if (h->stores_err.code != DRV_OK)
        tui_add_wrapped(d, TUI_BAD, 2, "%s", h->stores_err.msg);
    json_array_foreach(h->stores, i, s)
    {
        const char *error = tui_text(s, "error");
        tui_add(d, *error ? TUI_BAD : TUI_PLAIN, 0, "  %-12s %-34s %s free of %s",
                tui_text(s, "name"), tui_text(s, "url"),
                drv_fmt_bytes(tui_number(s, "free_bytes")).s,
                drv_fmt_bytes(tui_number(s, "total_bytes")).s);
        if (*error)
            tui_add_wrapped(d, TUI_BAD, 15, "%s", error);
    }
}

static void build(struct tui *t, struct tui_doc *d)
{
    const struct tui_host *h = t->host;
    const char *key;
    json_t *value;
    snprintf(d->title, sizeof d->title, "drover  Settings of %s", tui_short(h->fqdn).s);
    snprintf(d->cli, sizeof d->cli, "drover -H %s host set KEY=VALUE", tui_short(h->fqdn).s);
    if (h->reach == TUI_DOWN)
        tui_add_wrapped(d, TUI_BAD, 0, "XX %s", h->err.msg);
    json_object_foreach(json_object_get(h->show, "settings"), key, value)
    {
        const char *text = json_string_value(value);
        tui_add(d, TUI_PLAIN, tui_id("set", key), "%-18s %s", key, text && *text ? text : "-");
    }
    tui_add(d, TUI_PLAIN, 0, " ");
    add_stores(h, d);
    tui_add(d, TUI_PLAIN, 0, " ");
    tui_add(d, TUI_DIM, 0, "drover %s, QEMU %s, %lld CPUs, KVM: %s", tui_text(h->show, "version"),
            tui_text(h->show, "qemu_version"), (long long)tui_number(h->show, "cpus"),
            json_is_true(json_object_get(h->show, "kvm")) ? "yes" : "no");
    snprintf(d->stamp, sizeof d->stamp, "settings of %.40s", h->fqdn);
}

static bool act(struct tui *t, enum tui_cmd cmd, uint32_t id)
{
    const char *key;
    json_t *value;
    if (cmd == TUI_REFRESH) {
        t->host->due_ms = 0;
        return true;
    }
    if (cmd != TUI_ENTER)
        return false;
    json_object_foreach(json_object_get(t->host->show, "settings"), key, value)
    {
        if (tui_id("set", key) != id)
            continue;
        const char *text = json_string_value(value);
        bool flip = text && (!strcmp(text, "on") || !strcmp(text, "off"));
        DRV_COPY(t->prompt.key, key);
        tui_ask_for(t, TUI_PROMPT_SETTING, flip ? (strcmp(text, "on") != 0 ? "on" : "off") : text,
                    "New value of %s on %s:", key, tui_short(t->host->fqdn).s);
        return true;
    }
    return false;
}

const struct tui_panel_def tui_panel_settings = {
    "Settings",
    "What this host may do. Enter on a setting asks for its new value; the host refuses what "
    "cannot "
    "be. Changing them needs the role admin.",
    build,
    act,
};
