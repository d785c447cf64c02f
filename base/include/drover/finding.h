// SPDX-License-Identifier: GPL-3.0-or-later
// Findings: what preflight, doctor and errors can say, one table (docs/FINDINGS.md has a heading
// for each id; a test keeps them equal). Ids are a letter and two digits and are never reused.
// Letters: K ticket, D delegation, A role, R receive and slots, V versions, CPU, machine, M memory,
// S store and disk, N network, T time, G guest devices.
#ifndef DROVER_FINDING_H
#define DROVER_FINDING_H

#include "drover/err.h"
#include <jansson.h>
#include <stdbool.h>

enum drv_severity { DRV_SEV_OK, DRV_SEV_INFO, DRV_SEV_WARNING, DRV_SEV_ERROR, DRV_SEV_MAX_ };

enum drv_exit {
    DRV_EXIT_OK = 0,
    DRV_EXIT_FAILED = 1,
    DRV_EXIT_USAGE = 2,
    DRV_EXIT_REFUSED = 3,
    DRV_EXIT_AUTH = 4,
    DRV_EXIT_UNREACHABLE = 5,
    DRV_EXIT_CANCELLED = 6,
    DRV_EXIT_BUSY = 7,
    DRV_EXIT_ATTENTION = 8,
    DRV_EXIT_INTERRUPTED = 130,
};

struct drv_finding_def {
    const char *id;             // "D14"
    enum drv_severity severity; // usual severity
    enum drv_exit exit_class;   // exit status when this is the error that decides
    const char *title;          // short, for a list
    const char *fix; // what to do, one or two sentences; a finding's own fix may be more exact
};
// NULL for an unknown id.
const struct drv_finding_def *drv_finding_def(const char *id);
extern const struct drv_finding_def drv_finding_defs[];
extern const unsigned drv_finding_defs_count;

struct drv_finding {
    char id[DRV_ID_LEN];
    enum drv_severity severity;
    char host[256]; // where it was seen
    char text[512];
    char fix[384];
    char command[512]; // to paste into a shell; "" = none that would do
    char at[256];      // where: a host's full name (as root there), DRV_AT_DOMAIN, DRV_AT_USER
};
#define DRV_AT_DOMAIN "domain" // any computer of the domain, with a domain admin's ticket
#define DRV_AT_USER "user"     // the computer and the ticket of the user who asks

struct drv_findings {
    struct drv_finding *list;
    unsigned n, cap;
};
void drv_findings_done(struct drv_findings *f);
// Append with the table's severity and fix. fmt: what is the matter, with names and numbers.
void drv_finding_add(struct drv_findings *f, const char *id, const char *host, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
// The same with another severity (DRV_SEV_OK: a check that passed and is worth saying).
void drv_finding_add_as(struct drv_findings *f, enum drv_severity sev, const char *id,
                        const char *host, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
// A more exact fix for the finding added last.
void drv_finding_fix(struct drv_findings *f, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
// The command that repairs what was added last, and where to run it.
void drv_finding_command(struct drv_findings *f, const char *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// The same finding once more, in f.
void drv_finding_append(struct drv_findings *f, const struct drv_finding *one);
// drv_finding_command for all of id and host from the from-th finding on.
void drv_finding_commands(struct drv_findings *f, unsigned from, const char *id, const char *host,
                          const char *at, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
// Append e as a finding, with its hint as the fix. id: for an error that has none itself, NULL = it
// is then no finding: false, and nothing is appended.
bool drv_finding_err(struct drv_findings *f, const char *id, const char *host,
                     const struct drv_err *e);
unsigned drv_findings_errors(const struct drv_findings *f);
// The exit status of a list: the class of its errors, K/D/A before R before others; 0 without
// errors.
enum drv_exit drv_findings_exit(const struct drv_findings *f);
json_t *drv_findings_to_json(const struct drv_findings *f);
// Append a peer's findings; bounded; unknown ids are kept as they are.
int drv_findings_from_json(const json_t *j, struct drv_findings *f, struct drv_err *err);
// Exit status for an error: from its id's class, else from its code.
enum drv_exit drv_err_exit(const struct drv_err *err);
const char *drv_severity_name(enum drv_severity s);

#endif
