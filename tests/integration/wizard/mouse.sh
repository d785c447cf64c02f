#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# mouse.sh BUILD_DIR: clicks and the wheel, where terminfo knows a mouse; the terminal has it back while a console is
# open and after every end.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: mouse.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"
# shellcheck source=tests/integration/wizard/lib.sh
. "$HERE/lib.sh"

VM=wiz-$$ IP=10.83.0.148

cleanup() {
    wizard_cleanup
    vm_remove "$VM" hv1
}

cursor_row() { echo $(($(terminal display-message -p -t "$1" '#{cursor_y}') + 1)); }
# mouse PANE: wanted by the program, in SGR mode.
mouse() { terminal display-message -p -t "$1" '#{mouse_any_flag}#{mouse_sgr_flag}'; }
has_mouse() { [[ $(mouse "$1") == "$2" ]]; } # PANE FLAGS

# opened PANE ["ENVIRONMENT" [OPTION...]]: with hosts and the VM on it.
opened() {
    wizard_open "$1" 80x24 alice "${2:-}" "${@:3}"
    sees "$1: hosts" "$1" "OK hv2" 20
    sees "$1: VMs" "$1" "$VM"
}

# given_back PANE TEXT: the terminal has its mouse.
given_back() {
    sees "$2: ends" "$1" "the terminal is as before"
    is "$2: no mouse any more" "$(mouse "$1")" 00
    wizard_close "$1"
}

test_begin
wizard_begin
need "VM made" vm_create "$VM" $IP hv1
need "VM started" vm_start "$VM" hv1 $IP

opened sgr TERM=xterm-256color
is "terminfo knows one: SGR" "$(mouse sgr)" 11
click sgr "OK hv2"
is "a click goes there" "$(cursor_row sgr)" "$(row sgr "OK hv2")"
pointer sgr "$(row sgr "$VM")" 2 1 35 4 8 16 # other buttons, nothing but motion, with Shift, Meta and Ctrl
is "other buttons do nothing, nor does the left one with another key" "$(cursor_row sgr)" "$(row sgr "OK hv2")"
pointer sgr 1 0 0
pointer sgr 24 0 0
is "beside the lines nothing happens" "$(cursor_row sgr)" "$(row sgr "OK hv2")"
double_click sgr "OK hv2"
sees "a double click is Enter" sgr "Settings of hv2"
keys sgr Escape
double_click sgr "$VM"
sees "also on a VM" sgr "What shall move?"
sees "it is known what it has" sgr "(*) Move the virtual machine"
click sgr "to a store that"
is "an explanation belongs to its choice" "$(cursor_row sgr)" "$(row sgr "and its disks")"
keys sgr "?"
resize sgr 50x10
sees "help has no room" sgr "more lines below"
sees "help begins at its top" sgr "What shall move. A VM"
pointer sgr 5 65 65 65 65 65 65 65 65 65 65 65 65 65 65
sees "the wheel goes to its end" sgr "drover-wizard(1)"
sees "and Shift is told of" sgr "hold Shift"
pointer sgr 5 64 64 64 64 64 64 64 64 64 64 64 64 64 64
sees "and back" sgr "What shall move. A VM"
resize sgr 80x24
keys sgr Escape Escape
focus sgr "$VM"
keys sgr o
sees "console" sgr "the serial line of $VM; Ctrl-] leaves"
is "the console has no mouse" "$(mouse sgr)" 00
keys sgr C-]
sees "console: back" sgr "Hosts and their VMs"
if wait_until 5 has_mouse sgr 11; then good "and so is the mouse"; else bad "the mouse is not"; fi
keys sgr q
given_back sgr q

for signal in TERM HUP SEGV; do
    opened $signal TERM=xterm-256color
    is "$signal: a mouse" "$(mouse $signal)" 11
    kill -s $signal "$(pid_of $signal)"
    given_back $signal $signal
done

opened screen TERM=screen
is "a terminal with the older encoding" "$(mouse screen)" 10
click screen "OK hv2"
is "it, too" "$(cursor_row screen)" "$(row screen "OK hv2")"
keys screen q
given_back screen "older encoding"

opened vt220 TERM=vt220
is "terminfo knows none" "$(mouse vt220)" 00
opened option TERM=xterm-256color --no-mouse
is "--no-mouse" "$(mouse option)" 00
opened variable "TERM=xterm-256color DROVER_MOUSE=0"
is "DROVER_MOUSE=0" "$(mouse variable)" 00
is "the same is drawn" "$(shape variable)" "$(shape vt220)"
test_result
