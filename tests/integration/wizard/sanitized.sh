#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# sanitized.sh BUILD_DIR: a VM is moved by a wizard that was built with address and undefined-behaviour sanitizers,
# through every panel, sizes that change, a console and an end: no report, no leak. Only the wizard is of that build.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: sanitized.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"
# shellcheck source=tests/integration/wizard/lib.sh
. "$HERE/lib.sh"

VM=wiz-$$ IP=10.83.0.147 AT=hv1
ASAN_BUILD=${DROVER_ASAN_BUILD:-$LAB_CHECKOUT/build-asan}
WIZARD=$ASAN_BUILD/bin/drover-wizard

cleanup() {
    wizard_cleanup
    lab link hv1 mig off
    vm_remove "$VM" "$AT"
}

# sized PANE: there and back, small enough for nothing to fit.
sized() {
    local size
    for size in 50x10 20x4 1x1 200x50 100x30 80x24; do
        resize "$1" $size
        sleep 0.2
    done
}

# looked PANE TEXT KEY: another panel, its help, and back.
looked() {
    keys "$1" "$3"
    sees "$2" "$1" "$2"
    sized "$1"
    keys "$1" "?" PageDown
    pointer "$1" 5 65 64 0 2
    keys "$1" Escape Escape
}

test_begin
[[ -x $WIZARD || -n ${DROVER_ASAN_BUILD:-} ]] || exit 77
need "a wizard with sanitizers" test -x "$WIZARD"
like "that are in it" "$(ldd "$WIZARD")" "*libasan*libubsan*"
wizard_begin
need "VM made" vm_create "$VM" $IP hv1
need "VM started" vm_start "$VM" hv1 $IP

reports=log_path=$WORK/report:exitcode=99
wizard_open san 80x24 alice \
    "ASAN_OPTIONS=$reports:detect_leaks=1 UBSAN_OPTIONS=$reports:print_stacktrace=1"
sees "hosts" san "OK hv2" 30
sees "VMs" san "$VM"
keys san /
terminal send-keys -t san -l "$VM"
sees "filter" san "[only: $VM]"
keys san C-u Enter
focus san "OK hv1"
looked san "Settings of hv1" s
looked san "Doctor: hv1" d
looked san "Moves" j
focus san "$VM"
keys san o
sees "console" san "the serial line of $VM; Ctrl-] leaves"
resize san 90x20
keys san C-]
sees "console: back" san "Hosts and their VMs"
resize san 80x24
double_click san "$VM"
sees "what" san "(*) Move the virtual machine"
focus san "and its disks"
keys san Enter
focus san hv2
keys san "?" Escape Space
focus san "local:"
keys san Enter
sees "options" san "as the host says: 2000 ms"
focus san "as the host says"
keys san Space
terminal send-keys -t san -l 5000
keys san Enter
sees "a pause of its own" san "5000 ms"
sized san
keys san n
sees "checked" san "Nothing stands in the way." 30
sized san
keys san n
sees "summary" san "--max-blackout"
sized san
lab link hv1 mig 50mbit
focus san "Start the move"
keys san Enter
sees "it copies" san ">> copy" 30
for ((i = 0; i < 30; i++)); do
    resize san $((RANDOM % 100 + 10))x$((RANDOM % 30 + 2))
    sleep 0.05
done
resize san 80x24
keys san "?" Escape c
sees "cancel asks" san "Cancel? y/n:"
keys san Escape
lab link hv1 mig off
sees "moved" san "OK $VM runs on hv2." 90
AT=hv2
is "and it runs there" "$(vm_state "$VM" hv2)" running
sized san
keys san Enter q
sees "ends well, without a leak" san "status 0" 30
sees "the terminal too" san "the terminal is as before"
is "reports" "$(cat "$WORK"/report.* 2>/dev/null)" ""
test_result
