#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# log.sh BUILD_DIR: each host has a log of a VM: who started it and with what command line, what QEMU and the stores said,
# stops, moves on both sides. It stays when the VM has moved away or QEMU was killed, is for viewers, can be followed, and
# goes with the VM.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: log.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

VM=log-$$ IP=10.83.0.151 FOLLOWER=

cleanup() {
    [[ -z $FOLLOWER ]] || kill "$FOLLOWER"
    vm_remove "$VM" hv1 || vm_remove "$VM" hv2
}

log() { drover_on "$1" --plain vm log "$VM" --lines 1000; } # HOST
# says HOST SOURCE PATTERN: does a line of the log? (Not -q: what is before in the pipe would die of it.)
says() { log "$1" | cut -f2,3 | grep -E "^$2	.*$3" >/dev/null; }
wrote() { wait_until 10 says "$@"; }

test_begin
need "a VM" vm_create "$VM" "$IP" hv1
need "starts" vm_start "$VM" hv1 "$IP"
UUID=$(vm_uuid "$VM" hv1)
need "who asked for it is in the log" says hv1 drover "start, asked for by alice@"
need "and QEMU's command line" says hv1 start "'qemu-system-x86_64' .*guest=$VM"
need "and the epoch" says hv1 drover "started with epoch 2"
need "and what its store says" wrote hv1 disk0 "store.record"
is "a viewer may read it" "$(drover_as val hv1 --plain vm log "$VM" --lines 1000 | cut -f3 | grep -c "start, asked for")" 1
drover_as bob hv1 vm log "$VM" >"$WORK/out" 2>&1
is "who has no role may not: status" $? 4
is "so many lines" "$(drover_on hv1 --json vm log "$VM" --lines 2 | jq -rs 'length')" 2

# What QEMU says, terminal codes and all, without an end.
QEMU_LOG=$LAB/hv1/run/drover/vm/$UUID/qemu.log
printf '2026-01-02T03:04:05.678901Z qemu-system-x86_64: \033[2Jstrange\r\n' >>"$QEMU_LOG"
need "QEMU's words are there" wrote hv1 qemu 'qemu-system-x86_64: \\x1b\[2Jstrange'
is "with QEMU's own time" "$(log hv1 | grep strange | cut -f1)" "2026-01-02T03:04:05+0000"
for ((i = 0; i < 40; i++)); do
    yes "a message that comes again and again" | head -c 100000 >>"$QEMU_LOG"
    log hv1 >/dev/null
done
below "the log stays small: KiB" "$(du -ck "$LAB/hv1/state/log/$UUID"* | tail -n 1 | cut -f1)" 530
below "QEMU's file, too" "$(du -k "$QEMU_LOG" | cut -f1)" 64

# Followed by another.
drover_as val hv1 --plain vm log "$VM" --lines 1 --follow >"$WORK/follow" 2>&1 &
FOLLOWER=$!
need "a follower" wait_until 10 test -s "$WORK/follow"
need "it moves" move "$VM" hv1 hv2
ID=$(result move)
need "the source wrote who wanted it" wrote hv1 drover "move $ID to hv2.* begins, asked for by alice@"
need "and that it is done" wrote hv1 drover "move $ID to hv2.* is done; the guest was paused for [0-9]+ ms"
need "the follower sees it" wait_until 10 grep -q "move $ID to hv2.* is done" "$WORK/follow"
is "each line once" "$(grep -c "is done" "$WORK/follow")" 1
kill "$FOLLOWER"
FOLLOWER=
need "the destination wrote that it has come" wrote hv2 drover "has arrived from hv1.* by move $ID"
need "with its command line there" says hv2 start "-incoming"

# Pulled out from under us.
PID=$(vm_field "$VM" hv2 .pid)
kill -KILL "$PID"
stopped() { [[ $(vm_state "$VM" hv2) == stopped ]]; }
need "QEMU's end is noticed" wait_until 15 stopped
need "and written" wrote hv2 drover "QEMU has ended"
need "it starts again" vm_start "$VM" hv2 "$IP"
need "and is shut down" drover_as alice hv2 --quiet vm stop "$VM"
need "who wanted that" says hv2 drover "shutdown, asked for by alice@"
need "and that the guest did it" says hv2 drover "the guest has shut itself down"
need "the log of before is still there" says hv2 drover "has arrived from hv1"

# An agent that starts prunes only what is old.
lab svc hv1 droverd kill
lab svc hv1 droverd start
need "the source's stays" says hv1 drover "move $ID"
need "the VM goes" vm_remove "$VM" hv2
need "and its log with it" test ! -e "$LAB/hv2/state/log/$UUID"
like "then there is none" "$(drover_on hv2 vm log "none-$$" 2>&1)" "*no VM*none has moved*"

test_result
