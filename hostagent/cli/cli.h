// SPDX-License-Identifier: GPL-3.0-or-later
// What the files of the command line share: the verbs as data, parsed arguments, the connection,
// output. The CLI knows base/ and does nothing that another client of droverd could not do; but for
// what a domain admin does without any agent, which is in delegation/.
#ifndef DROVER_CLI_H
#define DROVER_CLI_H

#include "drover/connect.h"
#include "drover/err.h"
#include "drover/finding.h"
#include "drover/permit.h"
#include "drover/text.h"
#include "drover/util.h"
#include <argp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
    CLI_POS_MAX = 64,
    CLI_OPT_MAX = 128,
    CLI_CALL_MS = 60000,  // calls that ask another host or server
    CLI_LONG_MS = 180000, // calls that wait for QEMU or a stall deadline
};

struct cli;
struct cli_verb;

// The words and options after the verb, as given.
struct cli_args {
    const char *pos[CLI_POS_MAX];
    unsigned n_pos;
    struct {
        int key;
        const char *value; // "" for an option without a value
    } opt[CLI_OPT_MAX];
    unsigned n_opt;
};
// The last value given for an option, NULL if none.
const char *cli_opt(const struct cli_args *a, int key);
// Each value in turn: start with *at = 0; NULL at the end.
const char *cli_opt_next(const struct cli_args *a, int key, unsigned *at);

struct cli_verb {
    const char *noun;
    const char *verb;                                    // NULL when the noun is the verb ("move")
    const char *args;                                    // for the usage line
    unsigned min_pos, max_pos;                           // number of words
    const struct argp_option *options;                   // NULL = only the global ones
    enum drv_ticket kerberos;                            // what root shows on the local socket
    int (*run)(struct cli *c, const struct cli_args *a); // returns the exit status
    int usage_exit;       // of a wrong command line, if not DRV_EXIT_USAGE
    const char *summary;  // one line
    const char *examples; // shown before the options
};
extern const struct cli_verb cli_verbs[];       // ends with a NULL noun
void cli_list_verbs(const char *noun, FILE *f); // a line each; NULL = all
extern const struct argp_option cli_global_options[];

// What the manual adds to the table (cli_about.c).
struct cli_about {
    const char *verb;  // "vm set"
    const char *call;  // the agent's call whose role is needed; NULL = "vm.set"
    const char *text;  // paragraphs between empty lines, or NULL
    const char *exits; // what the exit statuses mean, where they are not cli_exits; or NULL
};
const struct cli_about *cli_about(const struct cli_verb *v); // NULL: nothing to add
struct cli_exit {
    enum drv_exit status;
    const char *text;
};
extern const struct cli_exit cli_exits[]; // ends with a NULL text

struct cli {
    const char *host; // -H, NULL = the local agent
    bool json, plain, quiet, no_input, yes, no_color;
    const struct cli_verb *verb;
    struct drv_client *client; // made by the first call
    bool no_ticket;            // local socket without a Kerberos identity
    int status;                // exit status of the call that failed last
    // Where permits come from; NULL = drv_permit_get. Tests have no domain.
    int (*get_permit)(const struct drv_permit_request *rq, char ret[DRV_PERMIT_LEN],
                      struct drv_err *err);
};

// Parse argv, run the verb, return the exit status. May exit() inside argp (--help, bad options).
int cli_main(int argc, char **argv);
// The verb that argv[0…] names, with *ret_words = 1 or 2 words used. NULL: what is wrong has been
// said on stderr, or (*ret_words = -1) a question for help was answered.
const struct cli_verb *cli_find_verb(int argc, char **argv, int *ret_words);
// The known word nearest to a mistyped one, NULL when none is near. words ends with NULL.
const char *cli_suggest(const char *word, const char *const words[]);

// ---- connection (cli_connect.c) ----

// Connect to the agent that -H names, if that is not done yet.
int cli_connect(struct cli *c, struct drv_err *err);
// Call it, connecting first. args is stolen. NULL: the error has been printed
// and c->status set.
json_t *cli_call(struct cli *c, const char *name, json_t *args, int timeout_ms);
// The same without printing.
json_t *cli_try(struct cli *c, const char *name, json_t *args, int timeout_ms, struct drv_err *err);
void cli_disconnect(struct cli *c);

// ---- numbers (cli_units.c): the syntax of configuration files ----

