#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# roundtrip.sh BUILD_DIR: $MOVES moves (6 if not said), there and back in turn, half VM-only and half with the
# disk, of a guest that rewrites its memory and writes records. Nothing may be lost, broken or left behind.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: roundtrip.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

VM=trip-$$ IP=10.83.0.110
MOVES=${MOVES:-6}
UUID='' AT=hv1

cleanup() { vm_remove "$VM" "$AT"; }

# one_move N: to the other host.
one_move() {
    local n=$1 from=$AT to options=() text="VM only"
    [[ $from == hv1 ]] && to=hv2 || to=hv1
    # Of six, three VM-only; then SMB -> local, local -> local, local -> SMB.
    case $((n % 6)) in
    3) options=(--storage "$LOCAL") text="disk to $LOCAL" ;;
    4) options=(--storage "$LOCAL") text="disk from $LOCAL to $LOCAL" ;;
    5) options=(--storage "$STORE") text="disk to $STORE" ;;
    esac
    if ! move "$VM" "$from" "$to" "${options[@]}"; then
        bad "move $n, $from to $to, $text: $(result error)$(cat "$WORK/move.err")"
        return 1
    fi
    AT=$to
    good "move $n, $from to $to, $text: blackout $(result blackout_ms) ms, $(result total_ms) ms in all"
    is "move $n: encrypted" "$(result encrypted)" true
    sleep 1
    is "move $n: nothing is left on $from" "$(traces "$from" "$UUID" "$VM")" ""
}

test_begin
need "VM made" vm_create "$VM" $IP hv1
UUID=$(vm_uuid "$VM" hv1)
need "VM started" vm_start "$VM" hv1 $IP
need "guest busy" vm_busy $IP
need "watched" watch_begin $IP "$WORK/watch"
for ((n = 0; n < MOVES; n++)); do
    one_move "$n" || break
done
sleep 2
watch_end
is "broken connections" "$(watched tcp_broken)" 0
is "garbled echoes" "$(watched tcp_garbled)" 0
is "acknowledgements lost" "$(watched acks_lost)" 0
is "acknowledgements reordered" "$(watched acks_reordered)" 0
below "longest gap for the client, ms" "$(watched udp_gap_ms)" 2000
guest_ctl $IP dirty 0 >/dev/null
like "memory" "$(guest_ctl $IP memcheck)" "ok bad=0 *"
like "records, by the guest" "$(guest_ctl $IP verify vda)" "ok * lost=0 corrupt=0 *"
need "VM stopped" drover_as alice "$AT" vm stop "$VM" --timeout 60s
is "acknowledged records that the image lacks" "$(writes_lost "$(vm_image "$VM" "$AT")" "$WORK/watch.acks")" 0
like "records were written" "$(watched acks)" "[1-9]*"
UUID=$(vm_uuid "$VM" "$AT")
need "VM deleted" drover_on "$AT" --quiet vm delete "$VM"
is "nothing is left on hv1" "$(traces hv1 "$UUID" "$VM")" ""
is "nothing is left on hv2" "$(traces hv2 "$UUID" "$VM")" ""
is "nothing is left on the share" "$(find "$LAB/fs/share" -path "*$VM*" -o -name "$UUID")" ""
test_result
