# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# What quickstart and tests/run begin with: messages, packages, a build, the test guest. Sourced.

SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
STARTED=${EPOCHREALTIME/./} # microseconds

# step TEXT: progress with the seconds since the beginning, on stderr.
step() { printf '%5d s  %s\n' $(((${EPOCHREALTIME/./} - STARTED) / 1000000)) "$*" >&2; }

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# quietly LOG CMD...: output goes to LOG, of which the end is shown when CMD fails.
quietly() {
    local log=$1 status=0
    shift
    "$@" >"$log" 2>&1 || status=$?
    if [[ $status -ne 0 ]]; then
        tail -n 30 "$log" >&2
        printf '%s: "%s" failed (%d); all of its output: %s\n' "${0##*/}" "$*" "$status" "$log" >&2
    fi
    return "$status"
}

# build PRESET FOLDER [TARGET...]: configure and build; CMake's output only when it fails.
build() {
    local preset=$1 folder=$2
    shift 2
    mkdir -p "$folder"
    quietly "$folder/configure.log" cmake -S "$SOURCE" --preset "$preset" -B "$folder" &&
        quietly "$folder/build.log" cmake --build "$folder" ${1:+--target "$@"}
}

# build_guest FOLDER: kernel and initrd of the test guest, from a build in that folder.
build_guest() { quietly "$1/guest.log" "$SOURCE/tests/guest/build-guest" "$1"; }
