#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# health.sh BUILD_DIR: check-health says what is wrong with a host with a monitoring system's status, in a bounded time
# whatever hangs, and metrics gives Prometheus its numbers, in a file that is replaced at once.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: health.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

VM=health-$$

cleanup() {
    lab link fs lan heal
    lab svc fs smbd start
    lab svc hv1 droverd start
    vm_remove "$VM" hv1
}

# health ARGUMENT...: line in LINE, status in STATUS, ms in TOOK.
health() {
    local begin
    begin=$(date +%s%3N)
    LINE=$(drover_on hv1 check-health "$@" 2>"$WORK/err")
    STATUS=$?
    TOOK=$(($(date +%s%3N) - begin))
}
in_order() { health; [[ $STATUS == 0 ]]; }
metrics() { drover_on hv1 metrics "$@"; }
value() { awk -v want="$1" '$1 == want { print $2 }' "$WORK/metrics"; } # SAMPLE
# Each line is a comment of the format or a sample, and no sample comes twice.
parses() {
    ! grep -vE '^(# (HELP [a-z_]+ .+|TYPE [a-z_]+ (gauge|counter))|[a-z_]+(\{([a-z_]+="([^"\\]|\\.)*",?)+\})? -?[0-9.]+)$' "$1" &&
        [[ -s $1 && -z $(grep -v '^#' "$1" | sed 's/ [^ ]*$//' | sort | uniq -d) ]]
}

# pause UUID: at QEMU's monitor, which takes one client at a time: the agent must be away.
pause() {
    timeout 10 python3 -c '
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
f = s.makefile("rw")
f.readline()
for word in "qmp_capabilities", "stop":
    f.write(json.dumps({"execute": word}) + "\n")
    f.flush()
    while "return" not in json.loads(f.readline()):
        pass' "$LAB/hv1/run/drover/vm/$1/qemu/mon0.sock"
}

test_begin
need "a VM" drover_as erin hv1 --quiet vm create "$VM" --store "$STORE" --memory 32M --cpu qemu64 --accel tcg --graphics none --disk 8M
need "runs" drover_on hv1 --quiet vm start "$VM"
need "in order: 0" wait_until 20 in_order
like "it says so" "$LINE" "DROVER OK - *|vms=*ticket=*'free_$STORE'=*"
is "one line" "$(wc -l <<<"$LINE")" 1
is "a viewer may ask" "$(drover_as val hv1 check-health | cut -c1-9)" "DROVER OK"
drover_as bob hv1 check-health >"$WORK/out" 2>&1
is "who has no role: unknown" "$? $(cut -c1-14 "$WORK/out")" "3 DROVER UNKNOWN"
health --timeout never
is "a wrong command line: unknown" "$STATUS" 3
health --nope
is "a wrong option, too" "$STATUS" 3

metrics >"$WORK/metrics"
is "numbers: status" $? 0
need "they parse" parses "$WORK/metrics"
is "up, and the VM runs" "$(value drover_up) $(value "drover_vm_state{vm=\"$VM\",state=\"running\"}")" "1 1"
is "the store, too" "$(value "drover_store_up{store=\"$STORE\"}")" 1
mkdir "$WORK/node-exporter"
echo old >"$WORK/node-exporter/drover.prom"
need "into a file" metrics --textfile "$WORK/node-exporter/drover.prom"
need "which parses" parses "$WORK/node-exporter/drover.prom"
is "for all to read, and nothing beside it" "$(stat -c %a "$WORK"/node-exporter/*)" 644
metrics --textfile "$WORK/nowhere/drover.prom" 2>/dev/null
is "a folder that is not there: 1" $? 1

lab svc fs smbd stop
health
is "the file server is gone: 2" "$STATUS" 2
like "it is said" "$LINE" "DROVER CRITICAL - *store $STORE cannot be reached*"
lab svc fs smbd start
need "in order again" wait_until 30 in_order
lab link fs lan cut
health --timeout 5s
is "the file server is cut off: 2" "$STATUS" 2
like "it is said, too" "$LINE" "DROVER CRITICAL - *store $STORE cannot be reached*"
below "in ms" "$TOOK" 15000
lab link fs lan heal
need "in order, too" wait_until 30 in_order

UUID=$(vm_uuid "$VM" hv1)
lab svc hv1 droverd stop
health
is "the agent is stopped: 2" "$STATUS" 2
like "it is said" "$LINE" "DROVER CRITICAL - *"
need "metrics says it" metrics --textfile "$WORK/node-exporter/drover.prom"
is "with up and no more" "$(grep -v '^#' "$WORK/node-exporter/drover.prom")" "drover_up 0"
need "somebody pauses the VM meanwhile" pause "$UUID"
lab svc hv1 droverd start
paused() { health; [[ $LINE == *"VM $VM is paused: "* ]]; }
need "it is found" wait_until 20 paused
is "a VM is paused: 2" "$STATUS" 2
like "with the reason" "$LINE" "DROVER CRITICAL - *VM $VM is paused: *does not know by whom*|*"
need "it goes on" drover_on hv1 --quiet vm start "$VM"
need "in order at the end" wait_until 20 in_order
lab svc hv1 droverd freeze
health --timeout 3s
is "the agent hangs: 2" "$STATUS" 2
below "in ms" "$TOOK" 10000
lab svc hv1 droverd start

test_result
