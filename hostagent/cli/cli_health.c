// SPDX-License-Identifier: GPL-3.0-or-later
// drover check-health and drover metrics: one question to an agent, answered in a bounded time
// whatever hangs, and told to a monitoring system.
#include "cli.h"

#include "drover/file.h"
#include "health.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_TIMEOUT = 1, KEY_TEXTFILE, TIMEOUT_MS = 10000, MIN_MS = 2000, MAX_MS = 120000 };

#define TIMEOUT_OPTION                                                                             \
    {                                                                                              \
        "timeout", KEY_TIMEOUT, "TIME", 0, "All in all at most so long, 2s to 2m (default: 10s)",  \
            0                                                                                      \
    }

const struct argp_option cli_health_options[] = {TIMEOUT_OPTION, {0}};
const struct argp_option cli_metrics_options[] = {
    {"textfile", KEY_TEXTFILE, "FILE", 0, "Replace this file instead of printing", 0},
    TIMEOUT_OPTION,
    {0},
};

// ---- asking ----

// Shared by who asks and who waits; the last one frees it.
struct question {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    bool over, left;
    const char *host; // of argv: outlives the thread
    enum drv_ticket kerberos;
    int timeout_ms;
    json_t *status;
    struct drv_err err;
};

static void forget(struct question *q)
{
    json_decref(q->status);
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->answered);
    free(q);
}

// Names, the KDC and the log-on have time-outs of their own, which add up: hence a thread.
static void *ask_thread(void *arg)
{
    struct question *q = arg;
    struct drv_err err = DRV_ERR_INIT;
    bool no_ticket = false;
    json_t *status = NULL;
    struct drv_client *c = drv_connect(q->host, q->kerberos, &no_ticket, &err);
    if (c) // opening a store takes its time up to twice
        status = drv_client_call(c, "host.health",
                                 json_pack("{s:i}", "timeout_ms", q->timeout_ms * 2 / 5),
                                 q->timeout_ms, &err);
    else if (!q->host && err.code == DRV_ENOTFOUND)
        err.code = DRV_EUNREACHABLE; // no socket: nobody listens
    drv_client_free(c);
    pthread_mutex_lock(&q->lock);
    q->over = true;
    q->status = status;
    q->err = err;
    bool left = q->left;
    pthread_cond_signal(&q->answered);
    pthread_mutex_unlock(&q->lock);
    if (left)
        forget(q);
    return NULL;
}

// The agent's answer. NULL: *err says why there is none.
static json_t *ask(const struct cli *c, int timeout_ms, struct drv_err *err)
{
    struct question *q = drv_xcalloc(1, sizeof *q);
    struct timespec until;
    pthread_t thread;
    pthread_condattr_t monotonic;
    *q =
        (struct question){.host = c->host, .kerberos = c->verb->kerberos, .timeout_ms = timeout_ms};
    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&q->answered, &monotonic);
    pthread_condattr_destroy(&monotonic);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    int rc = pthread_create(&thread, NULL, ask_thread, q);
    if (rc) {
        forget(q);
        drv_err_os(err, rc, "a thread");
        return NULL;
    }
    pthread_detach(thread);
    pthread_mutex_lock(&q->lock);
    while (!q->over && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&q->answered, &q->lock, &until);
    json_t *status = q->over ? DRV_TAKE(q->status) : NULL;
    if (q->over)
        *err = q->err;
    else
        drv_err(err, DRV_ETIMEDOUT, "%s did not answer within %d s",
                c->host ? c->host : "the local agent", timeout_ms / 1000);
    bool over = q->over;
    q->left = true;
    pthread_mutex_unlock(&q->lock);
    if (over)
        forget(q);
    return status;
}

static int timeout_of(const struct cli_args *a, int *ret_ms, struct drv_err *err)
{
    const char *given = cli_opt(a, KEY_TIMEOUT);
    int64_t ms = TIMEOUT_MS;
    // Plugins are given seconds without a unit.
    if (given && cli_parse_count(given, 1, MAX_MS / 1000, &ms, NULL) == 0)
        ms *= 1000;
    else if (given && cli_parse_duration(given, &ms, err) < 0)
        return drv_err_prefix(err, "--timeout");
    if (ms < MIN_MS || ms > MAX_MS)
        return drv_err(err, DRV_EINVAL, "--timeout is 2s to 2m");
    *ret_ms = (int)(ms / 1000 * 1000);
    return 0;
}

// ---- telling ----

int cli_check_health(struct cli *c, const struct cli_args *a)
{
    struct drv_err err = DRV_ERR_INIT;
    DRV_AUTO_FREE char *line = NULL;
    int timeout_ms = 0;
    DRV_AUTO_JSON json_t *status =
        timeout_of(a, &timeout_ms, &err) == 0 ? ask(c, timeout_ms, &err) : NULL;
    enum health h = health_judge(status, &err, &line);
    if (c->json && status)
        cli_put_json(status);
    else
        puts(line);
    return (int)h;
}

int cli_metrics(struct cli *c, const struct cli_args *a)
{
    struct drv_err err = DRV_ERR_INIT;
    int timeout_ms = 0;
    if (timeout_of(a, &timeout_ms, &err) < 0)
        return cli_usage(c, "%s", err.msg);
    DRV_AUTO_JSON json_t *status = ask(c, timeout_ms, &err);
    if (!status) {
        fputs("drover: ", stderr);
        drv_put(stderr, err.msg);
        fputc('\n', stderr);
    }
    DRV_AUTO_FREE char *text = health_metrics(status);
    const char *file = cli_opt(a, KEY_TEXTFILE);
    drv_err_clear(&err);
    if (!file) {
        fputs(text, stdout);
        if (fflush(stdout) == 0)
            return DRV_EXIT_OK;
        drv_err_os(&err, errno, "standard output");
    } else if (drv_file_replace(file, text, strlen(text), 0644, &err) == 0) {
        return DRV_EXIT_OK;
    }
    cli_error(c, &err);
    return DRV_EXIT_FAILED;
}
