// SPDX-License-Identifier: GPL-3.0-or-later
// check and move with permits: when one is asked for, what is said, and what is left alone. Permits
// come from a function in place of a destination, which would take a domain.
#include "fake_agent.h"

#define ID "3f2a81c0-1111-4222-8333-444455556666"
#define ID2 "4f2a81c0-1111-4222-8333-444455556666"
#define FOR_MOVE "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
#define FOR_CHECK "Y2hlY2stNjc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

struct permit_run {
    struct fake_agent *agent;
    bool check, json, quiet;
    bool refused; // the destination gives none
    const char *options[4];
};

static int give(const struct drv_permit_request *rq, char ret[DRV_PERMIT_LEN], struct drv_err *err)
{
    (void)err;
    if (!rq->source || strcmp(rq->vm, "web") != 0 || strcmp(rq->to, "hv2.example.lan") != 0)
        _exit(97);
    return drv_copy(ret, DRV_PERMIT_LEN, rq->for_move ? FOR_MOVE : FOR_CHECK);
}

static int give_none(const struct drv_permit_request *rq, char ret[DRV_PERMIT_LEN],
                     struct drv_err *err)
{
    (void)rq, (void)ret;
    drv_err(err, DRV_EDENIED, "hv2.example.lan does not accept permits");
    return drv_err_id(err, "D16");
}

static int key_of(const char *name)
{
    for (const struct argp_option *o = cli_move_options; o->name; o++)
        if (!strcmp(o->name, name))
            return o->key;
    return 0;
}

static int child(void *arg)
{
    const struct permit_run *p = arg;
    char move[] = "move";
    char *argv[] = {move};
    int words;
    struct cli c = {.verb = cli_find_verb(1, argv, &words),
                    .json = p->json,
                    .quiet = p->quiet,
                    .get_permit = p->refused ? give_none : give};
    struct cli_args a = {.pos = {"web"}, .n_pos = 1};
    a.opt[a.n_opt].key = key_of("to");
    a.opt[a.n_opt++].value = "hv2.example.lan";
    for (unsigned i = 0; i < DRV_ARRAY_LEN(p->options) && p->options[i]; i++) {
        a.opt[a.n_opt].key = key_of(p->options[i]);
        a.opt[a.n_opt++].value = "";
    }
    c.client = drv_client_unix(p->agent->path, NULL);
    int rc = c.client ? (p->check ? cli_check : cli_move)(&c, &a) : 98;
    cli_disconnect(&c);
    return rc;
}

// Run against script; the agent's log is *ret_log.
static void run(struct fake_run *r, const struct fake_answer *script, struct permit_run p,
                char *ret_log, size_t size)
{
    struct fake_agent agent;
    fake_start(&agent, script);
    p.agent = &agent;
    fake_run(r, child, &p, NULL, 0);
    drv_copy(ret_log, size, fake_log(&agent));
    fake_stop(&agent);
}

#define ERROR(id)                                                                                  \
    "{\"error\":{\"code\":\"denied\",\"id\":\"" id "\",\"msg\":\"refused by " id "\"}}"
#define STARTED(move) "{\"return\":{\"move\":\"" move "\"}}"
#define RESULT(move, state, error)                                                                 \
    "{\"return\":{\"schema\":1,\"event\":\"result\",\"move\":\"" move                              \
    "\",\"vm\":\"web\",\"from\":\"hv1.example.lan\",\"to\":\"hv2.example.lan\",\"state\":\"" state \
    "\",\"error\":" error "}}"
#define REFUSED(id, phase)                                                                         \
    "{\"id\":\"" id "\",\"phase\":\"" phase "\",\"code\":\"denied\","                              \
    "\"msg\":\"refused by " id "\"}"
#define FINDINGS(list)                                                                             \
    "{\"return\":{\"findings\":[" list "],\"prediction\":{\"memory_bytes\":1,\"disk_bytes\":0,"    \
    "\"max_blackout_ms\":300}}}"
#define FINDING(id, severity)                                                                      \
    "{\"id\":\"" id "\",\"severity\":\"" severity "\",\"text\":\"it is " id "\"}"

// Delegation fails at once, or in the move's preflight; with a permit it goes.
static const struct fake_answer fails_at_once[] = {
    {"move.start \"permit\"", STARTED(ID2), {NULL}},
    {"move.start", ERROR("D15"), {NULL}},
    {"move.attach", RESULT(ID2, "done", "null"), {NULL}},
    {0}};
static const struct fake_answer fails_in_check[] = {
    {"move.start \"permit\"", STARTED(ID2), {NULL}},
    {"move.start", STARTED(ID), {NULL}},
    {"move.attach " ID2, RESULT(ID2, "done", "null"), {NULL}},
    {"move.attach", RESULT(ID, "failed", REFUSED("D10", "check")), {NULL}},
    {0}};
