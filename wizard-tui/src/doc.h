// SPDX-License-Identifier: GPL-3.0-or-later
// What a panel shows, as lines of text: made by panels, drawn by screen.c, printed by plain.c, and
// looked at by tests. Knows no terminal.
#ifndef TUI_DOC_H
#define TUI_DOC_H

#include <stdbool.h>
#include <stdint.h>

enum { TUI_TEXT_MAX = 512, TUI_LINES_MAX = 2000, TUI_SIDE_MAX = 12, TUI_SIDE_COLUMNS = 24 };

// What a line is, not how it looks: state is also a word or a symbol in its text.
enum tui_style {
    TUI_PLAIN,
    TUI_HEAD,
    TUI_DIM,
    TUI_GOOD,
    TUI_WARN,
    TUI_BAD,
    TUI_STYLE_MAX_,
};

struct tui_line {
    char text[TUI_TEXT_MAX]; // UTF-8 without control characters
    enum tui_style style;
    uint32_t id; // what the focus holds on to; 0 = cannot have it
    uint32_t of; // the item that it belongs to: its own id, or that of the line it explains
    bool off;    // greyed: may be focused, to read why
};

struct tui_doc {
    unsigned columns, rows; // of the body, for which it is made
    bool ascii;             // nothing but ASCII can be shown
    char title[160];
    char right[80]; // at the right of the title: step, phase
    char note[512]; // what the line with the focus means; where a message would be
    char cli[1024]; // the equivalent command, "" = none
    char stamp[96]; // when it changes, the plain form is printed anew
    struct tui_line *lines;
    unsigned n, cap;
    uint32_t chosen; // where the focus begins, 0 = at the first line that can have it
    // At the left of the lines where there is room: the steps of what goes on.
    struct {
        char text[32];
        enum tui_style style;
    } side[TUI_SIDE_MAX];
    unsigned n_side, side_columns;
};

void tui_doc_done(struct tui_doc *d);
// Append a line. id 0: text alone. Above TUI_LINES_MAX nothing is appended.
struct tui_line *tui_add(struct tui_doc *d, enum tui_style style, uint32_t id, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
// Begin a list at the side, before the first line. False: there is no room for one.
bool tui_side_begin(struct tui_doc *d);
void tui_side_add(struct tui_doc *d, enum tui_style style, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// Append text broken between words to the width, each line after `indent` blanks.
void tui_add_wrapped(struct tui_doc *d, enum tui_style style, unsigned indent, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
// The same with an id: the focus stands on the first line, the further ones are indented.
void tui_add_item(struct tui_doc *d, enum tui_style style, uint32_t id, unsigned indent,
                  const char *fmt, ...) __attribute__((format(printf, 5, 6)));
// The lines from this index on belong to this item: pointing at one of them means it.
void tui_belong(struct tui_doc *d, unsigned from, uint32_t id);
// The item at this line, 0 = none; any number will do.
uint32_t tui_item_at(const struct tui_doc *d, int line);
// Drop the items whose first line does not contain the text, without regard to case ("" = keep
// all).
void tui_doc_filter(struct tui_doc *d, const char *filter);
// Index of the line with this id, else of the first that can be focused, rather one that is not
// greyed; -1 = there is none.
int tui_doc_find(const struct tui_doc *d, uint32_t id);

// An id from a name: stable while lists change around it. Never 0.
uint32_t tui_id(const char *a, const char *b);

// Columns that a text takes on a screen, and the bytes that fit into so many.
unsigned tui_width(const char *text);
unsigned tui_fit(const char *text, unsigned columns);
// Replace what must not reach a terminal: control characters, bytes that are no UTF-8; in ASCII all
// other characters too.
void tui_clean(char *text, bool ascii);

// A bar of so many columns, permille of it filled: "[####....]".
void tui_bar(char *ret, unsigned size, unsigned columns, unsigned permille, bool ascii);
// One character a sample, oldest first, on a scale from 0 to max.
void tui_spark(char *ret, unsigned size, const int64_t *samples, unsigned n, int64_t max,
               bool ascii);
// "OK" "!!" "XX" ".." for a finding's severity or a state.
const char *tui_mark(enum tui_style style);

#endif
