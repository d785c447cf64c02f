// SPDX-License-Identifier: GPL-3.0-or-later
// The program itself against an agent that answers from a script: what it asks, what it prints, and
// its exit status. Moves that are followed: test_move.c.
#include "command.h"

#define ID "3f2a81c0-1111-4222-8333-444455556666"

static void without_a_ticket_a_move_says_kinit(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {{0}};
    struct fake_agent agent;
    struct fake_run r;
    fake_start(&agent, script);
    RUN(&r, &agent, "move", "web", "--to", "hv2.example.lan");
    assert_int_equal(r.status, DRV_EXIT_AUTH);
    assert_has(r.err, "kinit USER");
    assert_string_equal(fake_log(&agent), ""); // nothing was asked
    fake_stop(&agent);
}

static void lists_are_tables_tabs_or_json(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {
        {"vm.list",
         "{\"return\":[{\"name\":\"web\",\"uuid\":\"u1\",\"state\":\"running\",\"memory_kib\":"
         "262152,"
         "\"vcpus\":2,\"home_store\":\"vms\",\"why\":\"paused: disk0 "
         "failed\",\"busy\":\"\",\"epoch\":4,\"host\":\"hv1.example.lan\"},"
         "{\"name\":\"longer-name\",\"state\":\"x\\u001b[2J\",\"memory_kib\":1048576,\"vcpus\":1}]"
         "}",
         {NULL}},
        {0}};
    struct fake_agent agent;
    struct fake_run r;
    fake_start(&agent, script);
    RUN(&r, &agent, "vm", "list");
    assert_int_equal(r.status, 0);
    assert_has(r.out, "NAME         STATE    MEMORY   CPUS  STORE  EPOCH  DOING  MOVE  HOST\n"
                      "web          running  256 MiB  2     vms    4      -      -     hv1\n");
    assert_has(r.out, "web: paused: disk0 failed\n");
    assert_has(r.out, "longer-name  x?[2J");
    RUN(&r, &agent, "vm", "list", "--plain");
    assert_has(r.out, "web\trunning\t262152\t2\tvms\t4\t\t\thv1.example.lan\n");
    assert_lacks(r.out, "NAME");
    RUN(&r, &agent, "--json", "vm", "list");
    char *end = strchr(r.out, '\n');
    assert_non_null(end);
    *end = '\0';
    DRV_AUTO_JSON json_t *one = json_loads(r.out, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(one, "name")), "web");
    assert_int_equal(json_integer_value(json_object_get(one, "schema")), 1);
    fake_stop(&agent);
}

static void a_vm_is_shown_with_its_owner(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {
        {"vm.show",
         "{\"return\":{\"name\":\"web\",\"state\":\"stopped\",\"host\":\"hv1.example.lan\","
         "\"memory_kib\":262152,"
         "\"vcpus\":1,\"why\":\"\",\"definition\":{\"disks\":[{\"id\":\"disk0\",\"format\":"
         "\"qcow2\","
         "\"path\":\"web/"
         "disk0.qcow2\",\"store\":\"vms\"}]},\"record\":{\"epoch\":5,\"body\":{\"state\":"
         "\"running\",\"host\":\"hv2.example.lan\"}},\"held\":true,\"findings\":[]}}",
         {NULL}},
        {0}};
    struct fake_agent agent;
    struct fake_run r;
    fake_start(&agent, script);
    RUN(&r, &agent, "vm", "show", "web");
    assert_int_equal(r.status, 0);
    assert_has(r.out, "state     stopped on hv1\n");
    assert_has(r.out, "disk0     qcow2 web/disk0.qcow2 on vms\n");
    assert_has(r.out, "owner     epoch 5: running, hv2, held\n");
    RUN(&r, &agent, "vm", "show", "web", "--plain");
    assert_has(r.out, "definition.disks.disk0.path\tweb/disk0.qcow2\n");
    assert_has(r.out, "record.body.host\thv2.example.lan\n");
    fake_stop(&agent);
}

