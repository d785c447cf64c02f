#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# badinput.sh BUILD_DIR: what should not come in gets a clear error, the agent lives, and nothing is lost.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: badinput.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

VM=bad-$$ IP=10.83.0.116
TOOL=$(readlink -f "$DROVER_BUILD/tests/wiretool")
SMALL=$LAB/hv2/small

cleanup() {
    lab link hv1 mig off
    sed -i "s,^keytab = .*,keytab = $LAB/keytabs/hv2.keytab," "$LAB/hv2/drover.conf"
    lab svc hv2 droverd start
    drover_on hv2 --quiet store remove small
    lab exec hv2 -- umount "$SMALL"
    rm -rf "$SMALL"
    vm_remove "$VM" hv1
}

# Of this lab's hv1; another lab's agents are in the same table of processes.
agent_pid() { cut -d' ' -f1 "$LAB/hv1/droverd.pid"; }
as_alice() { lab exec admin --user alice -- "$@" 2>&1; }
alive() { is "$1: the agent lives" "$(as_alice drover --plain -H "hv1.$DOMAIN" vm list | cut -f1 | grep -x "$VM")" "$VM"; }

# said TEXT PATTERN CMD...
said() {
    local text=$1 pattern=$2
    shift 2
    like "$text" "$("$@" 2>&1)" "$pattern"
}

test_begin
need "VM made" vm_create "$VM" $IP hv1
need "VM started" vm_start "$VM" hv1 $IP
need "guest busy" vm_busy $IP
need "bulk on the disk" guest_ctl $IP --timeout 60 blob vda 100 24 1
need "watched" watch_begin $IP "$WORK/watch"
PID=$(agent_pid)

# --- the wire ---
for kind in garbage short oversized empty tampered replayed clear forward; do
    said "$kind: an error, and the end of the session" '*"error":*closed' as_alice "$TOOL" $kind "hv1.$DOMAIN" "$DROVER_PORT"
    alive "$kind"
done
said "an unknown call" '*nosuch.call*' as_alice "$TOOL" call "hv1.$DOMAIN" "$DROVER_PORT" nosuch.call
said "an argument of the wrong type" '*got integer*' as_alice "$TOOL" call "hv1.$DOMAIN" "$DROVER_PORT" vm.show '{"vm":7}'
said "an argument that nobody asked for" '*extra*' as_alice "$TOOL" call "hv1.$DOMAIN" "$DROVER_PORT" vm.show "{\"vm\":\"$VM\",\"extra\":1}"
alive "calls"

# --- configuration ---
{ cat "$LAB/hv1/drover.conf" && echo "colour = blue"; } >"$WORK/bad.conf"
out=$(lab exec hv1 -- droverd --config "$WORK/bad.conf" 2>&1)
is "a config with an unknown key: status" $? 1
like "a config with an unknown key: says which, and where" "$out" "*bad.conf:$(wc -l <"$WORK/bad.conf")*colour*"
said "a setting with an unknown key" '*colour*' drover_on hv1 host set colour=blue
said "a setting with a wrong value" '*max_moves*' drover_on hv1 host set max_moves=many

# --- a keytab of another host ---
lab svc hv2 droverd stop
sed -i "s,^keytab = .*,keytab = $LAB/keytabs/hv1.keytab," "$LAB/hv2/drover.conf"
lab svc hv2 droverd start >"$WORK/start" 2>&1
out=$(drover_as alice hv2 vm list 2>&1)
is "a wrong keytab: status" $? 4
like "a wrong keytab: says so" "$out" "*K06*keytab*"
move "$VM" hv1 hv2
is "a wrong keytab at the destination: the VM stays" "$? $(vm_state "$VM" hv1)" "4 running"
lab svc hv2 droverd stop
sed -i "s,^keytab = .*,keytab = $LAB/keytabs/hv2.keytab," "$LAB/hv2/drover.conf"
need "the right keytab again" lab svc hv2 droverd start

# --- a definition with wrong types ---
DEFINITION=$(find "$LAB/fs/share/$VM" -name 'vm.[0-9]*.json' | sort -V | tail -n 1)
cp -p "$DEFINITION" "$WORK/definition"
jq '.memory_kib = "much"' "$WORK/definition" >"$DEFINITION"
out=$(drover_on hv2 vm register "$STORE/$VM" 2>&1)
is "a vm.json with wrong types: status" "$(($? != 0))" 1
like "a vm.json with wrong types: is refused" "$out" "*vm.*json*"
cat "$WORK/definition" >"$DEFINITION"
alive "vm.json"

# --- a full disk at the destination ---
mkdir "$SMALL"
lab exec hv2 -- mount -t tmpfs -o size=20m tmpfs "$SMALL"
drover_on hv2 --quiet store add small "local:$SMALL"
out=$(drover_as alice hv1 move "$VM" --to hv2 --storage small 2>&1)
is "too little space: status" $? 3
like "too little space: says so" "$out" "*S03*"
lab exec hv2 -- mount -o remount,size=60m "$SMALL"
lab link hv1 mig 40mbit
drover_as alice hv1 --json move "$VM" --to hv2 --storage small >"$WORK/move.events" 2>"$WORK/move.err" &
MOVE=$!
wait_until 20 grep -q '"phase":"copy"' "$WORK/move.events"
lab exec hv2 -- dd if=/dev/zero of="$SMALL/filler" bs=1M status=none 2>/dev/null
wait $MOVE
is "a disk that fills up: status" $? 1
RESULT=$(tail -n 1 "$WORK/move.events")
like "a disk that fills up: says so" "$(result error.msg)" "*[Nn]o space*"
is "a disk that fills up: the VM stays" "$(vm_state "$VM" hv1)" running
rm -f "$LAB/hv2/small/filler"
is "a disk that fills up: nothing is left" "$(traces hv2 "$(vm_uuid "$VM" hv1)" "$VM")$(lab exec hv2 -- find "$SMALL" -mindepth 1 ! -name filler)" ""
lab link hv1 mig off

# --- and all was as if nothing had been ---
is "hv1's agent is still the same" "$(agent_pid)" "$PID"
need "it moves" move "$VM" hv1 hv2
need "and back" move "$VM" hv2 hv1
sleep 2
watch_end
is "broken connections" "$(watched tcp_broken)" 0
need "VM stopped" drover_as alice hv1 vm stop "$VM" --timeout 60s
is "acknowledged records that the image lacks" "$(writes_lost "$(vm_image "$VM" hv1)" "$WORK/watch.acks")" 0
test_result
