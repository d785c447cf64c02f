#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# frozen.sh BUILD_DIR: a drover-store, then the smbd process that serves it, is stopped (SIGSTOP) under a running
# VM. Another host that wants the VM is told who holds it, and takes nothing, not even when a person says that the
# holder is dead; when the process goes on, so does the guest, and nothing is lost. On the lab that is up.
# shellcheck disable=SC2317  # functions are called through need and wait_until
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: frozen.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

VM=frozen-$$ IP=10.83.0.116
UUID='' FROZEN=''

cleanup() {
    [[ -z $FROZEN ]] || kill -CONT "$FROZEN"
    lab svc hv1 droverd start
    vm_remove "$VM" hv1
    drover_on hv2 --quiet vm delete "$VM" # it only knows of it
    drover_on hv1 --quiet store set "$STORE" stall_deadline=60s
}

store_pid() { cut -d' ' -f1 "$LAB/hv1/run/drover/vm/$UUID/disk0.pid"; }

# smbd_pid: of the process at the other end of drover-store's connection.
smbd_pid() {
    local port
    port=$(ip netns exec "${NS_PREFIX}hv1" ss -Htnp state established dport = :445 |
        sed -n "s/.*:\([0-9]*\) .*:445 .*pid=$(store_pid),.*/\1/p")
    ip netns exec "${NS_PREFIX}fs" ss -Htnp state established "sport = :445 and dport = :${port:?}" |
        sed -n 's/.*pid=\([0-9]*\),.*/\1/p'
}

record() { sha256sum <"$LAB/fs/share/.drover/owners/$UUID"; }
why() { drover_on hv1 --json vm list | jq -r --arg vm "$VM" 'select(.name == $vm) | .state + " " + .why'; }
paused() { [[ $(why) == paused* ]]; }
more_acks() { (($(wc -l <"$WORK/watch.acks") > $1 + 5)); }

# refused TEXT PATTERN OPTION...: hv2 does not get the VM, and the record stays as it is.
refused() {
    local text=$1 pattern=$2 before out
    shift 2
    before=$(record)
    out=$(drover_on hv2 vm start "$VM" "$@" 2>&1)
    like "$text" "$?: $out" "$pattern"
    is "$text: the record" "$(record)" "$before"
}

# nobody_takes WHAT PID
nobody_takes() {
    local what=$1 acks
    FROZEN=$2
    kill -STOP "$FROZEN"
    refused "$what stopped: hv1 runs it" "[1-9]*: *hv1.$DOMAIN answers, and runs VM $VM*" --take-over
    lab svc hv1 droverd freeze
    refused "hv1's agent as well: hv1 owns it" "[1-9]*: *hv1.$DOMAIN owns VM $VM and does not answer*" --take-over
    refused "whoever says that it is dead" "[1-9]*: *hv1.$DOMAIN does not answer, but still holds VM $VM's owner record*" \
        --take-over --host-is-dead
    lab svc hv1 droverd start
    kill -CONT "$FROZEN"
    FROZEN=''
    acks=$(wc -l <"$WORK/watch.acks")
    wait_until 60 more_acks "$acks" || bad "$what goes on: $(why)"
    is "the guest goes on" "$(vm_state "$VM" hv1)" running
}

test_begin
need "a short deadline" drover_on hv1 --quiet store set "$STORE" stall_deadline=20s
need "VM made" vm_create "$VM" $IP hv1
UUID=$(vm_uuid "$VM" hv1)
need "VM started" vm_start "$VM" hv1 $IP
need "hv2 knows it" drover_on hv2 --quiet vm register "$STORE/$VM"
need "guest busy" vm_busy $IP 16 1 25
need "watched" watch_begin $IP "$WORK/watch"
nobody_takes "drover-store" "$(store_pid)"
nobody_takes "its smbd process" "$(smbd_pid)"

FROZEN=$(smbd_pid)
kill -STOP "$FROZEN"
wait_until 30 paused || bad "after the deadline: $(why)"
like "the guest stands after the deadline" "$(why)" "paused *"
kill -CONT "$FROZEN"
FROZEN=''
ACKS=$(wc -l <"$WORK/watch.acks")
need "and goes on by itself" wait_until 60 more_acks "$ACKS"
sleep 2
watch_end
is "broken connections" "$(watched tcp_broken)" 0
is "acknowledgements lost" "$(watched acks_lost)" 0
like "records, by the guest" "$(guest_ctl $IP verify vda)" "ok * lost=0 corrupt=0 *"
need "VM stopped" drover_as alice hv1 vm stop "$VM" --timeout 60s
is "acknowledged records that the image lacks" "$(writes_lost "$(vm_image "$VM" hv1)" "$WORK/watch.acks")" 0
test_result
