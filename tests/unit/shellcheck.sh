#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Every shell script of the source is clean by shellcheck.
set -u -o pipefail

cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1
command -v shellcheck >/dev/null || exit 77
mapfile -t scripts < <(find . -name .git -prune -o -name 'build*' -type d -prune -o -type f -print0 |
    xargs -0 grep -lE -m1 '^#!(/usr)?/bin/(ba|da)?sh|^# shellcheck shell=' | sort)
# SC2317: code that only a trap or another function's arguments call looks unreachable to it.
shellcheck -x -P . -e SC2317 "${scripts[@]}"
