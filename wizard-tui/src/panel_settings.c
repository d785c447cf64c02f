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
        const char *error = drv_json_text(s, "error");
        tui_add(d, *error ? TUI_BAD : TUI_PLAIN, 0, "  %-12s %-34s %s free of %s",
                drv_json_text(s, "name"), drv_json_text(s, "url"),
                drv_fmt_bytes(tui_number(s, "free_bytes")).s,
                drv_fmt_bytes(tui_number(s, "total_bytes")).s);
        if (*error)
            tui_add_wrapped(d, TUI_BAD, 15, "%s", error);
    }
}

// A group is kept as SID:NAME; people read the name.
static void without_sids(char *text)
{
    char *out = text;
    for (const char *p = text; *p;) {
        size_t entry = strcspn(p, ","), sid = strspn(p, "abcdefghijklmnopqrstuvwxyz=");
        size_t digits = strspn(p + sid, "S-0123456789");
        bool named = !strncmp(p + sid, "S-1-", 4) && p[sid + digits] == ':';
        memmove(out, p, sid);
        out += sid;
        size_t skip = named ? sid + digits + 1 : sid;
        memmove(out, p + skip, entry - skip);
        out += entry - skip;
        p += entry;
        if (*p)
            *out++ = *p++;
    }
    *out = '\0';
}

static void add_setting(struct tui_doc *d, const char *key, const char *value)
{
    enum { INDENT = 19 };
    char text[1024];
    snprintf(text, sizeof text, "%s", *value ? value : "-");
    without_sids(text);
    unsigned room = d->columns > INDENT + 20 ? d->columns - INDENT : 20, cut = tui_fit(text, room);
    if (text[cut]) // a list: broken at a comma
        for (unsigned i = cut; i > 0; i--)
            if (text[i - 1] == ',') {
                cut = i;
                break;
            }
    unsigned from = d->n;
    tui_add(d, TUI_PLAIN, tui_id("set", key), "%-18s %.*s", key, (int)cut, text);
    if (text[cut])
        tui_add_wrapped(d, TUI_PLAIN, INDENT, "%s", text + cut);
    tui_belong(d, from, tui_id("set", key));
}

static const char *explain(const struct tui *t, uint32_t id, char *ret, size_t size)
{
    const char *key;
    json_t *h;
    json_object_foreach(json_object_get(t->host->help, "help"), key, h)
    {
        const char *unit = drv_json_text(h, "unit"), *choices = drv_json_text(h, "choices"),
                   *def = drv_json_text(h, "default");
        if (tui_id("set", key) != id)
            continue;
        snprintf(ret, size, "%s: %s%s%s%s%s Default: %s.", key, drv_json_text(h, "text"),
                 *unit ? " In " : "", unit, *choices ? " One of " : "", choices,
                 *def ? def : "empty");
        return ret;
    }
    return NULL;
}

// The setting with the focus, NULL = none has it.
static const char *focused(struct tui *t, const struct tui_doc *d)
{
    const char *key;
    json_t *value;
    int at = tui_doc_find(d, tui_top(t)->focus);
    json_object_foreach(json_object_get(t->host->show, "settings"), key, value)
    {
        if (at >= 0 && tui_id("set", key) == d->lines[at].id)
            return key;
    }
    return NULL;
}

static void build(struct tui *t, struct tui_doc *d)
{
    const struct tui_host *h = t->host;
    const char *key;
    json_t *value;
    snprintf(d->title, sizeof d->title, "drover  Settings of %s", tui_short(h->fqdn).s);
    snprintf(d->stamp, sizeof d->stamp, "settings of %.40s", h->fqdn);
    if (h->reach == TUI_DOWN)
        tui_add_wrapped(d, TUI_BAD, 0, "XX %s%s%s", h->err.msg,
                        h->err.hint[0] ? ". What to do: " : "", h->err.hint);
    if (!h->show)
        return;
    json_object_foreach(json_object_get(h->show, "settings"), key, value)
    {
        if (json_is_string(value))
            add_setting(d, key, json_string_value(value));
    }
    key = focused(t, d);
    snprintf(d->cli, sizeof d->cli, "drover -H %s host set %s=VALUE", tui_short(h->fqdn).s,
             key ? key : "KEY");
    explain(t, key ? tui_id("set", key) : 0, d->note, sizeof d->note);
    tui_add(d, TUI_PLAIN, 0, " ");
    add_stores(h, d);
    tui_add(d, TUI_PLAIN, 0, " ");
    tui_add(d, TUI_DIM, 0, "drover %s, QEMU %s, %lld CPUs, KVM: %s",
            drv_json_text(h->show, "version"), drv_json_text(h->show, "qemu_version"),
            (long long)tui_number(h->show, "cpus"),
            json_is_true(json_object_get(h->show, "kvm")) ? "yes" : "no");
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
    if (!tui_may(t->host, "admin")) {
        tui_say(t, "To change settings takes the role admin; on %s you have the role %s.",
                tui_short(t->host->fqdn).s, drv_json_text(t->host->show, "role"));
        return true;
    }
    json_object_foreach(json_object_get(t->host->show, "settings"), key, value)
    {
        if (tui_id("set", key) != id)
            continue;
        char now[sizeof t->prompt.buf];
        DRV_COPY(now, json_string_value(value) ? json_string_value(value) : "");
        without_sids(now); // the host knows a group by its name, too
        DRV_COPY(t->prompt.key, key);
        bool flag = !strcmp(now, "on") || !strcmp(now, "off");
        const char *choices =
            flag ? "on|off"
                 : drv_json_text(json_object_get(json_object_get(t->host->help, "help"), key),
                                 "choices");
        tui_ask_for(t, TUI_PROMPT_SETTING, now, "New value of %s on %s%s%s%s:", key,
                    tui_short(t->host->fqdn).s, *choices ? " (" : "", choices, *choices ? ")" : "");
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
    explain,
};