static void a_created_vm_is_asked_for_exactly(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {
        {"vm.create", "{\"return\":{\"vm\":\"u\",\"notices\":[\"memory is 262152 KiB\"]}}", {NULL}},
        {0}};
    struct fake_agent agent;
    struct fake_run r;
    fake_start(&agent, script);
    RUN(&r, &agent, "vm", "create", "web", "--store", "vms", "--memory", "4G", "--cpus", "2",
        "--disk", "40G,format=raw,store=fast", "--import", "/tmp/a, b.vhdx", "--disk",
        "import=/tmp/x.img", "--network", "br0,mac=52:54:00:00:00:01", "--accel", "tcg", "--cdrom",
        "isos/a/b:c.iso", "--cdrom", "empty", "--notes", "a, b");
    assert_int_equal(r.status, 0);
    assert_has(r.out, "Note: memory is 262152 KiB\n");
    assert_string_equal(
        fake_log(&agent),
        "vm.create "
        "{\"accel\":\"tcg\",\"cdroms\":[{\"path\":\"a/"
        "b:c.iso\",\"store\":\"isos\"},{}],\"disks\":[{\"format\":\"raw\",\"size_bytes\":"
        "42949672960,"
        "\"store\":\"fast\"},{\"import\":\"/tmp/a, "
        "b.vhdx\"},{\"import\":\"/tmp/x.img\"}],\"memory_mib\":4096,\"name\":\"web\","
        "\"nics\":[{\"mac\":\"52:54:00:00:00:01\",\"network\":\"br0\"}],\"notes\":\"a, b\","
        "\"store\":\"vms\",\"vcpus\":2}\n");
    fake_stop(&agent);
}

static void an_import_says_which_step_it_is_at(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {
        {"vm.create",
         "{\"return\":{\"vm\":\"u\",\"notices\":[]}}",
         {"{\"event\":\"import\",\"id\":1,\"disk\":\"disk0\",\"step\":\"copy\",\"percent\":1}",
          "{\"event\":\"import\",\"id\":1,\"disk\":\"disk0\",\"step\":\"copy\",\"percent\":100}",
          "{\"event\":\"import\",\"id\":1,\"disk\":\"d\\u001b[2J\",\"step\":\"compare\","
          "\"percent\":2}"}},
        {0}};
    struct fake_agent agent;
    struct fake_run r;
    fake_start(&agent, script);
    RUN(&r, &agent, "vm", "create", "web", "--store", "vms", "--memory", "4G", "--import", "/x");
    assert_int_equal(r.status, 0);
    assert_string_equal(r.err, "disk0: copy\nd?[2J: compare\n"); // a line a step in a log
    fake_stop(&agent);
}

static void changes_are_asked_for_exactly(void **state)
{
    (void)state;
    static const char done[] = "{\"return\":{\"notices\":[\"cpus wait\"]}}";
    static const struct fake_answer script[] = {
        {"vm.set", done, {NULL}}, {"vm.insert", done, {NULL}}, {"vm.eject", done, {NULL}}, {0}};
    struct fake_agent agent;
    struct fake_run r;
    fake_start(&agent, script);
    RUN(&r, &agent, "vm", "set", "web", "cpus=4", "--add-disk", "8M", "--remove", "nic0",
        "--add-cdrom", "empty");
    assert_int_equal(r.status, 0);
    assert_has(r.out, "Note: cpus wait\n");
    RUN(&r, &agent, "vm", "insert", "web", "cd1", "isos/a.iso");
    assert_int_equal(r.status, 0);
    RUN(&r, &agent, "vm", "eject", "web");
    assert_int_equal(r.status, 0);
    assert_string_equal(
        fake_log(&agent),
        "vm.set {\"add_cdroms\":[{}],\"add_disks\":[{\"size_bytes\":8388608}],\"remove\":"
        "[\"nic0\"],\"set\":{\"cpus\":\"4\"},\"vm\":\"web\"}\n"
        "vm.insert {\"drive\":\"cd1\",\"path\":\"a.iso\",\"store\":\"isos\",\"vm\":\"web\"}\n"
        "vm.eject {\"vm\":\"web\"}\n");
    fake_stop(&agent);
}

static int run_help(void *arg)
{
    const char *const *words = arg;
    execl(DROVER_BIN, "drover", "help", words[0], words[1], (char *)NULL);
    return 99;
}

