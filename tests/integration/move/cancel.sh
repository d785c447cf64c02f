#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# cancel.sh BUILD_DIR: a move cancelled in any phase before `take` leaves the VM running at the source with
# every write, and nothing at the destination.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: cancel.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

VM=cancel-$$ IP=10.83.0.112
UUID=

cleanup() {
    lab link hv1 mig off
    vm_remove "$VM" hv1
}

# cancel_in PHASE OPTION...: begin a move, cancel it when an event names PHASE.
cancel_in() {
    local phase=$1 id status=0
    shift
    id=$(drover_as alice hv1 move "$VM" --to hv2 --detach "$@") || { bad "$phase: no move: $id" && return; }
    id=${id##*$'\n'}
    drover_as alice hv1 --json attach "$id" >"$WORK/events" 2>"$WORK/attach.err" &
    local attached=$!
    if ! wait_until 30 grep -q "\"phase\":\"$phase\"" "$WORK/events"; then
        bad "$phase: never reached: $(tail -n 1 "$WORK/events")"
    fi
    drover_as alice hv1 --quiet cancel "$id" >"$WORK/cancel" 2>&1 || bad "$phase: cancel: $(cat "$WORK/cancel")"
    wait $attached || status=$?
    RESULT=$(tail -n 1 "$WORK/events")
    is "$phase: status" $status 6
    is "$phase: state" "$(result state)" cancelled
    is "$phase: the VM runs at the source" "$(vm_state "$VM" hv1)" running
    wait_until 5 nothing_at_destination
    is "$phase: nothing is left at the destination" "$(traces hv2 "$UUID" "$VM")" ""
    is "$phase: nor on the share" "$(find "$LAB/fs/share" -path "*$VM/*" -type f ! -name 'vm*.json' ! -name '*.qcow2')" ""
    is "$phase: the move is over" "$(drover_on hv1 --json jobs --active | jq -r .move)" ""
}

nothing_at_destination() { [[ -z $(traces hv2 "$UUID" "$VM") ]]; }

test_begin
need "VM made" vm_create "$VM" $IP hv1
need "VM started" vm_start "$VM" hv1 $IP
UUID=$(vm_uuid "$VM" hv1)
need "guest busy" vm_busy $IP
need "bulk on the disk" guest_ctl $IP --timeout 60 blob vda 100 24 1
need "watched" watch_begin $IP "$WORK/watch"

lab link hv1 mig 40mbit # phases last long enough to be met
cancel_in copy --storage "$LOCAL"
cancel_in memory
cancel_in memory --storage "$LOCAL"
cancel_in prepare --storage "$LOCAL"
lab link hv1 mig off

need "after that it still moves" move "$VM" hv1 hv2 --storage "$LOCAL"
need "and back" move "$VM" hv2 hv1 --storage "$STORE"
sleep 2
watch_end
is "broken connections" "$(watched tcp_broken)" 0
guest_ctl $IP dirty 0 >/dev/null
like "memory" "$(guest_ctl $IP memcheck)" "ok bad=0 *"
need "VM stopped" drover_as alice hv1 vm stop "$VM" --timeout 60s
is "acknowledged records that the image lacks" "$(writes_lost "$(vm_image "$VM" hv1)" "$WORK/watch.acks")" 0
test_result
