#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# encryption.sh BUILD_DIR: what both LANs carry during a move holds no pattern of the guest's memory or disk.
# With encrypt=off on both hosts the same look finds both: the look itself is good.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: encryption.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"
command -v tcpdump >/dev/null || exit 77

VM=crypt-$$ IP=10.83.0.113
CAPTURES=()
AT=hv1

cleanup() {
    local host
    capture_end
    for host in hv1 hv2; do
        drover_on "$host" --quiet host set encrypt=on
    done
    vm_remove "$VM" "$AT"
}

# capture_begin NAME: every port of both switches, whole packets.
capture_begin() {
    local lan
    for lan in lan mig; do
        ip netns exec "${NS_PREFIX}sw" tcpdump -q -n -U -B 65536 -s 0 -i "$lan" -w "$WORK/$1.$lan" 2>"$WORK/$1.$lan.err" &
        CAPTURES+=($!)
        wait_until 5 grep -q listening "$WORK/$1.$lan.err"
    done
}

capture_end() {
    local pid
    for pid in "${CAPTURES[@]}"; do
        kill -INT "$pid" 2>/dev/null && wait "$pid"
    done
    CAPTURES=()
}

found() { grep -aqF "$2" "$WORK/$1" && echo found || echo none; } # CAPTURE PATTERN

# go NAME TO OPTION...: a move with a capture.
go() {
    local name=$1 to=$2
    shift 2
    capture_begin "$name"
    move "$VM" "$AT" "$to" "$@" || { bad "$name: $(result error)" && exit 1; }
    AT=$to
    sleep 1
    capture_end
    below "$name: 20 MB were captured" 20000000 "$(stat -c %s "$WORK/$name.mig")"
}

test_begin
need "VM made" vm_create "$VM" $IP hv1
need "VM started" vm_start "$VM" hv1 $IP
need "guest busy" vm_busy $IP
sleep 3

go secret hv2 --storage "$LOCAL"
is "result says encrypted" "$(result encrypted)" true
for lan in lan mig; do
    is "memory is not seen on $lan" "$(found "secret.$lan" DROVMEM1)" none
    is "records are not seen on $lan" "$(found "secret.$lan" DROVREC1)" none
done

# The one host is told to send in clear, the other is not: nothing goes in clear.
drover_on hv2 --quiet host set encrypt=off
move "$VM" hv2 hv1 --storage "$LOCAL" && AT=hv1
like "one host alone cannot turn it off" "$(result state) $(result encrypted)" "@(failed *|done true)"
drover_on hv1 --quiet host set encrypt=off
[[ $AT == hv1 ]] && TO=hv2 || TO=hv1
go open "$TO" --storage "$LOCAL"
is "result says not encrypted" "$(result encrypted)" false
is "memory is seen on mig" "$(found open.mig DROVMEM1)" found
is "records are seen on mig" "$(found open.mig DROVREC1)" found
is "but not on lan" "$(found open.lan DROVMEM1)" none
test_result
