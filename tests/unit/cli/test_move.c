// SPDX-License-Identifier: GPL-3.0-or-later
// Moves against an agent that answers from a script: started, followed, detached from, and their
// results. cli_move() needs a Kerberos user; here its connection is made beforehand.
#include "command.h"

#define ID "3f2a81c0-1111-4222-8333-444455556666"

struct move_command {
    struct fake_agent *agent;
    const char *options[12]; // name, value, …
    bool json;
};

static int key_of(const char *name)
{
    for (const struct argp_option *o = cli_move_options; o->name; o++)
        if (!strcmp(o->name, name))
            return o->key;
    fail_msg("no option %s", name);
    return 0;
}

static void fill(struct cli *c, struct cli_args *a, const struct move_command *m)
{
    char move[] = "move";
    char *argv[] = {move};
    int words;
    *c = (struct cli){.verb = cli_find_verb(1, argv, &words), .json = m->json};
    *a = (struct cli_args){.pos = {"web"}, .n_pos = 1};
    for (unsigned i = 0; m->options[i]; i += 2) {
        a->opt[a->n_opt].key = key_of(m->options[i]);
        a->opt[a->n_opt++].value = m->options[i + 1];
    }
}

static int do_move(void *arg)
{
    const struct move_command *m = arg;
    struct cli c;
    struct cli_args a;
    fill(&c, &a, m);
    c.client = drv_client_unix(m->agent->path, NULL);
    int rc = c.client ? cli_move(&c, &a) : 98;
    cli_disconnect(&c);
    return rc;
}

#define RESULT(state, error)                                                                       \
    "{\"return\":{\"schema\":1,\"event\":\"result\",\"move\":\"" ID                                \
    "\",\"vm\":\"web\",\"from\":\"hv1.example.lan\",\"to\":\"hv2.example.lan\",\"state\":\"" state \
    "\",\"total_ms\":3400.5,\"blackout_ms\":84.2,\"predicted_blackout_ms\":120,"                   \
    "\"memory_bytes\":1073741824,\"disk_bytes\":0,\"passes\":3,\"encrypted\":true,"                \
    "\"error\":" error "}}"
#define EVENT(phase, no)                                                                           \
    "{\"event\":\"move\",\"id\":2,\"move\":\"" ID "\",\"vm\":\"web\",\"phase\":\"" phase           \
    "\",\"phase_no\":" no ",\"phases\":9,\"state\":\"running\",\"elapsed_ms\":100}"
#define STARTED                                                                                    \
    {                                                                                              \
        "move.start", "{\"return\":{\"move\":\"" ID "\"}}",                                        \
        {                                                                                          \
            NULL                                                                                   \
        }                                                                                          \
    }

static void a_move_is_followed_to_its_result(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {
        STARTED,
        {"move.attach", RESULT("done", "null"), {EVENT("check", "1"), EVENT("memory", "5")}},
        {0}};
    struct fake_agent agent;
    struct fake_run r;
    fake_start(&agent, script);
    fake_run(&r, do_move, &(struct move_command){&agent, {"to", "hv2.example.lan"}, false}, NULL,
             0);
    assert_int_equal(r.status, 0);
    assert_has(r.out, "Ctrl-C detaches; the move goes on.");
    assert_has(r.out, "1/9 check");
    assert_has(r.out, "5/9 memory");
    assert_has(r.out, "web runs on hv2. It was paused for 84 ms (predicted 120 ms)");
    assert_null(strchr(r.out, '\033')); // no terminal
    assert_string_equal(r.err, "");
    assert_has(fake_log(&agent), "move.start {\"to\":\"hv2.example.lan\",\"vm\":\"web\"}\n");
    assert_has(fake_log(&agent), "move.attach {\"move\":\"" ID "\"}\n");
    fake_stop(&agent);
}

