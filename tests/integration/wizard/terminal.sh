#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# terminal.sh BUILD_DIR: what the wizard does to a terminal. The same content at each size in UTF-8, ASCII and without
# colours; a hundred sizes while a VM moves, and nothing stale; the terminal as it was after every
# end; nothing for valgrind to complain about.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: terminal.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"
# shellcheck source=tests/integration/wizard/lib.sh
. "$HERE/lib.sh"

VM=wiz-$$ IP=10.83.0.145
RESIZES=${RESIZES:-100}

cleanup() {
    wizard_cleanup
    lab svc hv1 droverd start
    lab link hv1 mig off
    [[ -z ${MOVE:-} ]] || drover_as alice hv1 --quiet cancel "$MOVE" 2>/dev/null
    wait_until 30 no_moves
    vm_remove "$VM" hv1
}

no_moves() { [[ -z $(drover_on hv1 --json jobs --active) ]]; }

# watch PANE: from the start screen to the move.
watch() {
    sees "$1: the VM is being moved" "$1" "moving to hv2" 30
    focus "$1" "$VM"
    keys "$1" Enter
    sees "$1: found it" "$1" ">> copy" 30
}

# ended PANE SIGNAL: the terminal is as before.
ended() {
    kill -s "$2" "$(pid_of "$1")"
    sees "$2: ends" "$1" "the terminal is as before"
    is "$2: screen and cursor too" "$(terminal display-message -p -t "$1" '#{alternate_on} #{cursor_flag}')" "0 1"
}

test_begin
wizard_begin
need "VM made" vm_create "$VM" $IP hv1
need "VM started" vm_start "$VM" hv1 $IP
need "bulk on the disk" guest_ctl $IP --timeout 60 blob vda 100 24 1
lab link hv1 mig 2mbit # the copy outlasts this test
MOVE=$(drover_as alice hv1 move "$VM" --to hv2 --storage "$LOCAL" --detach | tail -n 1)

wizard_open utf 80x24 alice
wizard_open ascii 80x24 alice LC_ALL=C
wizard_open mono 80x24 alice NO_COLOR=1
for pane in utf ascii mono; do
    watch $pane
done
for size in 80x24 100x30 50x10; do
    for pane in utf ascii mono; do
        resize $pane $size
    done
    sleep 1.5
    for words in "$VM" copy disk0 "% " "limit 2.0 s" "c cancels until"; do
        sees "$size: $words" utf "$words"
    done
    is "$size: the same in ASCII" "$(shape ascii)" "$(shape utf)"
    is "$size: the same without colours" "$(shape mono)" "$(shape utf)"
    is "$size: nothing but ASCII" "$(screen ascii | LC_ALL=C grep -c '[^ -~]')" 0
    is "$size: no colours" "$(colours mono)" 0
done
for ((i = 0; i < RESIZES; i++)); do
    resize utf $((RANDOM % 100 + 40))x$((RANDOM % 30 + 8))
    sleep 0.03
done
resize utf 80x24
wizard_open fresh 80x24 alice
watch fresh
sleep 1.5
is "after $RESIZES sizes it is as one that was never resized" "$(shape utf)" "$(shape fresh)"
wizard_close fresh
lab svc hv1 droverd freeze # figures stand still
sleep 2
before=$(screen utf | sed -E 's/[▁▂▃▄▅▆▇█]+$//')
keys utf C-l
sleep 0.5
is "after $RESIZES sizes nothing stale is on the screen" "$before" "$(screen utf | sed -E 's/[▁▂▃▄▅▆▇█]+$//')"
lab svc hv1 droverd start

wizard_open console 80x24 alice
sees "console: the VM" console "$VM"
focus console "$VM"
keys console o
sees "console: its leave key" console "the serial line of $VM; Ctrl-] leaves"
keys console C-]
sees "console: back" console "Hosts and their VMs"
focus console "OK hv1"
keys console o
sees "console: a host has none" console "The console is a VM's"

ended utf HUP
ended ascii TERM
ended mono SEGV

if command -v valgrind >/dev/null; then
    leaks=definite,indirect # the rest is what ncurses keeps to the end
    wizard_open checked 80x24 alice "valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=$leaks \
        --show-leak-kinds=$leaks --suppressions=$HERE/valgrind.supp --log-file=$WORK/valgrind"
    sees "valgrind: hosts" checked "OK hv2" 60
    watch checked
    resize checked 50x10
    keys checked C-l Escape
    resize checked 100x30
    keys checked Home s F1 Escape Escape
    keys checked j Escape q
    sees "valgrind: no complaint" checked "status 0" 30
    cat "$WORK/valgrind"
fi
test_result
