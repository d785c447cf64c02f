// SPDX-License-Identifier: GPL-3.0-or-later
// What monitoring systems are told of the answer to host.health (docs/WIRE.md): pure functions.
#ifndef CLI_HEALTH_H
#define CLI_HEALTH_H

#include "drover/err.h"
#include <jansson.h>

// Of monitoring plugins: Nagios, Icinga, Naemon, Checkmk.
enum health { HEALTH_OK, HEALTH_WARNING, HEALTH_CRITICAL, HEALTH_UNKNOWN };

// One line without its end, "DROVER OK - …|numbers"; caller frees. status NULL: *why says what is
// the matter. Whatever text comes from the agent neither ends the line nor begins the numbers.
enum health health_judge(const json_t *status, const struct drv_err *why, char **ret_line);

// Prometheus' text format, lines and all; caller frees. status NULL: the agent does not answer.
char *health_metrics(const json_t *status);

#endif
