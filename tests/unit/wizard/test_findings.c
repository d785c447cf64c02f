// SPDX-License-Identifier: GPL-3.0-or-later
// Whatever a check can find is shown whole, with its repair: on screens large and small, as far as
// scrolling goes, and in lines.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "desk.h"
#include "drover/loop.h"
#include "plain.h"

enum { SEEN = 65536, KEYS_MAX = 400 };

// The finding of the table as an agent would send it, with a text and a command that are long.
static void check_finds(struct desk *d, const struct drv_finding_def *def)
{
    struct drv_findings f = {0};
    DRV_AUTO_JSON json_t *reply = NULL;
    drv_finding_add_as(&f, DRV_SEV_ERROR, def->id, "hv2.x",
                       "the matter of %s on hv2.x is told at length, so that it takes more than a "
                       "line wherever it is shown, to the very end of textend",
                       def->id);
    drv_finding_command(&f, "a-host-with-a-long-name.x",
                        "drover -H hv2.x host set roles=admin=VM-Admins,operator=VM-Operators "
                        "and whatever else is wanted until commandend");
    reply = json_pack("{s:o}", "findings", drv_findings_to_json(&f));
    drv_findings_done(&f);
    DRV_AUTO_FREE char *text = json_dumps(reply, 0);
    desk_answer(d, "hv1.x", "move.check", text);
}

// hv1's web1 to hv2, checked. `permit`: such a finding makes it ask once more.
static void open_check(struct desk *d, const struct drv_finding_def *def)
{
    desk_focus(d, "web1");
    desk_key(d, '\r');
    desk_answer(d, "hv1.x", "vm.show",
                "{\"name\":\"web1\",\"definition\":{\"disks\":[{\"id\":\"a\",\"store\":\"VM\"}]}}");
    desk_key(d, 'n');
    desk_focus(d, "hv2");
    desk_key(d, '\r');
    desk_key(d, 'n');
    check_finds(d, def);
    if (!d->t.plan.checked)
        check_finds(d, def);
    assert_true(d->t.plan.checked);
}

static void see(char *seen, const char *text)
{
    size_t at = strlen(seen);
    assert_true(at + strlen(text) + 2 < SEEN);
    snprintf(seen + at, SEEN - at, "%s\n", text);
}

// What a screen of this size shows on the way down to the end, and on the way up again.
static void scroll(struct desk *d, char *seen, unsigned columns, unsigned rows, int code)
{
    for (int i = 0; i < KEYS_MAX; i++) {
        tui_build(&d->t, &d->doc, columns, rows, true);
        const struct tui_panel *p = tui_top(&d->t);
        for (unsigned k = p->top; k < p->top + rows && k < d->doc.n; k++) {
            if (tui_width(d->doc.lines[k].text) > columns)
                fail_msg("cut at %u columns: %s", columns, d->doc.lines[k].text);
            see(seen, d->doc.lines[k].text);
        }
        bool end =
            code == TUI_K_UP || code == TUI_K_PAGE_UP ? p->top == 0 : p->top + rows >= d->doc.n;
        if (end)
            return;
        tui_type(&d->t, &d->doc, code);
    }
    fail_msg("no end is reached at %ux%u with key %x", columns, rows, (unsigned)code);
}

static void find_words(const char *seen, const char *words, const char *id)
{
    char copy[1024], *at, *word;
    DRV_COPY(copy, words);
    tui_clean(copy, true);
    for (word = strtok_r(copy, " ", &at); word; word = strtok_r(NULL, " ", &at))
        if (!strstr(seen, word))
            fail_msg("%s: \"%s\" is not to be seen", id, word);
}

static void find_all(const char *seen, const struct drv_finding_def *def)
{
    find_words(seen, def->id, def->id);
    find_words(seen, def->title, def->id);
    find_words(seen, def->fix, def->id);
    find_words(seen, "textend commandend a-host-with-a-long-name r checks again.", def->id);
}

static void every_finding(int down, int up)
{
    static const unsigned sizes[][2] = {{80, 19}, {50, 7}}; // bodies of 80x24 and 50x10
    for (unsigned i = 0; i < drv_finding_defs_count; i++)
        for (unsigned k = 0; k < DRV_ARRAY_LEN(sizes); k++) {
            void *state;
            static char seen[SEEN];
            desk_begin(&state);
            struct desk *d = state;
            open_check(d, &drv_finding_defs[i]);
            seen[0] = '\0';
            scroll(d, seen, sizes[k][0], sizes[k][1], down);
            find_all(seen, &drv_finding_defs[i]);
            seen[0] = '\0';
            scroll(d, seen, sizes[k][0], sizes[k][1], up);
            find_all(seen, &drv_finding_defs[i]);
            desk_end(&state);
        }
}

static void every_finding_can_be_read_line_by_line(void **state)
{
    (void)state;
    every_finding(TUI_K_DOWN, TUI_K_UP);
}

static void every_finding_can_be_read_page_by_page(void **state)
{
    (void)state;
    every_finding(TUI_K_PAGE_DOWN, TUI_K_PAGE_UP);
}

// What tui_plain_show() prints. stdin is a pipe on which nothing comes.
static void print_plain(struct desk *d, char *ret, size_t size)
{
    struct drv_err err = DRV_ERR_INIT;
    struct drv_loop *loop = drv_loop_new(&err);
    FILE *file = tmpfile();
    int out = dup(STDOUT_FILENO), in = dup(STDIN_FILENO), ends[2];
    assert_non_null(file);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fflush(stdout);
    dup2(ends[0], STDIN_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    int rc = tui_plain_begin(loop, &d->t, true, &err);
    tui_plain_end();
    fflush(stdout);
    dup2(out, STDOUT_FILENO);
    dup2(in, STDIN_FILENO);
    close(out);
    close(in);
    close(ends[0]);
    close(ends[1]);
    drv_loop_free(loop);
    assert_int_equal(rc, 0);
    rewind(file);
    ret[fread(ret, 1, size - 1, file)] = '\0';
    fclose(file);
}

static void every_finding_is_printed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < drv_finding_defs_count; i++) {
        void *desk;
        static char seen[SEEN];
        desk_begin(&desk);
        open_check(desk, &drv_finding_defs[i]);
        print_plain(desk, seen, sizeof seen);
        find_all(seen, &drv_finding_defs[i]);
        desk_end(&desk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_finding_can_be_read_line_by_line),
        cmocka_unit_test(every_finding_can_be_read_page_by_page),
        cmocka_unit_test(every_finding_is_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
