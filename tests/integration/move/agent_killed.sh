#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# agent_killed.sh BUILD_DIR: agents that are killed in the middle of a move. When they are back the move ends by
# itself: the VM runs once, at one of the two hosts, nothing is left at the other, and it moves again.
# $ROUNDS more rounds (4 if not said) at random moments.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: agent_killed.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

VM=killed-$$ IP=10.83.0.118
ROUNDS=${ROUNDS:-4}
UUID='' ID='' AT=hv1

cleanup() {
    lab link hv1 mig off
    for host in hv1 hv2; do
        lab svc "$host" droverd start
    done
    vm_remove "$VM" hv1 || vm_remove "$VM" hv2
}

other() { [[ $1 == hv1 ]] && echo hv2 || echo hv1; }

# begin OPTION...: a move from $AT, under way; its events go to $WORK/events.
begin() {
    ID=$(drover_as alice "$AT" move "$VM" --to "$(other "$AT")" --detach "$@") || { bad "no move: $ID" && return 1; }
    ID=${ID##*$'\n'}
    : >"$WORK/events"
    drover_as alice "$AT" --json attach "$ID" >"$WORK/events" 2>"$WORK/attach.err" &
    ATTACHED=$!
}

over() {
    local host
    for host in hv1 hv2; do
        [[ -z $(drover_on "$host" --json jobs | jq -r --arg id "$ID" 'select(.move == $id and .state == "active") | .move') ]] || return 1
    done
}

# It is known at one host only: $AT becomes that.
only_once() {
    local host n=0
    for host in hv1 hv2; do
        case $(vm_state "$VM" "$host") in
        running) AT=$host n=$((n + 1)) ;;
        '') ;;
        *) return 1 ;;
        esac
    done
    ((n == 1))
}

# killed TEXT HOST...: kill the agents, start them again, and look at what becomes of the move.
killed() {
    local text=$1 host state
    shift
    for host in "$@"; do
        lab svc "$host" droverd kill
    done
    sleep 1
    lab link hv1 mig off
    for host in "$@"; do
        need "$text: a new agent on $host" lab svc "$host" droverd start
    done
    for host in "$@"; do
        state=$(drover_on "$host" --json jobs | jq -r --arg id "$ID" 'select(.move == $id) | .state')
        like "$text: $host lists the move" "$state" "[a-z]*"
    done
    wait "$ATTACHED" # of a source that lives: until the end
    if ! wait_until 90 over; then
        bad "$text: the move ends: $(drover_on hv1 --plain jobs --active) $(drover_on hv2 --plain jobs --active)"
    fi
    if ! wait_until 20 only_once; then
        bad "$text: hv1: $(vm_state "$VM" hv1), hv2: $(vm_state "$VM" hv2)"
        return 1
    fi
    good "$text: runs on $AT ($(drover_on hv1 --json jobs | jq -r --arg id "$ID" 'select(.move == $id) | .state'))"
    like "$text: the guest answers" "$(guest_ctl $IP stat)" "ok *"
    is "$text: nothing is left on $(other "$AT")" "$(traces "$(other "$AT")" "$UUID" "$VM")" ""
}

# in_phase PHASE HOST...: with the disk to a local store and back by turns.
in_phase() {
    local phase=$1 storage=$LOCAL rate=40mbit
    shift
    [[ $(vm_field "$VM" "$AT" '.definition.disks[0].store') == "$LOCAL" ]] && storage=$STORE
    [[ $phase == memory ]] && rate=80mbit
    lab link hv1 mig $rate
    begin --storage $storage || return
    wait_until 60 grep -q "\"phase\":\"$phase\"" "$WORK/events" || bad "$phase: never reached"
    sleep 0.3
    killed "$phase, $* killed" "$@"
}

test_begin
need "VM made" vm_create "$VM" $IP hv1
UUID=$(vm_uuid "$VM" hv1)
need "VM started" vm_start "$VM" hv1 $IP
need "guest busy" vm_busy $IP
need "bulk on the disk" guest_ctl $IP --timeout 60 blob vda 100 16 1
need "watched" watch_begin $IP "$WORK/watch"

in_phase copy hv1
in_phase copy hv2
in_phase copy hv1 hv2
in_phase memory hv1
in_phase memory hv2
in_phase memory hv1 hv2
for ((n = 0; n < ROUNDS; n++)); do
    options=()
    if [[ $(vm_field "$VM" "$AT" '.definition.disks[0].store') == "$LOCAL" ]]; then
        options=(--storage "$STORE")
    elif ((n % 2)); then
        options=(--storage "$LOCAL")
    fi
    hosts=(hv1 hv2)
    ((RANDOM % 3 == 0)) || hosts=("hv$((RANDOM % 2 + 1))")
    begin "${options[@]}" || break
    delay=$(printf '0.%03d' $((RANDOM % 1000)))
    wait_until 20 grep -q '"phase":"memory"' "$WORK/events" || bad "round $n: never reached: $(tail -n 1 "$WORK/events")"
    sleep "$delay"
    killed "round $n, $delay s into memory, ${hosts[*]} killed" "${hosts[@]}" || break
done

need "after all that it moves" move "$VM" "$AT" "$(other "$AT")" --storage "$STORE"
AT=$(other "$AT")
is "nothing is left" "$(traces "$(other "$AT")" "$UUID" "$VM")" ""
sleep 2
watch_end
is "broken connections" "$(watched tcp_broken)" 0
is "acknowledgements lost" "$(watched acks_lost)" 0
guest_ctl $IP dirty 0 >/dev/null
like "memory" "$(guest_ctl $IP memcheck)" "ok bad=0 *"
need "VM stopped" drover_as alice "$AT" vm stop "$VM" --timeout 60s
is "acknowledged records that the image lacks" "$(writes_lost "$(vm_image "$VM" "$AT")" "$WORK/watch.acks")" 0
test_result
