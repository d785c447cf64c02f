// SPDX-License-Identifier: GPL-3.0-or-later
// drover doctor against an agent that answers from a script, as root of its host without a ticket:
// whom it asks, what it shows, its exit status.
#include "command.h"

#define HOSTS                                                                                      \
    "{\"return\":[{\"name\":\"HV1\",\"fqdn\":\"hv1.x\"},{\"name\":\"HV2\",\"fqdn\":\"hv2.x\"}]}"
#define FOUND(list) "{\"return\":{\"host\":\"hv1.x\",\"findings\":[" list "]}}"
#define OK_ONE "{\"id\":\"K06\",\"severity\":\"ok\",\"host\":\"hv1.x\",\"text\":\"keytab fits\"}"
#define BAD_ONE                                                                                    \
    "{\"id\":\"R01\",\"severity\":\"error\",\"host\":\"hv2.x\",\"text\":\"receive is "             \
    "off\",\"fix\":"                                                                               \
    "\"turn it on\",\"command\":\"drover host set receive=on\",\"at\":\"hv2.x\"}"

static void run_with(const char *found, struct fake_agent *agent, struct fake_run *r,
                     const char *option)
{
    const struct fake_answer script[] = {
        {"host.list", HOSTS, {0}}, {"doctor.host", found, {0}}, {NULL, NULL, {0}}};
    fake_start(agent, script);
    RUN(r, agent, "doctor", option);
}

static void root_without_a_ticket_asks_its_own_host(void **state)
{
    (void)state;
    struct fake_agent agent;
    struct fake_run r;
    if (geteuid() != 0)
        skip();
    run_with(FOUND(OK_ONE), &agent, &r, NULL);
    assert_int_equal(r.status, 0);
    assert_has(fake_log(&agent),
               "doctor.host {\"identity\":false,\"peers\":[\"hv1.example.lan\",\"hv1.x\","
               "\"hv2.x\"],\"renew\":false}");
    assert_has(r.out, "only this host is asked");
    assert_null(strstr(r.out, "keytab fits")); // what is in order is counted
    assert_has(r.out, "1 checks passed");
    fake_stop(&agent);
}

static void a_finding_comes_with_its_command(void **state)
{
    (void)state;
    struct fake_agent agent;
    struct fake_run r;
    if (geteuid() != 0)
        skip();
    run_with(FOUND(OK_ONE "," BAD_ONE), &agent, &r, "--all");
    assert_int_equal(r.status, DRV_EXIT_UNREACHABLE);
    assert_has(r.out, "keytab fits");
    assert_has(r.out, "Run: drover host set receive=on   (on hv2.x, as root)");
    fake_stop(&agent);
    run_with(FOUND(BAD_ONE "," BAD_ONE), &agent, &r, "--json");
    json_t *j = json_loads(r.out, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(j, "findings")), 2); // the ticket, and one
    json_decref(j);
    fake_stop(&agent);
}

static void what_is_no_list_of_findings_is_said(void **state)
{
    (void)state;
    struct fake_agent agent;
    struct fake_run r;
    if (geteuid() != 0)
        skip();
    run_with("{\"return\":{\"findings\":[{\"id\":\"toolong\",\"severity\":\"x\",\"text\":1}]}}",
             &agent, &r, NULL);
    assert_int_equal(r.status, DRV_EXIT_UNREACHABLE);
    assert_has(r.out, "R04");
    fake_stop(&agent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root_without_a_ticket_asks_its_own_host),
        cmocka_unit_test(a_finding_comes_with_its_command),
        cmocka_unit_test(what_is_no_list_of_findings_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
