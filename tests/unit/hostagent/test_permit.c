// SPDX-License-Identifier: GPL-3.0-or-later
// Permits: each is good once, for a while, on one channel; the table is bounded. The clock is the
// test's.
#include "rig.h"

#include "permit.h"
#include <stdatomic.h>
#include <stdlib.h>

static int64_t clock_ms;

static int64_t now_ms(void)
{
    return clock_ms;
}

// A user as a session would have it; the test holds a reference of its own.
static struct ha_peer *person(const char *name, const char *sid)
{
    struct ha_peer *p = drv_xcalloc(1, sizeof *p);
    atomic_store(&p->refs, 1);
    DRV_COPY(p->id.az.name, name);
    DRV_COPY(p->id.az.sid, sid);
    return p;
}

static const struct az_permit says = {true, "hv1.drover.test",
                                      "11111111-2222-4333-8444-555555555555", "web"};
static const struct ha_peer channel_a, channel_b;

struct desk {
    struct ha_permits *t;
    struct ha_peer *alice;
    char token[DRV_PERMIT_LEN];
};

static int desk_setup(void **state)
{
    struct desk *d = drv_xcalloc(1, sizeof *d);
    clock_ms = 1000000;
    d->t = ha_permits_new("hv2.drover.test", now_ms);
    d->alice = person("alice@DROVER.TEST", "S-1-5-21-1-2-3-1103");
    assert_int_equal(ha_permits_issue(d->t, &says, d->alice, 300, d->token, NULL), 0);
    *state = d;
    return 0;
}

static int desk_teardown(void **state)
{
    struct desk *d = *state;
    ha_permits_free(d->t);
    assert_int_equal(atomic_load(&d->alice->refs), 1); // the table has let go of everybody
    ha_peer_unref(d->alice);
    free(d);
    return 0;
}
#define DESK_TEST(f) cmocka_unit_test_setup_teardown(f, desk_setup, desk_teardown)

static int show(struct desk *d, const char *token, const struct ha_peer *channel,
                struct drv_err *err)
{
    struct az_permit got;
    struct ha_peer *user = NULL;
    drv_err_clear(err);
    int rc = ha_permits_show(d->t, token, channel, &got, &user, err);
    if (rc == 0) {
        assert_ptr_equal(user, d->alice);
        assert_memory_equal(&got, &says, sizeof got);
    }
    ha_peer_unref(user);
    return rc;
}

static int use(struct desk *d, const struct ha_peer *channel, bool spend, struct drv_err *err)
{
    struct az_permit got;
    struct ha_peer *user = NULL;
    drv_err_clear(err);
    int rc = ha_permits_use(d->t, channel, spend, &got, &user, err);
    assert_true((rc == 1) == (user == d->alice));
    ha_peer_unref(user);
    return rc;
}

static void assert_refused(int rc, const struct drv_err *err, const char *text)
{
    assert_int_equal(rc, -1);
    assert_int_equal(err->code, DRV_EDENIED);
    assert_string_equal(err->id, "A07");
    if (!strstr(err->msg, text))
        fail_msg("\"%s\" does not say \"%s\"", err->msg, text);
    assert_true(err->hint[0]);
}

static void tokens_are_long_and_never_the_same(void **state)
{
    struct desk *d = *state;
    char other[DRV_PERMIT_LEN];
    assert_int_equal(ha_permits_issue(d->t, &says, d->alice, 300, other, NULL), 0);
    assert_int_equal(strlen(other), DRV_PERMIT_LEN - 1);
    assert_string_not_equal(other, d->token);
}

static void a_permit_looks_often_and_moves_once(void **state)
{
    struct desk *d = *state;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(use(d, &channel_a, false, &err), 0); // none has been shown
    assert_int_equal(show(d, d->token, &channel_a, &err), 0);
    assert_int_equal(use(d, &channel_a, false, &err), 1);
    assert_int_equal(use(d, &channel_a, false, &err), 1);
    assert_int_equal(use(d, &channel_b, false, &err), 0);
    assert_int_equal(use(d, &channel_a, true, &err), 1);
    assert_refused(use(d, &channel_a, true, &err), &err, "used already");
    assert_refused(use(d, &channel_a, false, &err), &err, "used already");
    assert_refused(show(d, d->token, &channel_a, &err), &err, "used already");
    assert_refused(show(d, d->token, &channel_b, &err), &err, "used already");
}

static void a_permit_counts_on_one_channel(void **state)
{
    struct desk *d = *state;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(show(d, d->token, &channel_a, &err), 0);
    assert_refused(show(d, d->token, &channel_b, &err), &err, "another connection");
    assert_int_equal(use(d, &channel_a, false, &err), 1); // a thief does not take it away
    ha_permits_closed(d->t, &channel_a);
    assert_refused(show(d, d->token, &channel_b, &err), &err, "used already");
    // The address of a channel that has ended may be that of a later one.
    assert_int_equal(use(d, &channel_a, true, &err), 0);
}

