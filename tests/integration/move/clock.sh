#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# clock.sh BUILD_DIR: with hv2's clock 3 s off the reported blackout is what it is: durations, no times of day.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: clock.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

VM=clock-$$ IP=10.83.0.117

cleanup() {
    lab clock hv2 0
    vm_remove "$VM" hv1 || vm_remove "$VM" hv2
}

# there_and_back TEXT: two moves; what drover reports and what the client sees lie within 1 s.
there_and_back() {
    local from to
    watch_begin $IP "$WORK/watch" || { bad "$1: guest" && return; }
    for from in hv1 hv2; do
        [[ $from == hv1 ]] && to=hv2 || to=hv1
        move "$VM" $from $to || { bad "$1, from $from: $(result error)" && return; }
        below "$1, from $from: reported blackout, ms" "$(result blackout_ms)" 1000
        below "$1, from $from: it is above 0" 0 "$(result blackout_ms)"
        is "$1, from $from: its parts make it up" "$(jq '([.blackout_parts_ms[]] | add) - .blackout_ms | fabs < 50' <<<"$RESULT")" true
    done
    sleep 2
    watch_end
    below "$1: client's gap, ms" "$(watched udp_gap_ms)" 1000
}

test_begin
need "VM made" vm_create "$VM" $IP hv1
need "VM started" vm_start "$VM" hv1 $IP
need "guest busy" vm_busy $IP
there_and_back "clocks agree"
for offset in +3 -3; do
    need "hv2's clock $offset s" lab clock hv2 $offset
    there_and_back "hv2 $offset s"
done
lab clock hv2 0
test_result