static const struct fake_answer takes_no_permit[] = {
    {"move.start \"permit\"", ERROR("D16"), {NULL}},
    {"move.start", ERROR("D12"), {NULL}},
    {"move.check", FINDINGS(FINDING("D12", "error")), {NULL}},
    {0}};

static char calls_made[16384];

static void a_refusal_for_want_of_delegation_gets_a_permit(void **state)
{
    (void)state;
    struct fake_run r;
    run(&r, fails_at_once, (struct permit_run){0}, calls_made, sizeof calls_made);
    assert_int_equal(r.status, 0);
    assert_has(r.out, "With a permit of hv2.example.lan.\n");
    assert_has(r.out, "web runs on hv2");
    assert_string_equal(r.err, "");
    assert_has(calls_made, "move.start {\"to\":\"hv2.example.lan\",\"vm\":\"web\"}\n"
                           "move.start {\"permit\":\"" FOR_MOVE
                           "\",\"to\":\"hv2.example.lan\",\"vm\":\"web\"}\n");
}

static void a_refusal_by_the_moves_preflight_does_so_too(void **state)
{
    (void)state;
    struct fake_run r;
    run(&r, fails_in_check, (struct permit_run){0}, calls_made, sizeof calls_made);
    assert_int_equal(r.status, 0);
    assert_has(r.out, "No delegation (D10): with a permit of hv2.example.lan instead.\n");
    assert_has(r.out, "web runs on hv2");
    assert_lacks(r.out, "as before"); // the first attempt is no news
    assert_string_equal(r.err, "");
}

static void json_has_a_notice_and_one_result(void **state)
{
    (void)state;
    struct fake_run r;
    run(&r, fails_in_check, (struct permit_run){.json = true}, calls_made, sizeof calls_made);
    assert_int_equal(r.status, 0);
    char *save = NULL, *first = strtok_r(r.out, "\n", &save), *second = strtok_r(NULL, "\n", &save);
    assert_null(strtok_r(NULL, "\n", &save));
    DRV_AUTO_JSON json_t *notice = json_loads(first, 0, NULL);
    DRV_AUTO_JSON json_t *result = json_loads(second, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(notice, "event")), "notice");
    assert_string_equal(json_string_value(json_object_get(notice, "id")), "D10");
    assert_string_equal(json_string_value(json_object_get(notice, "why")), "refused by D10");
    assert_string_equal(json_string_value(json_object_get(result, "move")), ID2);
    assert_lacks(first, FOR_MOVE);
}

static void quiet_says_nothing_of_it(void **state)
{
    (void)state;
    struct fake_run r;
    run(&r, fails_at_once, (struct permit_run){.quiet = true}, calls_made, sizeof calls_made);
    assert_int_equal(r.status, 0);
    assert_string_equal(r.out, "");
    assert_string_equal(r.err, "");
}

static void each_want_of_delegation_counts_and_nothing_else(void **state)
{
    (void)state;
    static const char *const helps[] = {"K03", "D10", "D11", "D12", "D14", "D15"};
    static const char *const no_use[] = {"K02", "D13", "D16", "A01", "A03",
                                         "A05", "A07", "R01", ""};
    for (size_t i = 0; i < DRV_ARRAY_LEN(helps); i++)
        assert_true(drv_permit_helps(helps[i]));
    for (size_t i = 0; i < DRV_ARRAY_LEN(no_use); i++)
        assert_false(drv_permit_helps(no_use[i]));
}

static void other_refusals_stand(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {
        {"move.start", STARTED(ID), {NULL}},
        {"move.attach", RESULT(ID, "failed", REFUSED("A03", "check")), {NULL}},
        {"move.check", FINDINGS(FINDING("A03", "error")), {NULL}},
        {0}};
    struct fake_run r;
    run(&r, script, (struct permit_run){0}, calls_made, sizeof calls_made);
    assert_int_equal(r.status, DRV_EXIT_AUTH);
    assert_has(r.err, "[A03]");
    assert_lacks(calls_made, "permit");
}

// What fails later is a failure: nothing is tried again behind the user's back.
static void a_move_that_failed_on_its_way_is_not_repeated(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {
        {"move.start", STARTED(ID), {NULL}},
        {"move.attach", RESULT(ID, "failed", REFUSED("D10", "memory")), {NULL}},
        {0}};
    struct fake_run r;
    run(&r, script, (struct permit_run){0}, calls_made, sizeof calls_made);
    assert_int_equal(r.status, DRV_EXIT_FAILED);
    assert_lacks(calls_made, "permit");
}

