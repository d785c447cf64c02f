// SPDX-License-Identifier: GPL-3.0-or-later
// What monitoring systems are told: line and status of the plugin, and Prometheus' text format.
#include "fake_agent.h"

#include "health.h"

#define MOVES                                                                                      \
    "\"moves\":{\"source\":{\"active\":1,\"done\":3,\"failed\":2,\"attention\":0},"                \
    "\"destination\":{\"active\":0,\"done\":5,\"failed\":0,\"attention\":0}}"
#define GOOD_STORE                                                                                 \
    "{\"store\":\"VM\",\"up\":true,\"free_bytes\":1000,\"total_bytes\":4000000000000}"
#define RUNS "{\"vm\":\"web\",\"state\":\"running\",\"trouble\":\"\",\"why\":\"\"}"
#define STATUS(ticket, vms, attention, stores)                                                     \
    "{\"host\":\"hv1.x\",\"version\":\"1.2\",\"uptime_s\":7,\"ticket\":{\"lifetime_s\":" ticket    \
    "},\"vms\":[" vms "]," MOVES ",\"attention\":[" attention "],\"last_move\":null,"              \
    "\"stores\":[" stores "]}"
#define VM(trouble, why)                                                                           \
    "{\"vm\":\"a\",\"state\":\"paused\",\"trouble\":\"" trouble "\",\"why\":\"" why "\"}"

static json_t *parse(const char *text)
{
    json_t *j = json_loads(text, 0, NULL);
    if (!j)
        fail_msg("no JSON: %s", text);
    return j;
}

static void judged(const char *text, enum health expected, const char *begin)
{
    DRV_AUTO_JSON json_t *status = parse(text);
    DRV_AUTO_FREE char *line = NULL;
    enum health h = health_judge(status, NULL, &line);
    if (h != expected || strncmp(line, begin, strlen(begin)) != 0)
        fail_msg("%d %s", h, line);
    assert_null(strchr(line, '\n'));
    const char *bar = strchr(line, '|');
    assert_non_null(bar);
    assert_null(strchr(bar + 1, '|'));
}

static void in_order(void **state)
{
    (void)state;
    DRV_AUTO_JSON json_t *status = parse(STATUS("36000", RUNS, "", GOOD_STORE));
    DRV_AUTO_FREE char *line = NULL;
    assert_int_equal(health_judge(status, NULL, &line), HEALTH_OK);
    assert_string_equal(line, "DROVER OK - 1 of 1 VMs run, drover 1.2|vms=1;;;0 vms_running=1;;;0 "
                              "moves_active=1;;;0 ticket=36000s;3600:;1: "
                              "'free_VM'=1000B;;;0;4000000000000");
    judged(STATUS("3600", "", "", ""), HEALTH_OK, "DROVER OK - 0 of 0 VMs run");
}

static void what_is_wrong_is_judged(void **state)
{
    (void)state;
    judged(STATUS("3599", RUNS, "", GOOD_STORE), HEALTH_WARNING,
           "DROVER WARNING - the host's ticket ends in 59 min|");
    judged(STATUS("0", RUNS, "", ""), HEALTH_CRITICAL,
           "DROVER CRITICAL - the host has no ticket: it has ended|");
    judged(STATUS("36000", VM("fenced", "fenced (S07): hv2 has it"), "", ""), HEALTH_CRITICAL,
           "DROVER CRITICAL - VM a is fenced: fenced (S07): hv2 has it|");
    judged(STATUS("36000", VM("panicked", "crashed"), "", ""), HEALTH_CRITICAL,
           "DROVER CRITICAL - VM a is panicked: crashed|");
    judged(STATUS("36000", VM("attention", "x"), "", ""), HEALTH_CRITICAL,
           "DROVER CRITICAL - VM a is in need of attention: x|");
    judged(STATUS("36000", VM("paused", "paused (S14): away"), "", ""), HEALTH_CRITICAL,
           "DROVER CRITICAL - VM a is paused: paused (S14): away|");
    judged(STATUS("36000", VM("paused", ""), "", ""), HEALTH_WARNING,
           "DROVER WARNING - VM a is paused|");
    judged(STATUS("36000", VM("slow", "waits"), "", ""), HEALTH_WARNING,
           "DROVER WARNING - VM a is slow: waits|");
    judged(STATUS("36000", RUNS, "{\"move\":\"0123456789\",\"vm\":\"web\"}", ""), HEALTH_CRITICAL,
           "DROVER CRITICAL - move 01234567 of VM web needs attention|");
    judged(STATUS("36000", RUNS, "", "{\"store\":\"s\",\"up\":false,\"error\":\"refused\"}"),
           HEALTH_CRITICAL, "DROVER CRITICAL - store s cannot be reached: refused|");
}

static void the_worst_comes_first(void **state)
{
    (void)state;
    judged(STATUS("60", VM("fenced", ""), "", ""), HEALTH_CRITICAL,
           "DROVER CRITICAL - VM a is fenced, the host's ticket ends in 1 min|");
}