static void json_moves_are_events_and_a_result(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {
        STARTED, {"move.attach", RESULT("done", "null"), {EVENT("check", "1")}}, {0}};
    struct fake_agent agent;
    struct fake_run r;
    fake_start(&agent, script);
    fake_run(&r, do_move, &(struct move_command){&agent, {"to", "hv2.example.lan"}, true}, NULL, 0);
    assert_int_equal(r.status, 0);
    char *save = NULL, *first = strtok_r(r.out, "\n", &save), *second = strtok_r(NULL, "\n", &save);
    assert_null(strtok_r(NULL, "\n", &save));
    DRV_AUTO_JSON json_t *event = json_loads(first, 0, NULL);
    DRV_AUTO_JSON json_t *result = json_loads(second, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(event, "event")), "move");
    assert_int_equal(json_integer_value(json_object_get(event, "schema")), 1);
    assert_null(json_object_get(event, "id"));
    assert_string_equal(json_string_value(json_object_get(result, "event")), "result");
    assert_string_equal(json_string_value(json_object_get(result, "state")), "done");
    assert_true(json_is_null(json_object_get(result, "error")));
    fake_stop(&agent);
}

static void all_options_become_arguments(void **state)
{
    (void)state;
    struct move_command m = {NULL,
                             {"to", "hv2.example.lan", "storage", "fast", "disk", "disk1=slow",
                              "network", "br0=lan", "max-blackout", "200"},
                             false};
    struct cli c;
    struct cli_args a;
    fill(&c, &a, &m);
    a.opt[a.n_opt].key = key_of("keep-source");
    a.opt[a.n_opt++].value = ""; // without a time
    DRV_AUTO_JSON json_t *args = cli_move_args(&c, &a);
    DRV_AUTO_FREE char *text = json_dumps(args, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(
        text, "{\"disks\":{\"disk1\":\"slow\"},\"keep_source_s\":604800,\"max_blackout_ms\":200,"
              "\"network\":{\"br0\":\"lan\"},\"storage\":\"fast\",\"to\":\"hv2.example.lan\","
              "\"vm\":\"web\"}");
}

static void detach_prints_the_id_alone(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {STARTED, {0}};
    struct fake_agent agent;
    struct fake_run r;
    fake_start(&agent, script);
    fake_run(&r, do_move,
             &(struct move_command){&agent, {"to", "hv2.example.lan", "detach", ""}, false}, NULL,
             0);
    assert_int_equal(r.status, 0);
    assert_string_equal(r.out, ID "\n");
    assert_lacks(fake_log(&agent), "move.attach");
    fake_stop(&agent);
}

static void ctrl_c_detaches_and_never_cancels(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {
        STARTED, {"move.attach", NULL, {EVENT("copy", "4")}}, {0}};
    struct fake_agent agent;
    struct fake_run r;
    fake_start(&agent, script);
    fake_run(&r, do_move, &(struct move_command){&agent, {"to", "hv2.example.lan"}, false},
             "4/9 copy", SIGINT);
    assert_int_equal(r.status, 130);
    assert_has(r.err, "drover attach " ID);
    assert_has(r.err, "drover cancel " ID);
    assert_lacks(fake_log(&agent), "move.cancel");
    fake_stop(&agent);
}

static void a_dry_run_only_checks(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {
        {"move.check",
         "{\"return\":{\"findings\":[],\"prediction\":{\"memory_bytes\":268435456,\"disk_bytes\":0,"
         "\"max_blackout_ms\":300}}}",
         {NULL}},
        {0}};
    struct fake_agent agent;
    struct fake_run r;
    fake_start(&agent, script);
    fake_run(&r, do_move,
             &(struct move_command){&agent, {"to", "hv2.example.lan", "dry-run", ""}, false}, NULL,
             0);
    assert_int_equal(r.status, 0);
    assert_has(r.out, "No errors, no warnings.");
    assert_has(r.out, "To copy: memory 256 MiB, disks 0 B. The guest pauses for at most 300 ms");
    assert_lacks(fake_log(&agent), "move.start");
    fake_stop(&agent);
}

static void a_refused_move_lists_every_finding(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {
        {"move.start",
         "{\"error\":{\"code\":\"denied\",\"id\":\"R01\",\"msg\":\"hv2 does not accept "
         "moves\",\"hint\":\"set it\"}}",
         {NULL}},
        {"move.check",
         "{\"return\":{\"findings\":[{\"id\":\"R01\",\"severity\":\"error\",\"text\":\"receive is "
         "off\",\"fix\":\"drover -H hv2 host set "
         "receive=on\"},{\"id\":\"D10\",\"severity\":\"error\",\"text\":"
         "\"no delegation\"}]}}",
         {NULL}},
        {0}};
    struct fake_agent agent;
    struct fake_run r;
    fake_start(&agent, script);
    fake_run(&r, do_move, &(struct move_command){&agent, {"to", "hv2.example.lan"}, false}, NULL,
             0);
    assert_int_equal(r.status, DRV_EXIT_AUTH); // D before R
    assert_has(r.err, "drover: hv2 does not accept moves [R01]\n  hint: set it\n");
    assert_has(r.out,
               " XX  R01  receive is off\n          Fix: drover -H hv2 host set receive=on\n");
    assert_has(r.out, " XX  D10  no delegation\n");
    assert_has(r.out, "2 errors, 0 warnings.");
    fake_stop(&agent);
}

static void attach_shows_progress_from_the_first_event(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {
        {"move.attach", RESULT("done", "null"), {EVENT("check", "1"), EVENT("memory", "5")}}, {0}};
    struct fake_agent agent;
    struct fake_run r;
    fake_start(&agent, script);
    RUN(&r, &agent, "attach", ID);
    assert_int_equal(r.status, 0);
    assert_has(r.out, "1/9 check");
    assert_has(r.out, "5/9 memory");
    fake_stop(&agent);
}

static void an_end_that_is_not_known_is_not_called_safe(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {{"move.attach", RESULT("active", "null"), {NULL}},
                                                {0}};
    struct fake_agent agent;
    struct fake_run r;
    fake_start(&agent, script);
    RUN(&r, &agent, "attach", ID);
    assert_int_equal(r.status, DRV_EXIT_ATTENTION);
    assert_has(r.err, "not clear who owns the VM");
    assert_lacks(r.out, "as before");
    fake_stop(&agent);
}

static void results_have_their_exit_status(void **state)
{
    (void)state;
    static const struct {
        const char *result;
        int exit;
    } cases[] = {
        {"{\"state\":\"done\"}", 0},
        {"{\"state\":\"cancelled\"}", 6},
        {"{\"state\":\"attention\"}", 8},
        {"{\"state\":\"failed\",\"error\":{\"code\":\"peer\",\"phase\":\"memory\"}}", 1},
        // An id of a later phase says where it broke, not that it was turned away.
        {"{\"state\":\"failed\",\"error\":{\"code\":\"denied\",\"id\":\"D10\",\"phase\":\"memory\"}"
         "}",
         1},
        {"{\"state\":\"failed\",\"error\":{\"code\":\"denied\",\"id\":\"D10\",\"phase\":"
         "\"reserve\"}}",
         4},
        {"{\"state\":\"failed\",\"error\":{\"code\":\"denied\",\"id\":\"D12\",\"phase\":\"\"}}", 4},
        {"{\"state\":\"failed\",\"error\":{\"code\":\"state\",\"id\":\"R01\",\"phase\":\"check\"}}",
         5},
        {"{\"state\":\"failed\",\"error\":{\"code\":\"busy\",\"id\":\"\",\"phase\":\"check\"}}", 7},
        // Anything else: nobody may take it for a safe end.
        {"{\"state\":\"sideways\"}", 8},
        {"{}", 8},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        DRV_AUTO_JSON json_t *j = json_loads(cases[i].result, 0, NULL);
        if (cli_result_exit(j) != cases[i].exit)
            fail_msg("%s gives %d", cases[i].result, cli_result_exit(j));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_move_is_followed_to_its_result),
        cmocka_unit_test(json_moves_are_events_and_a_result),
        cmocka_unit_test(all_options_become_arguments),
        cmocka_unit_test(detach_prints_the_id_alone),
        cmocka_unit_test(ctrl_c_detaches_and_never_cancels),
        cmocka_unit_test(a_dry_run_only_checks),
        cmocka_unit_test(a_refused_move_lists_every_finding),
        cmocka_unit_test(attach_shows_progress_from_the_first_event),
        cmocka_unit_test(an_end_that_is_not_known_is_not_called_safe),
        cmocka_unit_test(results_have_their_exit_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