static void no_permit_forbids_it(void **state)
{
    (void)state;
    struct fake_run r;
    run(&r, fails_at_once, (struct permit_run){.options = {"no-permit"}}, calls_made,
        sizeof calls_made);
    assert_int_equal(r.status, DRV_EXIT_AUTH);
    assert_has(r.err, "refused by D15");
    assert_lacks(calls_made, "permit");
}

static void permit_forces_it(void **state)
{
    (void)state;
    struct fake_run r;
    run(&r, fails_in_check, (struct permit_run){.options = {"permit"}}, calls_made,
        sizeof calls_made);
    assert_int_equal(r.status, 0);
    assert_lacks(r.out, "instead");
    assert_lacks(calls_made, "move.start {\"to\"");
    run(&r, fails_at_once, (struct permit_run){.options = {"permit", "no-permit"}}, calls_made,
        sizeof calls_made);
    assert_int_equal(r.status, DRV_EXIT_USAGE);
    assert_string_equal(calls_made, "");
}

static void where_permits_are_refused_the_first_cause_is_told_too(void **state)
{
    (void)state;
    struct fake_run r;
    // By the source.
    run(&r, takes_no_permit, (struct permit_run){0}, calls_made, sizeof calls_made);
    assert_int_equal(r.status, DRV_EXIT_AUTH);
    assert_has(r.err, "refused by D12");
    assert_has(r.err, "refused by D16");
    // By the destination.
    run(&r, takes_no_permit, (struct permit_run){.refused = true}, calls_made, sizeof calls_made);
    assert_int_equal(r.status, DRV_EXIT_AUTH);
    assert_has(r.err, "refused by D12");
    assert_has(r.err, "a permit instead: hv2.example.lan does not accept permits [D16]");
    assert_has(r.out, " XX  D12  it is D12\n");
    assert_lacks(calls_made, "\"permit\"");
}

static void a_check_is_repeated_with_a_permit_for_a_check(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {
        {"move.check \"permit\"", FINDINGS(FINDING("S24", "info")), {NULL}},
        {"move.check", FINDINGS(FINDING("R01", "ok") "," FINDING("D11", "error")), {NULL}},
        {0}};
    struct fake_run r;
    run(&r, script, (struct permit_run){.check = true}, calls_made, sizeof calls_made);
    assert_int_equal(r.status, 0);
    assert_has(r.out, "No delegation (D11): with a permit of hv2.example.lan instead.\n");
    assert_has(r.out, " ..  S24  it is S24\n");
    assert_lacks(r.out, "it is D11");
    assert_has(calls_made, FOR_CHECK);
    assert_lacks(calls_made, FOR_MOVE);
}

static void a_move_refused_with_a_permit_is_explained_with_a_fresh_one(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {
        {"move.start \"permit\"", STARTED(ID), {NULL}},
        {"move.attach", RESULT(ID, "failed", REFUSED("M01", "check")), {NULL}},
        {"move.check " FOR_CHECK, FINDINGS(FINDING("M01", "error")), {NULL}},
        {0}};
    struct fake_run r;
    run(&r, script, (struct permit_run){.options = {"permit"}}, calls_made, sizeof calls_made);
    assert_int_equal(r.status, DRV_EXIT_REFUSED);
    assert_has(r.out, " XX  M01  it is M01\n");
}

static void a_detached_move_gets_one_when_it_is_refused_at_once(void **state)
{
    (void)state;
    struct fake_run r;
    run(&r, fails_at_once, (struct permit_run){.options = {"detach"}, .quiet = true}, calls_made,
        sizeof calls_made);
    assert_int_equal(r.status, 0);
    assert_string_equal(r.out, ID2 "\n");
    assert_lacks(calls_made, "move.attach");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refusal_for_want_of_delegation_gets_a_permit),
        cmocka_unit_test(a_refusal_by_the_moves_preflight_does_so_too),
        cmocka_unit_test(json_has_a_notice_and_one_result),
        cmocka_unit_test(quiet_says_nothing_of_it),
        cmocka_unit_test(each_want_of_delegation_counts_and_nothing_else),
        cmocka_unit_test(other_refusals_stand),
        cmocka_unit_test(a_move_that_failed_on_its_way_is_not_repeated),
        cmocka_unit_test(no_permit_forbids_it),
        cmocka_unit_test(permit_forces_it),
        cmocka_unit_test(where_permits_are_refused_the_first_cause_is_told_too),
        cmocka_unit_test(a_check_is_repeated_with_a_permit_for_a_check),
        cmocka_unit_test(a_move_refused_with_a_permit_is_explained_with_a_fresh_one),
        cmocka_unit_test(a_detached_move_gets_one_when_it_is_refused_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