static void help_is_a_verb_too(void **state)
{
    (void)state;
    static const char *const asked[][3] = {
        {NULL, NULL, "  vm rename"},
        {"vm", NULL, "  vm rename"},
        {"vm", "start", "Usage: drover vm start"},
        {"vm", "create", "Usage: drover vm create"},
        {"move", NULL, "Usage: drover move"},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(asked); i++) {
        struct fake_run r;
        fake_run(&r, run_help, (void *)(uintptr_t)asked[i], NULL, 0);
        assert_int_equal(r.status, 0);
        assert_has(r.out, asked[i][2]);
        for (const char *line = r.out; line;
             line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
            assert_true(strcspn(line, "\n") < 80);
    }
}

static bool in(const struct argp_option *options, const char *name)
{
    for (const struct argp_option *o = options; o && o->name; o++)
        if (!strcmp(o->name, name))
            return true;
    return false;
}

// What the examples of a verb show can be typed: argp has not broken a line, and each option is
// one of the verb's.
static void examples_can_be_typed(void **state)
{
    (void)state;
    for (const struct cli_verb *v = cli_verbs; v->noun; v++) {
        DRV_AUTO_FREE char *text = drv_xstrdup(v->examples);
        char *save_line, *save_word;
        for (char *line = strtok_r(text, "\n", &save_line); line;
             line = strtok_r(NULL, "\n", &save_line)) {
            if (strlen(line) > 79)
                fail_msg("%s %s: too long: %s", v->noun, v->verb ? v->verb : "", line);
            for (char *word = strtok_r(line, " ", &save_word); word;
                 word = strtok_r(NULL, " ", &save_word)) {
                if (strncmp(word, "--", 2) != 0)
                    continue;
                word[strcspn(word, "=")] = 0;
                if (!in(v->options, word + 2) && !in(cli_global_options, word + 2))
                    fail_msg("%s %s: no option %s", v->noun, v->verb ? v->verb : "", word);
            }
        }
    }
}

static void usage_errors_are_2_and_ask_nobody(void **state)
{
    (void)state;
    static const char *const lines[][8] = {
        {"drover"},
        {"drover", "mvoe"},
        {"drover", "vm"},
        {"drover", "vm", "strat"},
        {"drover", "move"},
        {"drover", "move", "web", "extra", "--to", "hv2.a"},
        {"drover", "move", "web"},
        {"drover", "move", "web", "--to", "10.0.0.1"},
        {"drover", "move", "web", "--to", "hv2.a", "--disk", "disk0"},
        {"drover", "move", "web", "--to", "hv2.a", "--max-blackout", "soon"},
        {"drover", "move", "web", "--bogus"},
        {"drover", "vm", "create", "web"},
        {"drover", "vm", "set", "web"},
        {"drover", "vm", "set", "web", "cpus"},
        {"drover", "vm", "insert", "web", "a.iso"},
        {"drover", "vm", "create", "web", "--store=s", "--memory=4X"},
        {"drover", "vm", "create", "web", "--store=s", "--memory=4G", "--disk=store=s"},
        {"drover", "vm", "create", "web", "--store=s", "--memory=4G", "--disk=40"},
        {"drover", "vm", "create", "web", "--store=s", "--memory=4G"},
        {"drover", "vm", "create", "web", "--store=s", "--memory=4G", "--disk=1G,stroe=s"},
        {"drover", "vm", "create", "web", "--store=s", "--memory=4G", "--accel=xen"},
        {"drover", "vm", "delete", "web"}, // stdin is no terminal
        {"drover", "vm", "stop", "web", "--force", "--no-input"},
        {"drover", "vm", "start", "web", "--host-is-dead"},
        {"drover", "vm", "register", "web"},
        {"drover", "store", "add", "s", "/srv"},
        {"drover", "store", "add", "../s", "local:/srv"},
        {"drover", "host", "set", "receive"},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(lines); i++) {
        struct fake_run r;
        struct command cmd = {NULL, {NULL}};
        memcpy(cmd.argv, lines[i], sizeof lines[i]);
        fake_run(&r, exec_drover, &cmd, NULL, 0);
        if (r.status != 2)
            fail_msg("line %zu gives %d: %s%s", i, r.status, r.out, r.err);
        assert_string_equal(r.out, "");
        assert_true(r.err[0]);
    }
}

static void help_is_no_error(void **state)
{
    (void)state;
    struct fake_run r;
    RUN(&r, NULL, "--help");
    assert_int_equal(r.status, 0);
    assert_has(r.out, "drover move web01 --to hv2");
    RUN(&r, NULL, "vm", "--help");
    assert_int_equal(r.status, 0);
    assert_has(r.out, "  vm start ");
    RUN(&r, NULL, "move", "--help");
    assert_int_equal(r.status, 0);
    assert_true(strstr(r.out, "drover move web01") <
                strstr(r.out, "--keep-source")); // examples first
    RUN(&r, NULL, "--version");
    assert_int_equal(r.status, 0);
    assert_has(r.out, "drover " DROVER_VERSION);
}

static void refusals_keep_the_agents_words(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {{"vm.start",
                                                 "{\"error\":{\"code\":\"attention\",\"msg\":\"hv2 "
                                                 "owns it\\u001b[31m\",\"hint\":\"look\"}}",
                                                 {NULL}},
                                                {0}};
    struct fake_agent agent;
    struct fake_run r;
    fake_start(&agent, script);
    RUN(&r, &agent, "vm", "start", "web");
    assert_int_equal(r.status, DRV_EXIT_ATTENTION);
    assert_string_equal(r.err, "drover: hv2 owns it?[31m\n  hint: look\n");
    assert_string_equal(r.out, "");
    RUN(&r, &agent, "vm", "start", "web", "--json");
    DRV_AUTO_JSON json_t *j = json_loads(r.out, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(json_object_get(j, "error"), "code")),
                        "attention");
    fake_stop(&agent);
}

