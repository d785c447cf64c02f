// SPDX-License-Identifier: GPL-3.0-or-later
// A host's state as a monitoring plugin says it: see health.h.
#include "health.h"

#include "drover/util.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

// A ticket's remaining life. The agent renews it when five hours are left: with one, that fails.
enum { TICKET_SOON_S = 3600 };

struct judge {
    enum health worst;
    FILE *of[HEALTH_UNKNOWN]; // what was found, by how bad it is
    char *text[HEALTH_UNKNOWN];
    size_t size[HEALTH_UNKNOWN];
};

// Text of others in a line of ours.
static void put(FILE *f, const char *text)
{
    for (; *text; text++)
        fputc((unsigned char)*text < ' ' || *text == 0x7f ? ' ' : *text == '|' ? '/' : *text, f);
}

__attribute__((format(printf, 3, 4))) static void found(struct judge *j, enum health h,
                                                        const char *fmt, ...)
{
    va_list ap;
    char text[640];
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fputs(", ", j->of[h]);
    put(j->of[h], text);
    if (h > j->worst)
        j->worst = h;
}

static long long integer(const json_t *obj, const char *key)
{
    return json_integer_value(json_object_get(obj, key));
}

static unsigned judge_vms(struct judge *j, const json_t *vms)
{
    unsigned running = 0;
    size_t i;
    json_t *vm;
    json_array_foreach(vms, i, vm)
    {
        const char *trouble = drv_json_text(vm, "trouble"), *why = drv_json_text(vm, "why");
        running += !strcmp(drv_json_text(vm, "state"), "running");
        if (!*trouble)
            continue;
        // Nobody knows why it is paused: perhaps a person did it. One that is slow runs.
        bool mild = !strcmp(trouble, "slow") || (!strcmp(trouble, "paused") && !*why);
        found(j, mild ? HEALTH_WARNING : HEALTH_CRITICAL, "VM %s is %s%s%s",
              drv_json_text(vm, "vm"),
              !strcmp(trouble, "attention") ? "in need of attention" : trouble, *why ? ": " : "",
              why);
    }
    return running;
}

static void judge_ticket(struct judge *j, const json_t *ticket)
{
    long long left_s = integer(ticket, "lifetime_s");
    if (left_s <= 0)
        found(j, HEALTH_CRITICAL, "the host has no ticket: %s",
              *drv_json_text(ticket, "error") ? drv_json_text(ticket, "error") : "it has ended");
    else if (left_s < TICKET_SOON_S)
        found(j, HEALTH_WARNING, "the host's ticket ends in %lld min", left_s / 60);
}

static void judge_lists(struct judge *j, const json_t *status)
{
    size_t i;
    json_t *o;
    json_array_foreach(json_object_get(status, "attention"), i, o)
    {
        found(j, HEALTH_CRITICAL, "move %.8s of VM %s needs attention", drv_json_text(o, "move"),
              drv_json_text(o, "vm"));
    }
    json_array_foreach(json_object_get(status, "stores"), i, o)
    {
        if (!json_is_true(json_object_get(o, "up")))
            found(j, HEALTH_CRITICAL, "store %s cannot be reached: %s", drv_json_text(o, "store"),
                  drv_json_text(o, "error"));
    }
}

static void put_numbers(FILE *f, const json_t *status, unsigned running)
{
    const json_t *moves = json_object_get(status, "moves");
    size_t i;
    json_t *o;
    fprintf(f, "|vms=%zu;;;0 vms_running=%u;;;0 moves_active=%lld;;;0 ticket=%llds;%d:;1:",
            json_array_size(json_object_get(status, "vms")), running,
            integer(json_object_get(moves, "source"), "active") +
                integer(json_object_get(moves, "destination"), "active"),
            integer(json_object_get(status, "ticket"), "lifetime_s"), TICKET_SOON_S);
    json_array_foreach(json_object_get(status, "stores"), i, o)
    {
        if (json_is_true(json_object_get(o, "up")))
            fprintf(f, " 'free_%s'=%lldB;;;0;%lld", drv_json_text(o, "store"),
                    integer(o, "free_bytes"), integer(o, "total_bytes"));
    }
}

static enum health not_known(const struct drv_err *why, FILE *f)
{
    bool gone = why->code == DRV_EUNREACHABLE || why->code == DRV_ETIMEDOUT;
    fprintf(f, "DROVER %s - ", gone ? "CRITICAL" : "UNKNOWN");
    put(f, why->msg);
    return gone ? HEALTH_CRITICAL : HEALTH_UNKNOWN;
}

static enum health judge(const json_t *status, FILE *f)
{
    static const char *const names[] = {"OK", "WARNING", "CRITICAL"};
    struct judge j = {.worst = HEALTH_OK};
    for (int h = 0; h < HEALTH_UNKNOWN; h++)
        j.of[h] = open_memstream(&j.text[h], &j.size[h]);
    const json_t *vms = json_object_get(status, "vms");
    judge_lists(&j, status);
    unsigned running = judge_vms(&j, vms);
    judge_ticket(&j, json_object_get(status, "ticket"));
    if (j.worst == HEALTH_OK)
        found(&j, HEALTH_OK, "%u of %zu VMs run, drover %s", running, json_array_size(vms),
              drv_json_text(status, "version"));
    fprintf(f, "DROVER %s - ", names[j.worst]);
    bool first = true;
    for (int h = HEALTH_CRITICAL; h >= 0; h--) {
        fclose(j.of[h]);
        if (j.size[h])
            fputs(j.text[h] + (first ? 2 : 0), f);
        first = first && !j.size[h];
        free(j.text[h]);
    }
    put_numbers(f, status, running);
    return j.worst;
}

enum health health_judge(const json_t *status, const struct drv_err *why, char **ret_line)
{
    size_t size = 0;
    FILE *f = open_memstream(ret_line, &size);
    if (!f)
        abort();
    enum health h = status ? judge(status, f) : not_known(why, f);
    fclose(f);
    return h;
}
