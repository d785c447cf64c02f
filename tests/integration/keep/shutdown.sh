#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# shutdown.sh BUILD_DIR: when the host shuts down, guests are asked all at once; who does not answer is left or ended as its
# on_host_shutdown says, within a bounded time; owner records say "stopped"; after the boot, those with autostart are back
# with all that they were told is safe.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: shutdown.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

GOOD=good-$$ DEAF=deaf-$$ FORCED=forced-$$ LEFT=left-$$ IP=10.83.0.152
ALL=("$GOOD" "$DEAF" "$FORCED" "$LEFT")

cleanup() {
    local vm
    lab svc hv1 droverd start
    for vm in "${ALL[@]}"; do
        vm_remove "$vm" hv1
    done
}

# A machine without a system notices no power button.
make() { drover_as erin hv1 --quiet vm create "$1" --store "$STORE" --memory 32M --cpu qemu64 --accel tcg --graphics none --disk 8M; }
runs() { [[ $(vm_state "$1" hv1) == running ]]; }
record() { vm_field "$1" hv1 .record.body.state; }
end_of() { jq -rs --arg vm "$1" 'map(select(.vm == $vm)) | last | "\(.end) \(.msg)"' "$WORK/ends"; } # NAME

test_begin
need "a guest that listens" vm_create "$GOOD" "$IP" hv1
for vm in "$DEAF" "$FORCED" "$LEFT"; do
    need "a deaf one" make "$vm"
    need "runs" drover_on hv1 --quiet vm start "$vm"
done
need "one may be forced" drover_as erin hv1 --quiet vm set "$FORCED" on_host_shutdown=force shutdown_timeout=3s
need "one is left" drover_as erin hv1 --quiet vm set "$LEFT" on_host_shutdown=leave
need "one has little time" drover_as erin hv1 --quiet vm set "$DEAF" shutdown_timeout=4s
need "the first comes back" drover_as erin hv1 --quiet vm set "$GOOD" autostart=on
need "and runs" vm_start "$GOOD" hv1 "$IP"
need "busy" vm_busy "$IP"
need "watched" watch_begin "$IP" "$WORK/watch"
sleep 2

drover_as alice hv1 host shutdown-guests >"$WORK/out" 2>&1
is "an operator may not: status" $? 4
need "nothing happened" runs "$GOOD"

drover_on hv1 --json host shutdown-guests >"$WORK/ends" 2>"$WORK/err"
is "one was not shut down: status" $? 1
watch_end
like "the one that listens is off" "$(end_of "$GOOD")" "off "
like "the forced one, too" "$(end_of "$FORCED")" "forced *did not shut down within 3 s*"
like "the deaf one is not" "$(end_of "$DEAF")" "failed *did not shut down within 4 s*"
like "the other is left" "$(end_of "$LEFT")" "left on_host_shutdown=leave"
is "records of those that are off" "$(record "$GOOD") $(record "$FORCED")" "stopped stopped"
is "those that are on" "$(vm_state "$DEAF" hv1) $(vm_state "$LEFT" hv1)" "running running"
is "it is all in the audit log" \
    "$(drover_on hv1 --json audit --limit 50 | jq -rs --arg own "-$$" \
        '[.[] | select(.action == "host.shutdown_guests" and .who == "droverd" and (.object | endswith($own)))] | length')" 4
like "and in the log of the VM" "$(drover_on hv1 vm log "$FORCED")" "*shutdown, as its host shuts down*the plug is pulled*"

# All at once: the sum of their times would be more.
need "it is started again" drover_on hv1 --quiet vm start "$FORCED"
for vm in "$DEAF" "$LEFT"; do
    drover_as erin hv1 --quiet vm set "$vm" on_host_shutdown=force shutdown_timeout=1h
done
drover_on hv1 --json host shutdown-guests --timeout 4s >"$WORK/ends" 2>"$WORK/err"
is "the time for all is bounded: status" $? 0
below "in ms" "$(jq -s 'map(.took_ms) | max' "$WORK/ends")" 30000
need "nothing runs" no_vm_processes hv1

need "the host goes down" host_down hv1
need "and boots" host_boot hv1
need "the guest is back" lab exec admin -- guest-client wait "$IP" 60
is "the others are not" "$(vm_state "$DEAF" hv1) $(vm_state "$FORCED" hv1)" "stopped stopped"
need "it is shut down" drover_on hv1 --quiet vm stop "$GOOD"
is "no write was lost" "$(writes_lost "$(vm_image "$GOOD" hv1)" "$WORK/watch.acks")" 0

test_result
