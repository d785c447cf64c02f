// SPDX-License-Identifier: GPL-3.0-or-later
// The manual and the completion, written at build time from the tables that the programs run on:
// cli_verbs, cli_exits, the programs' options, ha_conf_options and its like, drv_finding_defs, the
// agent's calls. Whoever
// adds a row to one of them has it documented; tests/unit/manual looks that this is so.
#ifndef DROVER_MAN_H
#define DROVER_MAN_H

#include "cli.h"
#include "drover/conf.h"
#include <stdio.h>

// ---- roff.c: text as mdoc ----

// The line with the date of this version.
void man_date(FILE *out);
// The head of a page up to its NAME section.
void man_head(FILE *out, const char *name, unsigned section, const char *summary);
// A word or phrase within a line: what is special to roff escaped.
void man_inline(FILE *out, const char *text);
// The same for within the quotes of a macro's argument, where no word is taken for a macro.
void man_quoted(FILE *out, const char *text);
// Prose: paragraphs between empty lines, lines that begin with two blanks are literal, `code` and
// --options are bold. Ends with a newline.
void man_prose(FILE *out, const char *text);

// ---- options.c: lists, whole ----

void man_options(FILE *out, const struct argp_option *table);
void man_program(FILE *out, const struct argp *argp); // with --help and what else argp adds
void man_settings(FILE *out, const struct drv_option *table);

// ---- verbs.c ----

void man_verb_name(const struct cli_verb *v, char between, char *ret, size_t size); // "vm-set"
void man_verb_page(FILE *out, const struct cli_verb *v); // drover-VERB(1)
void man_verb_list(FILE *out);                           // for drover(1)
void man_exit_list(FILE *out);

// The settings that KEY=VALUE of this verb can name; NULL: none.
const struct drv_option *man_keys(const struct cli_verb *v);

// ---- findings.c ----

// drover-troubleshooting(7): the table's findings, each with what docs/FINDINGS.md (its whole text)
// says about it. -1: one has no heading there.
int man_findings_page(FILE *out, const char *markdown);

// ---- completion.c ----

void man_completion(FILE *out); // the tables as functions of bash

#endif
