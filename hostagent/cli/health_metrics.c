// SPDX-License-Identifier: GPL-3.0-or-later
// A host's state in Prometheus' text format: see health.h. All samples of a name follow its HELP
// and TYPE, as the format wants it; names have their unit, which is a base one.
#include "health.h"

#include "drover/util.h"
#include <stdlib.h>
#include <string.h>

static void head(FILE *f, const char *name, const char *type, const char *help)
{
    fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

// name="value" with what the format escapes.
static void label(FILE *f, char before, const char *name, const char *value)
{
    fprintf(f, "%c%s=\"", before, name);
    for (; *value; value++) {
        if (*value == '\n')
            fputs("\\n", f);
        else if (*value == '"' || *value == '\\')
            fprintf(f, "\\%c", *value);
        else
            fputc(*value, f);
    }
    fputc('"', f);
}

// A sample up to its further labels and its value.
static void begin(FILE *f, const char *name, const char *first, const char *value)
{
    fputs(name, f);
    label(f, '{', first, value);
}

static double number(const json_t *obj, const char *key)
{
    return json_number_value(json_object_get(obj, key));
}

static void put_host(FILE *f, const json_t *s)
{
    head(f, "drover_info", "gauge", "Version of the agent; always 1.");
    begin(f, "drover_info", "version", drv_json_text(s, "version"));
    fputs("} 1\n", f);
    head(f, "drover_uptime_seconds", "gauge", "Time since the agent started.");
    fprintf(f, "drover_uptime_seconds %.0f\n", number(s, "uptime_s"));
    head(f, "drover_ticket_lifetime_seconds", "gauge",
         "Remaining life of the host's Kerberos ticket; 0 when there is none.");
    fprintf(f, "drover_ticket_lifetime_seconds %.0f\n",
            number(json_object_get(s, "ticket"), "lifetime_s"));
}

static void put_vms(FILE *f, const json_t *vms)
{
    size_t i;
    json_t *vm;
    head(f, "drover_vm_state", "gauge", "State of each VM; 1 for the one that it is in.");
    json_array_foreach(vms, i, vm)
    {
        begin(f, "drover_vm_state", "vm", drv_json_text(vm, "vm"));
        label(f, ',', "state", drv_json_text(vm, "state"));
        fputs("} 1\n", f);
    }
    head(f, "drover_vm_trouble", "gauge", "1 when somebody should look at the VM.");
    json_array_foreach(vms, i, vm)
    {
        const char *trouble = drv_json_text(vm, "trouble");
        begin(f, "drover_vm_trouble", "vm", drv_json_text(vm, "vm"));
        label(f, ',', "trouble", trouble);
        fprintf(f, "} %d\n", *trouble != '\0');
    }
}

static bool is_open(const char *state)
{
    return !strcmp(state, "active") || !strcmp(state, "attention");
}

// Those that go on are a gauge; those that have ended only get more.
static void put_moves_of(FILE *f, json_t *moves, bool open, const char *name, const char *word)
{
    const char *role, *state;
    json_t *of, *n;
    json_object_foreach(moves, role, of)
    {
        json_object_foreach(of, state, n)
        {
            if (is_open(state) != open)
                continue;
            begin(f, name, "role", role);
            label(f, ',', word, state);
            fprintf(f, "} %lld\n", (long long)json_integer_value(n));
        }
    }
}

static void put_moves(FILE *f, const json_t *s)
{
    json_t *moves = json_object_get(s, "moves"), *last = json_object_get(s, "last_move");
    head(f, "drover_moves", "gauge", "Moves that have not ended.");
    put_moves_of(f, moves, true, "drover_moves", "state");
    head(f, "drover_moves_total", "counter", "Moves that have ended.");
    put_moves_of(f, moves, false, "drover_moves_total", "result");
    if (!json_is_object(last))
        return;
    head(f, "drover_last_move_blackout_seconds", "gauge",
         "For how long the last move from here paused its guest.");
    fprintf(f, "drover_last_move_blackout_seconds %.3f\n", number(last, "blackout_ms") / 1000);
    head(f, "drover_last_move_duration_seconds", "gauge", "How long the last move from here took.");
    fprintf(f, "drover_last_move_duration_seconds %.3f\n", number(last, "total_ms") / 1000);
    head(f, "drover_last_move_end_timestamp_seconds", "gauge",
         "When the last move from here ended.");
    fprintf(f, "drover_last_move_end_timestamp_seconds %.3f\n", number(last, "ended") / 1000);
}

static void put_store_sizes(FILE *f, const json_t *stores, const char *name, const char *key,
                            const char *help)
{
    size_t i;
    json_t *o;
    head(f, name, "gauge", help);
    json_array_foreach(stores, i, o)
    {
        if (!json_is_true(json_object_get(o, "up")))
            continue;
        begin(f, name, "store", drv_json_text(o, "store"));
        fprintf(f, "} %.0f\n", number(o, key));
    }
}

static void put_stores(FILE *f, const json_t *stores)
{
    size_t i;
    json_t *o;
    head(f, "drover_store_up", "gauge", "1 when the store can be reached.");
    json_array_foreach(stores, i, o)
    {
        begin(f, "drover_store_up", "store", drv_json_text(o, "store"));
        fprintf(f, "} %d\n", json_is_true(json_object_get(o, "up")));
    }
    put_store_sizes(f, stores, "drover_store_free_bytes", "free_bytes", "Free space of a store.");
    put_store_sizes(f, stores, "drover_store_size_bytes", "total_bytes", "Size of a store.");
}

char *health_metrics(const json_t *status)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        abort();
    head(f, "drover_up", "gauge", "1 when the agent answers.");
    fprintf(f, "drover_up %d\n", status != NULL);
    if (status) {
        put_host(f, status);
        put_vms(f, json_object_get(status, "vms"));
        put_moves(f, status);
        put_stores(f, json_object_get(status, "stores"));
    }
    fclose(f);
    return text;
}
