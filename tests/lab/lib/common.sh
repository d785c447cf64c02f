# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# What every part of the lab uses: messages, the lab folder, process bookkeeping.

say() { printf '%s\n' "lab: $*"; }

die() {
    printf '%s\n' "lab: $*" >&2
    exit 1
}

# Exit 3 when no lab is up.
require_lab() {
    lab_exists && return
    echo "lab: no lab (start one with: $LAB_DIR_SELF/lab up)" >&2
    exit 3
}

lab_exists() { [[ -f $LAB/.drover-lab ]] && ns_exists "$NS_SWITCH"; }

ns_exists() { [[ -e /run/netns/$1 ]]; }

is_node() { [[ -n ${1:-} && -n ${LAN_IP[$1]:-} ]]; }

require_node() { is_node "${1:-}" || die "no node '${1:-}' (nodes: ${NODES[*]})"; }

require_root() { [[ $EUID -eq 0 ]] || die "needs root: namespaces, mounts and computer accounts"; }

# Folder of the lab that owns the namespaces; it may be another one than $LAB.
owner_folder() { ip -n "$NS_SWITCH" -o link show dev lan 2>/dev/null | sed -n 's/.*alias \([^ ]*\).*/\1/p'; }

# Start time of a process in clock ticks since boot: with the pid it names a process for good.
proc_start() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) }
    cut -d' ' -f20 <<<"$stat"
}

proc_state() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) }
    echo "${stat%% *}"
}

# A pidfile holds "PID STARTTIME". Prints the pid if that very process lives.
pidfile_pid() {
    local pid start
    read -r pid start 2>/dev/null <"$1" || return 1
    [[ $(proc_start "$pid") == "$start" && $(proc_state "$pid") != Z ]] || return 1
    echo "$pid"
}

pidfile_write() { echo "$2 $(proc_start "$2")" >"$1"; }

# wait_for SECONDS CMD...: poll every 50 ms until CMD succeeds; 1 after SECONDS.
wait_for() {
    local end=$((${EPOCHREALTIME/./} + $1 * 1000000))
    shift
    until "$@" >/dev/null 2>&1; do
        ((${EPOCHREALTIME/./} < end)) || return 1
        sleep 0.05
    done
}

# Replace @NAME@ in a template by the shell variable NAME.
render() {
    local text name
    text=$(cat "$LAB_DIR_SELF/conf/$1")
    while [[ $text =~ @([A-Z_]+)@ ]]; do
        name=${BASH_REMATCH[1]}
        [[ -v $name ]] || die "template $1 wants $name, which is not set"
        text=${text//"@$name@"/"${!name}"}
    done
    printf '%s\n' "$text"
}
