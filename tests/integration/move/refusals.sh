#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# refusals.sh BUILD_DIR: who may not move a VM, or not there, is turned away with the cause, the remedy and
# its exit status, and nothing is touched.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: refusals.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

VM=refuse-$$ IP=10.83.0.111
UUID=

cleanup() {
    drover_on hv2 --quiet host set receive=on auth=either
    drover_on hv1 --quiet host set send=on max_moves=2 auth=either
    lab svc hv1 droverd3 stop
    lab exec dc -- samba-tool group removemembers "VM Admins" 'HV3$' -H "$LAB/dc/private/sam.ldb"
    vm_remove "$VM" hv1
}

state() { footprint "$VM" "$UUID"; }

# refused TEXT STATUS ID PATTERN CMD...: CMD ends with STATUS, says ID and PATTERN and a remedy.
refused() {
    local text=$1 wanted=$2 id=$3 pattern=$4 out status=0
    shift 4
    out=$("$@" 2>&1) || status=$?
    is "$text: status" "$status" "$wanted"
    like "$text: says $id" "$out" "*$id*"
    like "$text: says why" "$out" "*$pattern*"
    like "$text: says what to do" "$out" "*@([Ff]ix:|hint:)*"
    is "$text: nothing touched" "$(state 2>/dev/null | diff "$WORK/before" -)" ""
}

try() { drover_as "$1" hv1 move "$VM" --to hv2 "${@:2}"; } # USER [OPTION...]

test_begin
need "VM made" vm_create "$VM" $IP hv1
need "VM started" vm_start "$VM" hv1 $IP
UUID=$(vm_uuid "$VM" hv1)
sleep 2 # the guest's boot is over
state >"$WORK/before"

refused "bob has no role" 4 A01 "bob" try bob
refused "val may only look" 4 A02 "viewer" try val
# With permits (permit.sh) these two may.
drover_on hv1 --quiet host set auth=delegation
drover_on hv2 --quiet host set auth=delegation
refused "carol is sensitive" 4 D12 "carol" try carol
refused "dave is a Protected User" 4 D12 "dave" try dave
refused "and permits are refused" 4 D16 "does not accept permits" try carol
drover_on hv1 --quiet host set auth=either
drover_on hv2 --quiet host set auth=either
refused "alice without a ticket" 4 K01 "kinit" lab exec admin -- drover --no-input -H "hv1.$DOMAIN" move "$VM" --to hv2
refused "root without a ticket" 4 K01 "kinit" drover_on hv1 move "$VM" --to hv2
refused "bob's check" 4 A01 "bob" drover_as bob hv1 check "$VM" --to hv2
like "the audit log has them" "$(drover_as erin hv1 --json audit --refused --limit 20 |
    jq -r 'select(.who == "bob@'"$REALM"'" and .action == "move.start") | .reason')" "*A01*bob*"
refused "which alice may not read" 4 A02 "admin" drover_as alice hv1 audit

drover_on hv2 --quiet host set receive=off
refused "hv2 does not receive" 5 R01 "receive" try alice
drover_on hv2 --quiet host set receive=on
drover_on hv1 --quiet host set send=off
refused "hv1 does not send" 5 R02 "send" try alice
drover_on hv1 --quiet host set send=on max_moves=0
refused "no slot" 5 R03 "max_moves" try alice
drover_on hv1 --quiet host set max_moves=2

refused "no such bridge" 3 N01 "nobridge" try alice --network "$BRIDGE=nobridge"
refused "no such store" 3 S01 "nostore" try alice --storage nostore
lab svc hv2 droverd stop
state >"$WORK/before" 2>/dev/null
refused "nobody at hv2" 5 R04 "hv2" try alice
lab svc hv2 droverd start

# HV3$ may delegate and reach the share, but is not in `VM Hosts`: what it sends is turned away by hv2.
THIRD=third-$$
lab exec dc -- samba-tool group addmembers "VM Admins" 'HV3$' -H "$LAB/dc/private/sam.ldb" >/dev/null
lab svc hv1 droverd3 start
on_hv3() { lab exec hv1 -- env DROVER_SOCKET=/run/drover-hv3/drover.sock drover --no-input --yes --quiet "$@"; }
if on_hv3 vm create "$THIRD" --store "$STORE" --memory 128M --accel tcg --cpu qemu64 --graphics none --disk 64M &&
    on_hv3 vm start "$THIRD"; then
    state >"$WORK/before"
    refused "HV3\$ is no host" 4 A04 "hosts' group" drover_as alice hv3 move "$THIRD" --to hv2
else
    bad "no VM on hv3"
fi
on_hv3 vm stop "$THIRD" --force
on_hv3 vm delete "$THIRD"
lab svc hv1 droverd3 stop

need "after all that it still moves" move "$VM" hv1 hv2
need "and back" move "$VM" hv2 hv1
test_result
