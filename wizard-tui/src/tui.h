// SPDX-License-Identifier: GPL-3.0-or-later
// The wizard as a whole: what is known (model.h), which panel is open, where the focus is, what is
// being typed. ui.c turns commands into changes of it; screen.c and plain.c only show it.
#ifndef TUI_TUI_H
#define TUI_TUI_H

#include "doc.h"
#include "model.h"

enum tui_panel_kind {
    TUI_HOSTS,
    TUI_MOVE,
    TUI_PROGRESS,
    TUI_RESULT,
    TUI_JOBS,
    TUI_SETTINGS,
    TUI_DOCTOR,
    TUI_HELP,
    TUI_PANEL_MAX_,
};

enum tui_cmd {
    TUI_NOTHING,
    TUI_UP_CMD,
    TUI_DOWN_CMD,
    TUI_PAGE_UP,
    TUI_PAGE_DOWN,
    TUI_FIRST,
    TUI_LAST,
    TUI_ENTER,
    TUI_CHOOSE,
    TUI_NEXT,
    TUI_BACK,
    TUI_HELP_CMD,
    TUI_FILTER,
    TUI_REFRESH,
    TUI_REDRAW,
    TUI_MOVE_CMD,
    TUI_JOBS_CMD,
    TUI_SETTINGS_CMD,
    TUI_DOCTOR_CMD,
    TUI_CONSOLE_CMD,
    TUI_CANCEL_CMD,
    TUI_QUIT,
};

// One row is a key: what it does, on which panels, its place on the key bar and in the help
// (keys.c). Codes are characters or TUI_K_….
enum {
    TUI_K_UP = 0x200000,
    TUI_K_DOWN,
    TUI_K_LEFT,
    TUI_K_RIGHT,
    TUI_K_PAGE_UP,
    TUI_K_PAGE_DOWN,
    TUI_K_HOME,
    TUI_K_END,
    TUI_K_F1,
    TUI_K_F5,
    TUI_K_BACKTAB,
    TUI_K_BACKSPACE,
    TUI_K_RESIZE,
};
struct tui_key {
    enum tui_cmd cmd;
    int codes[4];
    const char *key, *label; // on the bar; label NULL = not there
    unsigned panels;         // bit mask
    const char *help;
};
extern const struct tui_key tui_keys[];
extern const unsigned tui_keys_count;
enum tui_cmd tui_key_cmd(enum tui_panel_kind panel, int code);
// The letter that does what a key does; 0 = there is none.
char tui_key_letter(const struct tui_key *k);
// The key bar as far as it fits.
void tui_key_bar(const struct tui *t, char *ret, size_t size, unsigned columns);
// The same for lines: what a letter, a number and an empty line do.
void tui_plain_bar(const struct tui *t, char *ret, size_t size);

enum tui_prompt_kind {
    TUI_PROMPT_NONE,
    TUI_PROMPT_FILTER,
    TUI_PROMPT_SETTING,
    TUI_PROMPT_CANCEL,
    TUI_PROMPT_BLACKOUT,
    TUI_PROMPT_NETWORK,
    TUI_PROMPT_QUIT,
};
struct tui_prompt {
    enum tui_prompt_kind kind;
    char text[256], buf[1024];
    char key[64]; // the setting
    unsigned index;
};

enum tui_pointer { TUI_CLICK, TUI_WHEEL_UP, TUI_WHEEL_DOWN };

struct tui_panel { // an open one
    enum tui_panel_kind kind;
    uint32_t focus;
    unsigned top;    // first line shown
    uint32_t adrift; // the focus, when text without anything to focus was scrolled over it; else 0
    char filter[64];
};

enum { TUI_DEPTH = 8, TUI_MESSAGE_MAX = 1024 };
struct tui {
    struct tui_port port;
    int64_t now_ms;
    struct tui_host hosts[TUI_HOSTS_MAX];
    unsigned n_hosts;
    char entry[256];       // whom host.list was asked of, once that is known
    struct tui_host *host; // of settings and doctor panels
    struct tui_plan plan;
    struct tui_progress progress;
    unsigned tickets;
    struct tui_panel panels[TUI_DEPTH];
    unsigned depth; // the open panel is panels[depth - 1]
    struct tui_prompt prompt;
    char message[TUI_MESSAGE_MAX];
    bool mouse; // this screen has one; for the help
    struct {
        uint32_t id;
        int64_t ms;
    } clicked; // last
    // Wishes to who holds the terminal, who empties them.
    struct {
        char host[256], vm[64]; // vm "" = none
    } console;
    char copy[1024]; // into the terminal's clipboard, "" = nothing
    bool redraw, quit;
    bool detached;   // a move goes on without us
    char keep[1024]; // a command that is printed on leaving, "" = none
};

struct tui_panel_def {
    const char *name;
    const char *tip; // its help's first lines
    void (*build)(struct tui *t, struct tui_doc *d);
    // True when the command was taken. id: of the focused line.
    bool (*act)(struct tui *t, enum tui_cmd cmd, uint32_t id);
    // What the line with this id means, NULL = nothing to add; ret is room for it. May be NULL.
    const char *(*explain)(const struct tui *t, uint32_t id, char *ret, size_t size);
};
// In an empty list: a host does not answer, or not to this user. False: all do, nothing is added.
bool tui_add_silence(const struct tui *t, struct tui_doc *d);
extern const struct tui_panel_def tui_panel_hosts, tui_panel_move, tui_panel_progress,
    tui_panel_result, tui_panel_jobs, tui_panel_settings, tui_panel_doctor, tui_panel_help;
const struct tui_panel_def *tui_panel_def(enum tui_panel_kind kind);

// hosts: names as given, n = 0 = the local agent. They are asked at the first tui_tick().
void tui_init(struct tui *t, const struct tui_port *port, const char *const *hosts, unsigned n);
void tui_done(struct tui *t);
struct tui_panel *tui_top(struct tui *t);
void tui_open(struct tui *t, enum tui_panel_kind kind);
void tui_close(struct tui *t); // the last one quits
void tui_say(struct tui *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void tui_say_err(struct tui *t, const struct drv_err *err);
void tui_ask_for(struct tui *t, enum tui_prompt_kind kind, const char *initial, const char *fmt,
                 ...) __attribute__((format(printf, 4, 5)));
// Build the open panel for a screen of this size into d (freed and filled anew).
void tui_build(struct tui *t, struct tui_doc *d, unsigned columns, unsigned rows, bool ascii);
void tui_type(struct tui *t, const struct tui_doc *d, int code); // a key
// The pointer at a line of d, -1 = beside them. A click gives the line's item the focus, a second
// one soon after it is Enter, the wheel scrolls. Nothing happens while something is being typed.
void tui_point(struct tui *t, const struct tui_doc *d, enum tui_pointer what, int line,
               int64_t now_ms);
void tui_do(struct tui *t, const struct tui_doc *d, enum tui_cmd cmd);
void tui_prompt_take(struct tui *t); // Enter at the prompt
// What is said on leaving: how to follow and cancel a move that goes on; "" if there is none.
void tui_farewell(const struct tui *t, char *ret, size_t size);

// How a host is reached: "" when it is the local agent.
const char *tui_way(const struct tui *t, const char *fqdn);
// Put a question to a host. args is stolen. Returns its ticket.
unsigned tui_ask(struct tui *t, const char *host, enum tui_want want, json_t *args);
// The same with another call than the usual one of this question.
unsigned tui_ask_call(struct tui *t, const char *host, enum tui_want want, const char *call,
                      json_t *args);

#endif
