#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# returns.sh BUILD_DIR: what the list of VMs says after a host lost its power. While an agent has not looked
# at a VM yet, it does not know its state. A host whose VM was taken over meanwhile says who has it, does not
# start it, does not delete it, and forgets it without touching it. Takes two minutes: a take-over waits.
# shellcheck disable=SC2317  # functions are called through need and wait_until
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: returns.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

VM=returns-$$ IP=10.83.0.133

cleanup() {
    lab svc fs smbd start
    lab svc hv1 droverd start
    vm_remove "$VM" hv2
    vm_remove "$VM" hv1
}

why() { drover_on "$1" --json vm list | jq -r --arg vm "$VM" 'select(.name == $vm).why'; } # HOST
known() { [[ $(vm_state "$VM" hv1) != unknown ]]; }

# refused TEXT PATTERN ARGUMENT...: by hv1.
refused() {
    local text=$1 pattern=$2 out status=0
    shift 2
    out=$(drover_on hv1 "$@" 2>&1) || status=$?
    like "$text" "$status: $out" "$pattern"
}

test_begin
need "VM made" vm_create "$VM" $IP hv1
need "VM started" vm_start "$VM" hv1 $IP
IMAGE=$(vm_image "$VM" hv1)

need "the power of hv1 goes" host_down hv1
lab svc fs smbd freeze
need "the agent is back, the file server is not" lab svc hv1 droverd start
is "what is not known is not said to be stopped" "$(vm_state "$VM" hv1)" unknown
lab svc fs smbd start
need "then it is looked at" wait_until 60 known
is "it is stopped" "$(vm_state "$VM" hv1)" stopped

need "the power of hv1 goes" host_down hv1
need "hv2 knows it" drover_on hv2 vm register "$STORE/$VM"
need "hv2 takes it over" drover_on hv2 vm start "$VM" --take-over --host-is-dead
need "hv1 is back" lab svc hv1 droverd start
need "it looks" wait_until 60 known
is "it does not run there" "$(vm_state "$VM" hv1)" stopped
like "hv1 says who has it" "$(why hv1)" "hv2.$DOMAIN has it (epoch [0-9]*); *--keep-disks*"
refused "hv1 does not start it" "[1-9]*S07*" vm start "$VM"
refused "nor delete it" "[1-9]*S07*" vm delete "$VM"
refused "it forgets it" "0: *nothing on the stores was touched*" vm delete "$VM" --keep-disks
is "it is in no list of hv1's" "$(vm_state "$VM" hv1)" ""
need "the guest runs on hv2" lab exec admin -- guest-client wait $IP 60
is "with its disk" "$(test -s "$IMAGE" && echo there)" there
need "and moves to hv1 as any other" move "$VM" hv2 hv1
test_result
