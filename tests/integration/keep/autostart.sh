#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# autostart.sh BUILD_DIR: after a boot, and only then, VMs with autostart are started, in their order and with their delays,
# if they are still this host's. Without the file server nothing is started, it is said why, and tried until it is back or
# the time is over. One that was taken over meanwhile is named with its host.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: autostart.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

FIRST=b-first-$$ SECOND=a-second-$$ THIRD=c-third-$$ OFF=d-off-$$
ALL=("$FIRST" "$SECOND" "$THIRD" "$OFF")

cleanup() {
    local vm
    lab link fs lan heal
    lab svc hv1 droverd start
    for vm in "${ALL[@]}"; do
        [[ -z $(vm_state "$vm" hv2) ]] || vm_remove "$vm" hv2
        drover_on hv1 --quiet vm delete "$vm" --keep-disks
        vm_remove "$vm" hv1
    done
    drover_on hv1 --quiet host set autostart_wait=15m
}

make() { drover_as erin hv1 --quiet vm create "$1" --store "$STORE" --memory 32M --cpu qemu64 --accel tcg --graphics none --disk 8M; }
runs() { [[ $(vm_state "$1" "${2:-hv1}") == running ]]; } # NAME [HOST]
why() { drover_on hv1 --json vm list | jq -r --arg vm "$1" 'select(.name == $vm).why'; }
why_like() { [[ $(why "$1") == *"$2"* ]]; }
# started NAME: when it was last, by its log, in ms.
started() { drover_on hv1 --json vm log "$1" --lines 1000 | jq -rs 'map(select(.text | startswith("started with epoch"))) | last.at'; }
audited() { drover_on hv1 --json audit --limit 100 | jq -r --arg vm "$1" 'select(.action == "autostart" and .object == $vm) | "\(.allowed) \(.reason)"'; }
before() { jq -en "$1 < $2" >/dev/null; }

test_begin
for vm in "${ALL[@]}"; do
    need "a VM $vm" make "$vm"
done
need "order and delay" drover_as erin hv1 --quiet vm set "$FIRST" autostart=on start_order=10 start_delay=3s
need "an order" drover_as erin hv1 --quiet vm set "$SECOND" autostart=on start_order=20
need "and none" drover_as erin hv1 --quiet vm set "$THIRD" autostart=on
need "another runs, without autostart" drover_on hv1 --quiet vm start "$OFF"

# An agent that starts again starts nothing.
lab svc hv1 droverd kill
lab svc hv1 droverd start
need "a new agent has looked at its VMs" wait_until 20 runs "$OFF"
sleep 3
is "and started none" "$(vm_state "$FIRST" hv1) $(vm_state "$SECOND" hv1)" "stopped stopped"

# The power goes, and comes back.
need "the host goes down" host_down hv1
need "and boots" host_boot hv1
for vm in "$FIRST" "$SECOND" "$THIRD"; do
    need "$vm starts with its host" wait_until 30 runs "$vm"
done
need "in their order" before "$(started "$FIRST") + 3000" "$(started "$SECOND")"
need "to the last" before "$(started "$SECOND")" "$(started "$THIRD")"
is "the other does not" "$(vm_state "$OFF" hv1)" stopped
like "and it is said why" "$(why "$OFF")" "*ran when this host went down, and autostart is off*"
like "the audit log has it" "$(audited "$FIRST")" "true its host has booted"

# What a person has stopped stays so.
need "one is stopped" drover_on hv1 --quiet vm stop "$SECOND" --force
lab svc hv1 droverd kill
lab svc hv1 droverd start
need "a new agent has looked again" wait_until 20 runs "$FIRST"
sleep 3
is "and left it so" "$(vm_state "$SECOND" hv1)" stopped

# No file server.
need "the host goes down again" host_down hv1
lab link fs lan cut
need "and boots without the file server" host_boot hv1
need "it is said what is waited for" wait_until 120 why_like "$FIRST" "autostart waits: "
like "and until when" "$(why "$FIRST")" "*it tries for * more min"
is "nothing runs" "$(vm_processes hv1)" ""
lab link fs lan heal
for vm in "$FIRST" "$SECOND" "$THIRD"; do
    need "$vm starts when the server is back" wait_until 60 runs "$vm"
done
need "in their order, too" before "$(started "$FIRST") + 3000" "$(started "$SECOND")"
is "without a word" "$(why "$FIRST")" ""

# Not for ever.
need "a shorter patience" drover_on hv1 --quiet host set autostart_wait=2s
need "the host goes down once more" host_down hv1
lab link fs lan cut
need "and boots" host_boot hv1
need "it gives up" wait_until 150 why_like "$FIRST" "autostart has given up"
lab link fs lan heal
like "and says so in the audit log" "$(audited "$FIRST" | head -n 1)" "false autostart has given up*"
sleep 12
is "for good" "$(vm_state "$FIRST" hv1)" stopped
need "a person can" drover_on hv1 --quiet vm start "$FIRST"

# Taken over while its host was down.
need "more patience" drover_on hv1 --quiet host set autostart_wait=15m
need "the host dies" host_down hv1
need "hv2 learns of it" drover_on hv2 --quiet vm register "$STORE/$FIRST"
need "hv2 takes it over" drover_on hv2 --quiet vm start "$FIRST" --take-over --host-is-dead
need "its host comes back" host_boot hv1
need "it says where the VM is" wait_until 30 why_like "$FIRST" "hv2.$DOMAIN has it"
need "the next one starts" wait_until 30 runs "$SECOND"
is "that one does not" "$(vm_state "$FIRST" hv1)" stopped
need "it runs on hv2" runs "$FIRST" hv2
like "the audit log says why" "$(audited "$FIRST" | head -n 1)" "false *hv2.$DOMAIN has it*"

# Stopped there: still not hv1's.
need "it stops on hv2" drover_on hv2 --quiet vm stop "$FIRST" --force
need "hv1 goes down" host_down hv1
need "and boots" host_boot hv1
need "it leaves the VM to who had it last" wait_until 30 why_like "$FIRST" "hv2.$DOMAIN had it last"

test_result
