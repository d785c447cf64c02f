// SPDX-License-Identifier: GPL-3.0-or-later
// A wizard without terminal and threads: questions are kept for the test to look at and to answer.
#ifndef TEST_WIZARD_DESK_H
#define TEST_WIZARD_DESK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tui.h"

enum { DESK_ASKS = 256 };

struct desk {
    struct tui t;
    struct tui_doc doc;
    struct tui_ask *asks[DESK_ASKS]; // without an answer
    unsigned n;
    char followed[64];
};

// cmocka leaves by a jump, which the compiler does not know.
static inline void __attribute__((noreturn)) desk_fail(const char *missing)
{
    fail_msg("missing: %s", missing);
    abort();
}

static inline void desk_ask(void *arg, struct tui_ask *a)
{
    struct desk *d = arg;
    assert_true(d->n < DESK_ASKS);
    d->asks[d->n++] = a;
}

static inline void desk_follow(void *arg, const char *host, const char *move)
{
    struct desk *d = arg;
    snprintf(d->followed, sizeof d->followed, "%.20s %.40s", host, move);
}

static inline void desk_unfollow(void *arg)
{
    struct desk *d = arg;
    d->followed[0] = '\0';
}

// The oldest question of this kind to this host, taken off the list; NULL = there is none.
static inline struct tui_ask *desk_take(struct desk *d, const char *host, const char *call)
{
    for (unsigned i = 0; i < d->n; i++)
        if (!strcmp(d->asks[i]->call, call) && !strcmp(d->asks[i]->host, host)) {
            struct tui_ask *a = d->asks[i];
            memmove(&d->asks[i], &d->asks[i + 1], (--d->n - i) * sizeof *d->asks);
            return a;
        }
    return NULL;
}

// The same, and it must be there.
static inline struct tui_ask *desk_asked(struct desk *d, const char *host, const char *call)
{
    struct tui_ask *a = desk_take(d, host, call);
    if (!a)
        desk_fail(call);
    return a;
}

static inline void desk_reply(struct desk *d, struct tui_ask *a, const char *json)
{
    json_decref(a->args);
    a->reply = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(a->reply);
    tui_answer(&d->t, a);
}

static inline void desk_answer(struct desk *d, const char *host, const char *call, const char *json)
{
    desk_reply(d, desk_asked(d, host, call), json);
}

static inline void desk_refuse(struct desk *d, const char *host, const char *call, const char *msg)
{
    struct tui_ask *a = desk_asked(d, host, call);
    json_decref(a->args);
    drv_err(&a->err, DRV_EUNREACHABLE, "%s", msg);
    tui_answer(&d->t, a);
}

static inline void desk_show(struct desk *d)
{
    tui_build(&d->t, &d->doc, 80, 18, true);
}

// The first line that contains text; fails the test when there is none.
static inline const struct tui_line *desk_line(struct desk *d, const char *text)
{
    desk_show(d);
    for (unsigned i = 0; i < d->doc.n; i++)
        if (strstr(d->doc.lines[i].text, text))
            return &d->doc.lines[i];
    for (unsigned i = 0; i < d->doc.n; i++)
        print_message("  %s\n", d->doc.lines[i].text);
    desk_fail(text);
}

static inline bool desk_has(struct desk *d, const char *text)
{
    desk_show(d);
    for (unsigned i = 0; i < d->doc.n; i++)
        if (strstr(d->doc.lines[i].text, text))
            return true;
    return false;
}

static inline void desk_focus(struct desk *d, const char *text)
{
    uint32_t id = desk_line(d, text)->id;
    assert_true(id != 0);
    tui_top(&d->t)->focus = id;
}

static inline void desk_key(struct desk *d, int code)
{
    desk_show(d);
    tui_type(&d->t, &d->doc, code);
}

static inline void desk_type(struct desk *d, const char *keys)
{
    for (; *keys; keys++)
        desk_key(d, *keys);
}

#define DESK_HOST(name, receive)                                                                   \
    "{\"host\":\"" name ".x\",\"version\":\"0.1.0\",\"settings\":{\"receive\":\"" receive          \
    "\",\"send\":\"on\",\"max_blackout_ms\":\"2000\",\"encrypt\":\"on\"},\"slots\":{\"moves\":2}," \
    "\"memory\":{\"total_kib\":8388608,\"free_kib\":4194304}}"
#define DESK_STORES                                                                                \
    "[{\"name\":\"VM\",\"url\":\"smb://fs.x/VM\",\"free_bytes\":1073741824},"                      \
    "{\"name\":\"local\",\"url\":\"local:/srv\",\"free_bytes\":1073741824}]"

static inline void desk_host(struct desk *d, const char *host, const char *show, const char *vms)
{
    desk_answer(d, host, "host.show", show);
    desk_answer(d, host, "vm.list", vms);
    desk_answer(d, host, "move.list", "[]");
    desk_answer(d, host, "store.list", DESK_STORES);
}

// hv1 with the VM web1, hv2 and hv3 (which does not receive), all answered.
static inline int desk_begin(void **state)
{
    static const char *const hosts[] = {"hv1.x"};
    struct desk *d = drv_xcalloc(1, sizeof *d);
    struct tui_port port = {desk_ask, desk_follow, desk_unfollow, d};
    *state = d;
    tui_init(&d->t, &port, hosts, 1);
    tui_tick(&d->t, 1000);
    desk_host(d, "hv1.x", DESK_HOST("hv1", "on"),
              "[{\"name\":\"web1\",\"uuid\":\"u\",\"state\":\"running\",\"memory_kib\":262152,"
              "\"vcpus\":1}]");
    desk_answer(d, "hv1.x", "host.list",
                "[{\"name\":\"hv1\",\"fqdn\":\"hv1.x\"},{\"name\":\"hv2\",\"fqdn\":\"hv2.x\"},"
                "{\"name\":\"hv3\",\"fqdn\":\"hv3.x\"}]");
    tui_tick(&d->t, 1500);
    desk_host(d, "hv2.x", DESK_HOST("hv2", "on"), "[]");
    desk_host(d, "hv3.x", DESK_HOST("hv3", "off"), "[]");
    return 0;
}

static inline int desk_end(void **state)
{
    struct desk *d = *state;
    for (unsigned i = 0; i < d->n; i++) {
        json_decref(d->asks[i]->args);
        free(d->asks[i]);
    }
    tui_doc_done(&d->doc);
    tui_done(&d->t);
    free(d);
    return 0;
}

#endif
