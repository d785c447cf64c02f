#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# cpu.sh BUILD_DIR: a new VM gets the best CPU that all hosts have, and it moves; a host that does not answer is named.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: cpu.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

VM=cpu-$$

cleanup() {
    lab svc hv2 droverd start
    vm_remove "$VM" hv1 || vm_remove "$VM" hv2
}

create() {
    drover_as erin hv1 vm create "$VM" --store "$STORE" --memory 64M --accel tcg --graphics none --disk 8M "$@" 2>&1
}

model() { vm_field "$VM" "$1" .definition.cpu.model; }

test_begin
drover_as alice hv1 --json host list --cpu >"$WORK/cpus"
COMMON=$(jq -r .common.tcg "$WORK/cpus")
like "the hosts have a model in common" "$COMMON" "*-v*"
is "both hosts can run it" "$(jq --arg m "$COMMON" '[.hosts[] | select(.models.tcg | index($m)).host] | length' "$WORK/cpus")" 2
like "people see it, too" "$(drover_as alice hv1 host list --cpu)" "*hv2*A new VM gets * with KVM, $COMMON without.*"

like "a new VM says what it gets" "$(create)" "*CPU model $COMMON: the best that this host and 1 other can run*"
is "it has that" "$(model hv1)" "$COMMON"
need "it starts" drover_on hv1 --quiet vm start "$VM"
need "it moves" move "$VM" hv1 hv2
need "it goes" vm_remove "$VM" hv2

need "the other agent ends" lab svc hv2 droverd stop
like "a host that does not answer is named" "$(create)" "*hv2.$DOMAIN did not answer*"
need "it goes" vm_remove "$VM" hv1
like "max is refused" "$(create --cpu max)" "*another processor on each host*V04*"
like "a name gets its version" "$(create --cpu qemu64)" "*qemu64-v1*"
is "which the VM has" "$(model hv1)" qemu64-v1

test_result