static void the_beginning_of_an_id_is_enough(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {
        {"move.list",
         "{\"return\":[{\"move\":\"" ID
         "\",\"vm\":\"web\",\"state\":\"active\",\"phase\":\"copy\"},"
         "{\"move\":\"3f2b0000-1111-4222-8333-444455556666\"}]}",
         {NULL}},
        {"move.cancel", "{\"return\":{\"state\":\"cancelling\"}}", {NULL}},
        {0}};
    struct fake_agent agent;
    struct fake_run r;
    fake_start(&agent, script);
    RUN(&r, &agent, "cancel", "3f2a");
    assert_int_equal(r.status, 0);
    assert_has(fake_log(&agent), "move.cancel {\"move\":\"" ID "\"}\n");
    RUN(&r, &agent, "cancel", "3f2"); // two
    assert_int_equal(r.status, DRV_EXIT_USAGE);
    RUN(&r, &agent, "cancel", "web"); // by the VM
    assert_int_equal(r.status, 0);
    RUN(&r, &agent, "cancel", "77");
    assert_int_equal(r.status, DRV_EXIT_FAILED);
    RUN(&r, &agent, "jobs");
    assert_has(r.out, "3f2a81c0  web");
    fake_stop(&agent);
}

static void a_move_is_adjusted_by_its_vm(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {
        {"move.list", "{\"return\":[{\"move\":\"" ID "\",\"vm\":\"web\"}]}", {NULL}},
        {"move.set", "{\"return\":{}}", {NULL}},
        {0}};
    struct fake_agent agent;
    struct fake_run r;
    fake_start(&agent, script);
    RUN(&r, &agent, "adjust", "web", "--max-blackout=4s", "--bandwidth=10M", "--throttle=80",
        "--wait=10m");
    assert_int_equal(r.status, 0);
    assert_has(fake_log(&agent), "move.set {\"bandwidth_bps\":10485760,\"max_blackout_ms\":4000,"
                                 "\"move\":\"" ID "\",\"throttle_percent\":80,\"wait_s\":600}");
    static const char *const wrong[] = {"--throttle=0", "--throttle=100", "--max-blackout=soon"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(wrong); i++) {
        RUN(&r, &agent, "adjust", "web", wrong[i]);
        assert_int_equal(r.status, DRV_EXIT_USAGE);
    }
    RUN(&r, &agent, "adjust", "web");
    assert_int_equal(r.status, DRV_EXIT_USAGE);
    fake_stop(&agent);
}

static void settings_go_over_as_given(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {
        {"host.set",
         "{\"return\":{\"settings\":{\"receive\":\"on\",\"move_networks\":\"10.0.0.0/8\"}}}",
         {NULL}},
        {0}};
    struct fake_agent agent;
    struct fake_run r;
    fake_start(&agent, script);
    RUN(&r, &agent, "host", "set", "receive=yes", "move_networks=10.0.0.0/8");
    assert_int_equal(r.status, 0);
    assert_has(r.out, "receive = on\n");
    assert_string_equal(
        fake_log(&agent),
        "host.set {\"set\":{\"move_networks\":\"10.0.0.0/8\",\"receive\":\"yes\"}}\n");
    fake_stop(&agent);
}

static void delete_needs_a_yes(void **state)
{
    (void)state;
    static const struct fake_answer script[] = {{"vm.delete", "{\"return\":{}}", {NULL}}, {0}};
    struct fake_agent agent;
    struct fake_run r;
    fake_start(&agent, script);
    RUN(&r, &agent, "vm", "delete", "web");
    assert_int_equal(r.status, 2);
    assert_has(r.err, "--yes");
    assert_string_equal(fake_log(&agent), "");
    RUN(&r, &agent, "vm", "delete", "web", "--yes");
    assert_int_equal(r.status, 0);
    assert_string_equal(fake_log(&agent), "vm.delete {\"keep_disks\":false,\"vm\":\"web\"}\n");
    fake_stop(&agent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_ticket_a_move_says_kinit),
        cmocka_unit_test(lists_are_tables_tabs_or_json),
        cmocka_unit_test(a_vm_is_shown_with_its_owner),
        cmocka_unit_test(a_created_vm_is_asked_for_exactly),
        cmocka_unit_test(an_import_says_which_step_it_is_at),
        cmocka_unit_test(changes_are_asked_for_exactly),
        cmocka_unit_test(help_is_a_verb_too),
        cmocka_unit_test(examples_can_be_typed),
        cmocka_unit_test(usage_errors_are_2_and_ask_nobody),
        cmocka_unit_test(help_is_no_error),
        cmocka_unit_test(refusals_keep_the_agents_words),
        cmocka_unit_test(the_beginning_of_an_id_is_enough),
        cmocka_unit_test(a_move_is_adjusted_by_its_vm),
        cmocka_unit_test(settings_go_over_as_given),
        cmocka_unit_test(delete_needs_a_yes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
