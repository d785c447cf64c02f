#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# fenced.sh BUILD_DIR: a host that was cut off while another took its VM over finds its copy paused, and the list of VMs says
# who has it and how to end the copy; ending it touches nothing of the other's. Takes two minutes: a take-over waits.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: fenced.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

VM=fenced-$$ IP=10.83.0.153

cleanup() {
    lab link hv1 lan heal
    vm_remove "$VM" hv2
    drover_on hv1 --quiet vm stop "$VM" --force
    drover_on hv1 --quiet vm delete "$VM" --keep-disks
}

why() { drover_on hv1 --json vm list | jq -r --arg vm "$VM" 'select(.name == $vm).why'; }
why_like() { [[ $(why) == *"$1"* ]]; }

test_begin
need "VM made" vm_create "$VM" "$IP" hv1
need "VM started" vm_start "$VM" hv1 "$IP"
need "hv2 knows it" drover_on hv2 --quiet vm register "$STORE/$VM"
lab link hv1 lan cut
need "it is paused without its server" wait_until 120 why_like "paused (S14)"
like "which ends by itself" "$(why)" "*goes on by itself when its store is back*"
need "hv2 takes it over" drover_on hv2 --quiet vm start "$VM" --take-over --host-is-dead
lab link hv1 lan heal
need "hv1 says that its copy is fenced" wait_until 60 why_like "fenced (S07): hv2.$DOMAIN has it (epoch 3)"
like "and how to end it" "$(why)" "*\`drover vm stop $VM --force\` ends it"
is "it stands still" "$(vm_state "$VM" hv1)" paused
like "the log has it" "$(drover_on hv1 vm log "$VM")" "*fenced (S07)*"
need "it is ended" drover_on hv1 --quiet vm stop "$VM" --force
need "the guest runs on hv2" lab exec admin -- guest-client wait "$IP" 60
is "with its record" "$(vm_field "$VM" hv2 '.record.body | "\(.state) \(.host)"')" "running hv2.$DOMAIN"

test_result
