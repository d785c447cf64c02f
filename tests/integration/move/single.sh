#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# single.sh BUILD_DIR: at no instant do two copies of a VM run. Three witnesses, over VM-only moves and moves
# with the disk: the STOP and RESUME of both QEMUs by their own time stamps (one machine, one clock), the file
# server's audit of who wrote the image when, and on which host's cable the guest's MAC speaks.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: single.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"
command -v tcpdump >/dev/null || exit 77

VM=single-$$ IP=10.83.0.114
AT=hv1
SNIFFERS=()

cleanup() {
    sniff_end
    vm_remove "$VM" "$AT"
}

# Frames that the guest sends through a host's cable, with their times.
sniff_begin() {
    local host
    for host in hv1 hv2; do
        ip netns exec "$NS_PREFIX$host" tcpdump -l -n -tt -Q out -i eth0 ether src "$1" \
            >"$WORK/frames.$host" 2>"$WORK/frames.$host.err" &
        SNIFFERS+=($!)
        wait_until 5 grep -q listening "$WORK/frames.$host.err"
    done
}

sniff_end() {
    local pid
    for pid in "${SNIFFERS[@]}"; do
        kill -INT "$pid" 2>/dev/null && wait "$pid"
    done
    SNIFFERS=()
}

# runs: "TIME HOST START|STOP" of the VM's processors, in order, µs. Events of an incoming QEMU that has not
# run yet are none.
runs() {
    local host
    for host in hv1 hv2; do
        sed -n "s/.*vm\.cpus vm=\"$VM\" event=\"\([A-Z]*\)\" qemu_us=\([0-9]*\).*/\2 $host \1/p" "$LAB/log/$host-droverd.log"
    done | sort -n
}

# frames: "TIME HOST" of the guest's frames, in order, µs.
frames() {
    local host
    for host in hv1 hv2; do
        awk -v host="$host" '$1 ~ /^[0-9.]+$/ { t = $1; sub(/\./, "", t); print t, host }' "$WORK/frames.$host"
    done | sort -n
}

# writes: "TIME ADDRESS" of each write to the image on the share, in order, µs.
writes() {
    grep -F "/$VM/disk0." "$LAB/log/audit.log" | grep -E '\|pwrite(_send)?\|ok\|' >"$WORK/audit"
    paste -d' ' <(cut -d' ' -f1 "$WORK/audit" | date -f - +%s%6N) <(cut -d'|' -f2 "$WORK/audit")
}

# changes: how often the second field changes, of lines on stdin.
changes() { awk '$2 != last { n++; last = $2 } END { print n - 1 }'; }

# overlaps: instants at which a host's processors are told to run while the other's do, of runs on stdin.
overlaps() {
    awk '$3 == "RESUME" { if (running != "" && running != $2) n++; running = $2 }
         $3 == "STOP" && running == $2 { running = "" }
         END { print n + 0 }'
}

test_begin
need "VM made" vm_create "$VM" $IP hv1
need "VM started" vm_start "$VM" hv1 $IP
need "guest busy" vm_busy $IP 64 4 100
need "watched" watch_begin $IP "$WORK/watch"
MAC=$(vm_field "$VM" hv1 '.definition.nics[0].mac')
sniff_begin "$MAC"
MOVES=0
for option in "" "" "--storage $LOCAL" "--storage $STORE"; do
    [[ $AT == hv1 ]] && TO=hv2 || TO=hv1
    sleep 1
    # shellcheck disable=SC2086 # an option and its value
    move "$VM" "$AT" $TO $option || { bad "move: $(result error)" && break; }
    AT=$TO
    MOVES=$((MOVES + 1))
done
sleep 1
sniff_end
watch_end

runs >"$WORK/runs"
frames >"$WORK/frames"
writes >"$WORK/writes"
is "STOP and RESUME of both QEMUs were seen" "$(grep -c . "$WORK/runs")" $((2 * MOVES + 1))
is "the two QEMUs never run together" "$(overlaps <"$WORK/runs")" 0
is "the guest's MAC changes hosts once a move" "$(changes <"$WORK/frames")" "$MOVES"
is "writes of two hosts never interleave in the image" "$(changes <"$WORK/writes")" 2
# No host's frame is older than the RESUME there: the guest speaks only where it runs.
is "no frame from a host that is stopped" "$(sort -n "$WORK/runs" "$WORK/frames" | awk '
    $3 == "RESUME" { at = $2 } $3 == "STOP" && at == $2 { at = "" ; stopped = $1 }
    NF == 2 && at != $2 && !(at == "" && $1 - stopped < 20000) { n++ } END { print n + 0 }')" 0
# The look itself: a RESUME before the other's STOP is found.
is "an early RESUME would be found" "$(printf '%s\n' '1 hv1 RESUME' '5 hv2 RESUME' '6 hv1 STOP' | overlaps)" 1
test_result
