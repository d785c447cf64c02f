#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# run.sh BUILD_DIR: two QEMUs in a network namespace of their own, driven by the agent's QEMU code through
# qemutool: moves with disk and TLS, their undo, a peer that dies or hangs, a storage move on one host.
# The guest checks every page and every acknowledged write. Needs root. Status 77: cannot run here.
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: run.sh BUILD_DIR" >&2; exit 2; }
here=$(dirname "$(readlink -f "$0")")
build=$(readlink -f "$1")
if [ -z "${QEMU_TEST_INSIDE:-}" ]; then
    [ "$(id -u)" = 0 ] || { echo "run.sh: needs root" >&2; exit 77; }
    [ -e "$build/guest/initrd.gz" ] || { echo "run.sh: run tests/guest/build-guest first" >&2; exit 77; }
    QEMU_TEST_INSIDE=1 exec unshare --net --mount "$here/run.sh" "$build"
fi

ip=10.85.0.100
tool=$build/tests/qemutool
client=$build/bin/guest-client
imgcheck=$build/bin/guest-imgcheck
work=$(mktemp -d)
chmod 711 "$work"
a=$work/a b=$work/b
watcher=

clean_up()
{
    [ -z "$watcher" ] || kill "$watcher" 2>/dev/null || true
    for dir in "$a" "$b"; do
        if [ -e "$dir/qemu/qemu.pid" ]; then
            kill -CONT "$(cat "$dir/qemu/qemu.pid")" 2>/dev/null || true
            kill -KILL "$(cat "$dir/qemu/qemu.pid")" 2>/dev/null || true
        fi
    done
    rm -rf "$work"
}
trap clean_up EXIT