int cli_parse_size(const char *text, int64_t *ret_bytes, struct drv_err *err);  // 10G, 512M, 4096
int cli_parse_duration(const char *text, int64_t *ret_ms, struct drv_err *err); // 7d, 12h, 300ms
int cli_parse_pause(const char *text, int64_t *ret_ms, struct drv_err *err);    // 300, 300ms, 1s
int cli_parse_count(const char *text, int64_t min, int64_t max, int64_t *ret, struct drv_err *err);

// ---- output (cli_output.c) ----

// Is colour wanted on this stream?
bool cli_colour(const struct cli *c, FILE *f);
// One object as one line, "schema":1 added if it is missing. obj is borrowed.
void cli_put_json(const json_t *obj);
// "drover: message [ID]" and "  hint: …" on stderr; with --json also an error object on stdout.
// Returns the exit status.
int cli_error(const struct cli *c, const struct drv_err *err);
int cli_usage(const struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// A line for people on stdout; cli_say: unless --quiet, --json or --plain.
void cli_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void cli_say(const struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// reply.notices, a line each.
void cli_say_notices(const struct cli *c, const json_t *reply);
// Ask for a yes; true with --yes. With --no-input or without a terminal it is a usage error that
// names
// --yes (printed).
bool cli_confirm(const struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

enum cli_format { CLI_TEXT, CLI_BYTES, CLI_KIB, CLI_SHORT_ID, CLI_SHORT_HOST, CLI_TIME };
struct cli_column {
    const char *head;
    const char *key; // of the row object; "a.b" goes down
    enum cli_format format;
};
// Print an array of objects: table, --plain (tabs, no header, raw values) or --json (a line each).
// columns ends with a NULL head.
void cli_put_list(const struct cli *c, const json_t *rows, const struct cli_column *columns);
// The cell of a row as people read it (raw: as scripts do). Caller frees.
char *cli_cell(const json_t *row, const struct cli_column *column, bool raw);
// "name  value" lines of an object's members, nested ones with dots.
void cli_put_object(const struct cli *c, const json_t *obj);
// A VM as vm.show tells it, for people (cli_show.c).
void cli_show_vm(const json_t *vm);
void cli_show_host(const json_t *host); // the same of host.show
// cli_findings.c: reply.findings as marked lines with their fixes; --json: the reply as one object.
// Returns drv_findings_exit().
int cli_put_findings(const struct cli *c, const json_t *reply);

// ---- verbs (cli_host.c, cli_store.c, cli_vm.c, cli_console.c, cli_create.c, cli_move.c, …) ----

int cli_host_show(struct cli *c, const struct cli_args *a);
int cli_host_set(struct cli *c, const struct cli_args *a);
int cli_host_list(struct cli *c, const struct cli_args *a);
int cli_host_shutdown_guests(struct cli *c, const struct cli_args *a);
int cli_check_health(struct cli *c, const struct cli_args *a);
int cli_metrics(struct cli *c, const struct cli_args *a);
int cli_store_list(struct cli *c, const struct cli_args *a);
int cli_store_add(struct cli *c, const struct cli_args *a);
// KEY=VALUE… from the from-th word on, as an object of strings; NULL after cli_usage().
json_t *cli_key_values(struct cli *c, const struct cli_args *a, unsigned from);
// What the agent made of the settings that were given, in its own spelling.
int cli_put_settings(struct cli *c, const json_t *set, const json_t *reply);
int cli_store_set(struct cli *c, const struct cli_args *a);
int cli_store_check(struct cli *c, const struct cli_args *a);
int cli_store_remove(struct cli *c, const struct cli_args *a);
int cli_vm_create(struct cli *c, const struct cli_args *a);
int cli_vm_list(struct cli *c, const struct cli_args *a);
int cli_vm_show(struct cli *c, const struct cli_args *a);
int cli_vm_start(struct cli *c, const struct cli_args *a);
int cli_vm_stop(struct cli *c, const struct cli_args *a);
int cli_vm_delete(struct cli *c, const struct cli_args *a);
int cli_vm_set(struct cli *c, const struct cli_args *a);
int cli_vm_rename(struct cli *c, const struct cli_args *a);
int cli_vm_eject(struct cli *c, const struct cli_args *a);
int cli_vm_insert(struct cli *c, const struct cli_args *a);
int cli_vm_register(struct cli *c, const struct cli_args *a);
int cli_vm_console(struct cli *c, const struct cli_args *a);
int cli_vm_vnc(struct cli *c, const struct cli_args *a);
int cli_vm_log(struct cli *c, const struct cli_args *a);
int cli_check(struct cli *c, const struct cli_args *a);
int cli_move(struct cli *c, const struct cli_args *a);
int cli_move_storage(struct cli *c, const struct cli_args *a);
int cli_jobs(struct cli *c, const struct cli_args *a);
int cli_attach(struct cli *c, const struct cli_args *a);
int cli_cancel(struct cli *c, const struct cli_args *a);
int cli_adjust(struct cli *c, const struct cli_args *a);
int cli_audit(struct cli *c, const struct cli_args *a);
int cli_delegation_setup(struct cli *c, const struct cli_args *a);
int cli_delegation_check(struct cli *c, const struct cli_args *a);
int cli_doctor(struct cli *c, const struct cli_args *a);

extern const struct argp_option cli_host_list_options[], cli_create_options[], cli_set_options[],
    cli_start_options[], cli_stop_options[], cli_delete_options[], cli_check_options[],
    cli_move_options[], cli_storage_options[], cli_jobs_options[], cli_delegation_options[],
    cli_doctor_options[], cli_audit_options[], cli_log_options[], cli_shutdown_options[],
    cli_health_options[], cli_metrics_options[], cli_adjust_options[];

// The whole id of a move that is named by its beginning (as `jobs` prints it), or by the VM that is
// being moved. -1: error printed.
int cli_move_id(struct cli *c, const char *given, char ret[DRV_UUID_LEN]);
// The command that takes a choice of a progress event; caller frees. NULL: there is none.
// host: as -H names it, NULL = the local agent.
char *cli_choice_command(const char *host, const char *move, const json_t *choice);

// "fs.example.lan" of "smb://fs.example.lan/VM"; other text as it is. Caller frees.
char *cli_server_of(const char *store);
// Plan, show, confirm and carry out what `delegation setup` would. Returns the exit status.
struct dg_ldap;
struct dg_wanted;
int cli_delegation_carry_out(struct cli *c, struct dg_ldap *l, const struct dg_wanted *w);

// Options that may come again, each a member of a list of a call's arguments.
struct cli_member {
    int key;
    const char *list;                                   // NULL ends a table
    json_t *(*parse)(struct cli *c, const char *value); // NULL: the usage error is printed
};
// In the order of the command line; lists are made as needed.
int cli_put_members(struct cli *c, const struct cli_args *a, const struct cli_member *members,
                    json_t *args);
json_t *cli_disk_arg(struct cli *c, const char *value);  // "40G,store=fast"
json_t *cli_nic_arg(struct cli *c, const char *value);   // "br0,model=e1000e"
json_t *cli_cdrom_arg(struct cli *c, const char *value); // "isos/a.iso", "empty"
// "STORE/PATH" or "STORE:PATH" as {store, path}. NULL: the usage error is printed.
json_t *cli_disc_arg(struct cli *c, const char *option, const char *value);
// Arguments of vm.create, move.start and move.storage from the command line. NULL: the usage error
// is printed.
json_t *cli_create_args(struct cli *c, const struct cli_args *a);
json_t *cli_move_args(struct cli *c, const struct cli_args *a);
json_t *cli_storage_args(struct cli *c, const struct cli_args *a);
// Follow a move to its end (cli_jobs.c). Returns the result object, not printed; NULL when it could
// not be had: the error has been printed and c->status set.
json_t *cli_follow(struct cli *c, const char *move);
void cli_put_result(const struct cli *c, const json_t *result);
// Exit status of a result object.
int cli_result_exit(const json_t *result);
// The error of a result object. False when it has none.
bool cli_result_error(const json_t *result, struct drv_err *ret, const char **ret_phase);

// ---- permits (cli_permit.c) ----

// Get a permit from the destination that args (of move.check or move.start) name, and put it there,
// in place of one that was used. -1: err says why not.
int cli_permit_add(struct cli *c, json_t *args, bool for_move, struct drv_err *err);
// Was the call refused for want of delegation? Then the same, and say so in a line. False: it was
// not, or the destination gives none (*ret_err tells why): what `why` says stands.
bool cli_permit_instead(struct cli *c, json_t *args, bool for_move, const struct drv_err *why,
                        struct drv_err *ret_err);
// args' permit has been sent: nothing of it stays.
void cli_permit_drop(json_t *args);

// What Ctrl-C says from now on: that the move (NULL: not yet known) goes on, and how to follow it.
void cli_detach_on_signals(const struct cli *c, const char *move);

#endif
