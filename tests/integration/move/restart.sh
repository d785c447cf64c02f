#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# restart.sh BUILD_DIR: agents that are killed leave their VMs running and find them again, on SMB and on
# local disks, at the source and at the destination of a move; then the VM moves as before.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: restart.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

VM=restart-$$ IP=10.83.0.115

cleanup() {
    lab link hv1 mig off
    lab svc hv1 droverd start
    lab svc hv2 droverd start
    vm_remove "$VM" hv1 || vm_remove "$VM" hv2
}

# killed HOST TEXT: kill -9, the guest goes on, the new agent knows it as before.
killed() {
    local host=$1 text=$2 pid state
    pid=$(vm_field "$VM" "$host" .pid)
    lab svc "$host" droverd kill
    sleep 1
    like "$text: the guest runs without an agent" "$(guest_ctl $IP stat)" "ok *"
    need "$text: a new agent" lab svc "$host" droverd start
    wait_until 10 running "$host"
    state="$(vm_state "$VM" "$host") $(vm_field "$VM" "$host" .pid)"
    is "$text: it found the VM" "$state" "running $pid"
}

running() { [[ $(vm_state "$VM" "$1") == running ]]; }

test_begin
need "VM made" vm_create "$VM" $IP hv1
need "VM started" vm_start "$VM" hv1 $IP
need "guest busy" vm_busy $IP
need "bulk on the disk" guest_ctl $IP --timeout 60 blob vda 100 24 1
need "watched" watch_begin $IP "$WORK/watch"

killed hv1 "disk on SMB"
need "it moves after that" move "$VM" hv1 hv2 --storage "$LOCAL"
killed hv2 "disk on a local store"
need "it moves back" move "$VM" hv2 hv1 --storage "$STORE"

# With a move in flight: what is promised here is that the guest goes on and that the move stays visible.
lab link hv1 mig 40mbit
ID=$(drover_as alice hv1 move "$VM" --to hv2 --storage "$LOCAL" --detach)
ID=${ID##*$'\n'}
wait_until 20 sh -c "'$LAB_CHECKOUT/tests/lab/lab' exec hv1 -- drover --plain jobs --active | grep -q copy"
killed hv1 "a move in flight"
like "the move is still listed" "$(drover_on hv1 --json jobs | jq -r --arg id "$ID" 'select(.move == $id) | .state')" "[a-z]*"
lab link hv1 mig off

sleep 2
watch_end
is "broken connections" "$(watched tcp_broken)" 0
guest_ctl $IP dirty 0 >/dev/null
like "memory" "$(guest_ctl $IP memcheck)" "ok bad=0 *"
need "the guest turned off" guest_ctl $IP poweroff
wait_until 30 sh -c "'$LAB_CHECKOUT/tests/lab/lab' exec hv1 -- drover --plain vm list | grep -q '^$VM	stopped'"
is "acknowledged records that the image lacks" "$(writes_lost "$LAB/fs/share/$VM/disk0.qcow2" "$WORK/watch.acks")" 0
test_result