static void foreign_text_stays_text(void **state)
{
    (void)state;
    judged(STATUS("36000", VM("paused", "one\\ntwo|vms=9"), "", ""), HEALTH_CRITICAL,
           "DROVER CRITICAL - VM a is paused: one two/vms=9|");
}

static void no_answer_is_judged_by_its_cause(void **state)
{
    (void)state;
    static const struct {
        enum drv_code code;
        enum health expected;
        const char *line;
    } cases[] = {
        {DRV_EUNREACHABLE, HEALTH_CRITICAL, "DROVER CRITICAL - no agent"},
        {DRV_ETIMEDOUT, HEALTH_CRITICAL, "DROVER CRITICAL - no agent"},
        {DRV_EDENIED, HEALTH_UNKNOWN, "DROVER UNKNOWN - no agent"},
        {DRV_EINVAL, HEALTH_UNKNOWN, "DROVER UNKNOWN - no agent"},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        struct drv_err why = DRV_ERR_INIT;
        DRV_AUTO_FREE char *line = NULL;
        drv_err(&why, cases[i].code, "no agent");
        assert_int_equal(health_judge(NULL, &why, &line), cases[i].expected);
        assert_string_equal(line, cases[i].line);
    }
}

static void metrics_are_exact(void **state)
{
    (void)state;
    DRV_AUTO_JSON json_t *status = parse(
        STATUS("36000", "{\"vm\":\"a\\\"\\\\\\n\",\"state\":\"paused\",\"trouble\":\"fenced\"}", "",
               GOOD_STORE ",{\"store\":\"s\",\"up\":false,\"error\":\"x\"}"));
    json_object_set_new(status, "last_move",
                        json_pack("{s:f, s:f, s:I}", "blackout_ms", 48.0, "total_ms", 12000.0,
                                  "ended", (json_int_t)1700000000123));
    DRV_AUTO_FREE char *text = health_metrics(status);
    static const char *const samples[] = {
        "drover_up 1",
        "drover_info{version=\"1.2\"} 1",
        "drover_uptime_seconds 7",
        "drover_ticket_lifetime_seconds 36000",
        "drover_vm_state{vm=\"a\\\"\\\\\\n\",state=\"paused\"} 1",
        "drover_vm_trouble{vm=\"a\\\"\\\\\\n\",trouble=\"fenced\"} 1",
        "drover_moves{role=\"source\",state=\"active\"} 1",
        "drover_moves{role=\"source\",state=\"attention\"} 0",
        "drover_moves{role=\"destination\",state=\"active\"} 0",
        "drover_moves{role=\"destination\",state=\"attention\"} 0",
        "drover_moves_total{role=\"source\",result=\"done\"} 3",
        "drover_moves_total{role=\"source\",result=\"failed\"} 2",
        "drover_moves_total{role=\"destination\",result=\"done\"} 5",
        "drover_moves_total{role=\"destination\",result=\"failed\"} 0",
        "drover_last_move_blackout_seconds 0.048",
        "drover_last_move_duration_seconds 12.000",
        "drover_last_move_end_timestamp_seconds 1700000000.123",
        "drover_store_up{store=\"VM\"} 1",
        "drover_store_up{store=\"s\"} 0",
        "drover_store_free_bytes{store=\"VM\"} 1000",
        "drover_store_size_bytes{store=\"VM\"} 4000000000000",
    };
    // Each sample in its place, below the HELP and TYPE of its own name.
    char name[64] = "", help[128], type[128];
    size_t n = 0;
    char *next = text;
    for (char *line; *next;) {
        line = next;
        next = strchr(line, '\n');
        assert_non_null(next); // the last line ends, too
        *next++ = '\0';
        if (*line == '#') {
            assert_int_equal(sscanf(line, "# HELP %63s", name), 1);
            snprintf(help, sizeof help, "# HELP %s ", name);
            assert_int_equal(strncmp(line, help, strlen(help)), 0);
            line = next;
            next = strchr(line, '\n');
            assert_non_null(next);
            *next++ = '\0';
            snprintf(type, sizeof type, "# TYPE %s %s", name,
                     strstr(name, "_total") ? "counter" : "gauge");
            assert_string_equal(line, type);
            continue;
        }
        assert_true(n < DRV_ARRAY_LEN(samples));
        assert_string_equal(line, samples[n++]);
        assert_int_equal(strncmp(line, name, strlen(name)), 0);
        assert_int_equal(strcspn(line, "{ "), strlen(name));
    }
    assert_int_equal(n, DRV_ARRAY_LEN(samples));
}

static void without_an_agent_up_is_0(void **state)
{
    (void)state;
    DRV_AUTO_FREE char *text = health_metrics(NULL);
    assert_string_equal(text, "# HELP drover_up 1 when the agent answers.\n"
                              "# TYPE drover_up gauge\n"
                              "drover_up 0\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order),
        cmocka_unit_test(what_is_wrong_is_judged),
        cmocka_unit_test(the_worst_comes_first),
        cmocka_unit_test(foreign_text_stays_text),
        cmocka_unit_test(no_answer_is_judged_by_its_cause),
        cmocka_unit_test(metrics_are_exact),
        cmocka_unit_test(without_an_agent_up_is_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
