// SPDX-License-Identifier: GPL-3.0-or-later
// Autostart's decisions: see autostart_rules.h.
#include "autostart_rules.h"

#include <stdlib.h>
#include <string.h>

#include "drover/vmdef.h"

// --- the list ---

static void add(struct ha_boot_list *l, const char *uuid)
{
    l->uuids = realloc(l->uuids, (l->n + 1) * sizeof *l->uuids);
    if (!l->uuids)
        abort();
    DRV_COPY(l->uuids[l->n++], uuid);
}

static void take_kept(struct ha_boot_list *l, const char *kept)
{
    DRV_AUTO_FREE char *text = drv_xstrdup(kept);
    char *save = NULL;
    strtok_r(text, " ", &save);
    for (char *uuid; (uuid = strtok_r(NULL, " ", &save));)
        if (drv_uuid_valid(uuid))
            add(l, uuid);
}

void ha_boot_list_make(const char *kept, const char *boot_id, const char (*uuids)[DRV_UUID_LEN],
                       unsigned n, struct ha_boot_list *ret)
{
    char before[DRV_UUID_LEN] = "";
    *ret = (struct ha_boot_list){.n = 0};
    DRV_COPY(ret->boot_id, boot_id);
    if (kept)
        snprintf(before, sizeof before, "%.*s", (int)strcspn(kept, " "), kept);
    if (!drv_uuid_valid(before))
        return;
    if (!strcmp(before, boot_id))
        take_kept(ret, kept);
    else
        for (unsigned i = 0; i < n; i++)
            add(ret, uuids[i]);
}

char *ha_boot_list_text(const struct ha_boot_list *l)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        abort();
    fputs(l->boot_id, f);
    for (unsigned i = 0; i < l->n; i++)
        fprintf(f, " %s", l->uuids[i]);
    fclose(f);
    return text;
}

void ha_boot_list_remove(struct ha_boot_list *l, const char *uuid)
{
    for (unsigned i = 0; i < l->n; i++)
        if (!strcmp(l->uuids[i], uuid)) {
            memmove(l->uuids[i], l->uuids[l->n - 1], sizeof l->uuids[i]);
            l->n--;
            return;
        }
}

void ha_boot_list_done(struct ha_boot_list *l)
{
    free(l->uuids);
    *l = (struct ha_boot_list){.n = 0};
}

// --- one VM ---

static enum ha_autostart_word not_ours(const struct ha_autostart_case *c, char *why, size_t size)
{
    const struct ss_record *rec = c->rec;
    if (rec->state == SS_REC_STOPPED)
        snprintf(why, size,
                 "not started with its host: %.200s had it last (epoch %llu); `drover vm start "
                 "%.64s` starts it here",
                 rec->host, (unsigned long long)rec->epoch, c->name);
    else if (rec->state == SS_REC_RELEASED)
        snprintf(why, size, "not started with its host: it is on its way from %.200s to %.200s",
                 rec->host, rec->to);
    else
        snprintf(why, size,
                 "not started with its host: %.200s has it (epoch %llu); `drover vm delete %.64s "
                 "--keep-disks` forgets it here",
                 rec->host, (unsigned long long)rec->epoch, c->name);
    return HA_AUTO_NOT;
}

enum ha_autostart_word ha_autostart_judge(const struct ha_autostart_case *c, char *why, size_t size)
{
    why[0] = '\0';
    if (!c->def) {
        snprintf(why, size, "its definition cannot be read: %.250s", c->err->msg);
        return HA_AUTO_LATER;
    }
    bool ours = c->rec && !strcmp(c->rec->host, c->host) && c->rec->state != SS_REC_RELEASED;
    if (!c->def->autostart) {
        if (c->was_running && ours)
            snprintf(
                why, size,
                "it ran when this host went down, and autostart is off; `drover vm start %.64s`",
                c->name);
        return HA_AUTO_NOT;
    }
    if (!c->rec) {
        snprintf(why, size, "whose it is cannot be found out: %.250s", c->err->msg);
        return c->err->code == DRV_ENOTFOUND || c->err->code == DRV_EATTENTION ? HA_AUTO_NOT
                                                                               : HA_AUTO_LATER;
    }
    return ours ? HA_AUTO_START : not_ours(c, why, size);
}

bool ha_autostart_again(const struct drv_err *err)
{
    // Busy: its own drover-store of before the boot may still be known to the server. Denied: said
    // as well while no domain controller answers.
    return err->code == DRV_EUNREACHABLE || err->code == DRV_ETIMEDOUT || err->code == DRV_EBUSY ||
           err->code == DRV_EIO || err->code == DRV_EDENIED;
}