static void a_second_permit_on_a_channel_ends_the_first(void **state)
{
    struct desk *d = *state;
    struct drv_err err = DRV_ERR_INIT;
    char second[DRV_PERMIT_LEN];
    assert_int_equal(ha_permits_issue(d->t, &says, d->alice, 300, second, NULL), 0);
    assert_int_equal(show(d, d->token, &channel_a, &err), 0);
    assert_int_equal(show(d, second, &channel_a, &err), 0);
    assert_refused(show(d, d->token, &channel_a, &err), &err, "used already");
    assert_int_equal(use(d, &channel_a, true, &err), 1);
}

static void a_burnt_permit_is_spent(void **state)
{
    struct desk *d = *state;
    struct drv_err err = DRV_ERR_INIT;
    ha_permits_burn(d->t, &channel_a); // none there
    assert_int_equal(show(d, d->token, &channel_a, &err), 0);
    ha_permits_burn(d->t, &channel_a);
    assert_refused(use(d, &channel_a, true, &err), &err, "used already");
}

static void a_permit_expires(void **state)
{
    struct desk *d = *state;
    struct drv_err err = DRV_ERR_INIT;
    clock_ms += 299999;
    assert_int_equal(show(d, d->token, &channel_a, &err), 0);
    assert_int_equal(use(d, &channel_a, false, &err), 1);
    clock_ms += 1;
    assert_refused(use(d, &channel_a, true, &err), &err, "expired");
    assert_refused(show(d, d->token, &channel_a, &err), &err, "expired");
    assert_int_equal(atomic_load(&d->alice->refs), 1); // nobody is kept for it
    clock_ms += 15 * 60 * 1000;                        // long over, and forgotten
    assert_refused(show(d, d->token, &channel_a, &err), &err, "knows no such permit");
}

static void an_altered_permit_is_unknown(void **state)
{
    struct desk *d = *state;
    struct drv_err err = DRV_ERR_INIT;
    for (size_t i = 0; i < DRV_PERMIT_LEN - 1; i++) {
        char altered[DRV_PERMIT_LEN];
        DRV_COPY(altered, d->token);
        altered[i] = altered[i] == 'A' ? 'B' : 'A';
        assert_refused(show(d, altered, &channel_a, &err), &err, "knows no such permit");
    }
    assert_refused(show(d, "", &channel_a, &err), &err, "knows no such permit");
    assert_int_equal(show(d, d->token, &channel_a, &err), 0);
}

static void a_restarted_agent_has_given_none(void **state)
{
    struct desk *d = *state;
    struct drv_err err = DRV_ERR_INIT;
    ha_permits_free(d->t);
    d->t = ha_permits_new("hv2.drover.test", now_ms);
    assert_refused(show(d, d->token, &channel_a, &err), &err, "restarted");
}

static void a_users_oldest_gives_way(void **state)
{
    struct desk *d = *state;
    struct drv_err err = DRV_ERR_INIT;
    char last[DRV_PERMIT_LEN];
    for (unsigned i = 0; i < HA_PERMITS_PER_USER; i++) {
        clock_ms++;
        assert_int_equal(ha_permits_issue(d->t, &says, d->alice, 300, last, &err), 0);
    }
    assert_refused(show(d, d->token, &channel_a, &err), &err, "knows no such permit");
    assert_int_equal(show(d, last, &channel_a, &err), 0);
}

static void a_full_table_gives_none_until_one_is_over(void **state)
{
    struct desk *d = *state;
    struct drv_err err = DRV_ERR_INIT;
    char token[DRV_PERMIT_LEN];
    for (unsigned i = 1; i < HA_PERMITS_MAX; i++) {
        char sid[32];
        snprintf(sid, sizeof sid, "S-1-5-21-1-2-3-%u", 2000 + i);
        struct ha_peer *p = person("somebody@DROVER.TEST", sid);
        assert_int_equal(ha_permits_issue(d->t, &says, p, 300, token, &err), 0);
        ha_peer_unref(p);
    }
    struct ha_peer *bob = person("bob@DROVER.TEST", "S-1-5-21-1-2-3-1999");
    assert_int_equal(ha_permits_issue(d->t, &says, bob, 300, token, &err), -1);
    assert_int_equal(err.code, DRV_EBUSY);
    assert_int_equal(show(d, d->token, &channel_a, &err), 0); // nobody's was taken for it
    ha_permits_burn(d->t, &channel_a);
    drv_err_clear(&err);
    assert_int_equal(ha_permits_issue(d->t, &says, bob, 300, token, &err), 0);
    ha_peer_unref(bob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DESK_TEST(tokens_are_long_and_never_the_same),
        DESK_TEST(a_permit_looks_often_and_moves_once),
        DESK_TEST(a_permit_counts_on_one_channel),
        DESK_TEST(a_second_permit_on_a_channel_ends_the_first),
        DESK_TEST(a_burnt_permit_is_spent),
        DESK_TEST(a_permit_expires),
        DESK_TEST(an_altered_permit_is_unknown),
        DESK_TEST(a_restarted_agent_has_given_none),
        DESK_TEST(a_users_oldest_gives_way),
        DESK_TEST(a_full_table_gives_none_until_one_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