step() { printf '%6d ms  %s\n' $(((${EPOCHREALTIME/./} - started) / 1000)) "$*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
ctl() { "$client" ctl "$ip" "$@"; }
pid_of() { cat "$1/qemu/qemu.pid"; }
field() { grep -o "\"$2\": *[0-9.]*" "$1" | head -n 1 | grep -o '[0-9.]*$'; }

# expect PATTERN COMMAND...: the output must match the extended regular expression.
expect()
{
    local pattern=$1 output
    shift
    output=$("$@" 2>&1) || true
    [[ $output =~ $pattern ]] || fail "$*: wanted $pattern, got: $output"
}

# image NAME: an empty disk of the guest's size that QEMU's user may write.
image()
{
    rm -f "$work/$1"
    truncate -s 256M "$work/$1"
    chown 65534 "$work/$1"
}

guest_is_whole()
{
    expect '^ok bad=0 pages=16384$' ctl memcheck
    expect '^ok checked=[0-9]+ lost=0 corrupt=0 ahead=0' ctl verify vda
}

watch_begin()
{
    "$client" watch "$ip" --until-signal --ack-log "$work/acks" >"$work/report" 2>"$work/watch" &
    watcher=$!
    for _ in {1..100}; do
        grep -qs watching "$work/watch" && return
        sleep 0.1
    done
    fail "watch did not begin: $(cat "$work/watch")"
}

watch_end()
{
    kill -TERM "$watcher"
    wait "$watcher" || fail "watch: $(cat "$work/report")"
    watcher=
    [ "$(field "$work/report" acks_lost)" = 0 ] || fail "acks lost: $(cat "$work/report")"
}

# move_live FROM TO IMAGE: whole move while the guest works; the source is ended after it.
move_live()
{
    image "$3"
    "$tool" start "$2" "$work/$3" br0 incoming >"$work/out" || fail "$(cat "$work/out")"
    watch_begin
    "$tool" move "$1" "$2" >"$work/figures" || fail "move: $(cat "$work/figures")"
    sleep 1
    watch_end
    "$tool" quit "$1" "$1/psk" || fail "quit of the source"
    guest_is_whole
    # Kernel, initrd and the ring of records are 13 MB and more; 64 MiB of memory cannot be compressed.
    (($(field "$work/figures" disk_wire_bytes) > 10000000)) || fail "disk: $(cat "$work/figures")"
    (($(field "$work/figures" memory_wire_bytes) > 64000000)) || fail "memory: $(cat "$work/figures")"
}

test_moves()
{
    move_live "$a" "$b" vm2.raw
    step "moved with disk, TLS: $(cat "$work/figures") UDP gap $(field "$work/report" udp_gap_ms) ms"
    # Back again: what the first move set in this process must not stick.
    rm -rf "$a"
    move_live "$b" "$a" vm3.raw
    step "moved back: $(cat "$work/figures") UDP gap $(field "$work/report" udp_gap_ms) ms"
}

test_undo()
{
    for at in READY PAUSED; do
        image vm4.raw
        rm -rf "$b"
        "$tool" start "$b" "$work/vm4.raw" br0 incoming >"$work/out" || fail "$(cat "$work/out")"
        expect '^$' "$tool" move "$a" "$b" stop-at "$at"
        expect '^undone' "$tool" undo "$a"
        expect '^running$' "$tool" status "$a"
        # A destination whose migration was cancelled ends by itself.
        [ "$at" = PAUSED ] || expect '^$' "$tool" quit "$b" "$b/psk"
        sleep 0.5
        expect '^$' "$tool" sweep "$b"
        guest_is_whole
    done
    step "undone when ready and when paused: the source runs on"
}

# lost_peer SIGNAL: a peer that dies (KILL) or hangs (STOP) while the disk is in sync.
lost_peer()
{
    image vm4.raw
    rm -rf "$b"
    "$tool" start "$b" "$work/vm4.raw" br0 incoming >"$work/out" || fail "$(cat "$work/out")"
    local peer
    peer=$(pid_of "$b")
    expect '^$' "$tool" move "$a" "$b" stop-at READY
    kill "-$1" "$peer"
    sleep 1
    "$tool" undo "$a" >"$work/undone" || fail "undo: $(cat "$work/undone")"
    expect '^running$' "$tool" status "$a"
    kill -CONT "$peer" 2>/dev/null || true
    "$tool" quit "$b" "$b/psk" >"$work/out" || true # not there any more after KILL
    rm -rf "$b"
    guest_is_whole
    step "peer $1: $(cat "$work/undone"), the source runs on"
}

test_pivot()
{
    rm -f "$work/vm5.qcow2"
    qemu-img create -q -f qcow2 "$work/vm5.qcow2" 256M
    chown 65534 "$work/vm5.qcow2"
    watch_begin
    expect '^disk0 is disk0-new$' "$tool" pivot "$a" "$work/vm5.qcow2" qcow2
    sleep 1
    watch_end
    guest_is_whole
    step "storage moved to qcow2 on the same host: UDP gap $(field "$work/report" udp_gap_ms) ms"
}

test_refused()
{
    local before
    before=$(ip -o link | wc -l)
    expect '^error not-found: this host has no bridge nobr$' \
        "$tool" start "$work/c" "$work/vm1.raw" nobr
    expect '^error peer: QEMU did not start: Could not open .*No such file' \
        "$tool" start "$work/c" "$work/absent.raw" br0
    expect '^error exists: ' "$tool" start "$a" "$work/vm1.raw" br0
    # The agent takes these two into the VM's log, and then removes the folder.
    [ "$(ls "$work/c")" = $'qemu.log\nstart.log' ] || fail "a failed start left in $work/c: $(ls "$work/c")"
    [ "$(ip -o link | wc -l)" = "$before" ] || fail "a failed start left a tap"
    step "failed starts say why and leave nothing"
}

started=${EPOCHREALTIME/./} # microseconds
ip link set lo up
ip link add br0 type bridge
ip address add 10.85.0.1/24 dev br0
ip link set br0 up
"$here/../../guest/mkimage" "$work/vm1.raw" 256M --ip "$ip" --artefacts "$build/guest"
chown 65534 "$work/vm1.raw"
expect '^pid [0-9]+ tap dvt0$' "$tool" start "$a" "$work/vm1.raw" br0
expect '^(prelaunch|paused)$' "$tool" status "$a"
expect '^$' "$tool" cont "$a"
"$client" wait "$ip" 30
ctl mem 64 >"$work/out"
ctl dirty 20 full >"$work/out"
ctl disk vda 50 128 >"$work/out"
step "booted"
test_refused
test_moves
test_undo
lost_peer KILL
lost_peer STOP
test_pivot
expect '^$' "$tool" quit "$a" "$a/psk"
expect '"writes_lost":0,"corrupt":0' "$imgcheck" "$work/vm5.qcow2" "$work/acks"
[ -z "$(find "$a" -name qemu -o -name state.json)" ] || fail "quit left files: $(ls -R "$a")"
[ -z "$(ip -o link show type tun)" ] || fail "a tap was left"
step "ended; the image holds every acknowledged record and nothing is left"
echo ok
