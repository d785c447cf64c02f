#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# leave.sh BUILD_DIR: whoever watches a move may leave by q, Ctrl-C or a lost terminal, come back and find it, watch it
# twice, survive the agent, and cancel.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: leave.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"
# shellcheck source=tests/integration/wizard/lib.sh
. "$HERE/lib.sh"

VM=wiz-$$ IP=10.83.0.141

cleanup() {
    wizard_cleanup
    lab link hv1 mig off
    vm_remove "$VM" hv1
}

# begin [OPTION...]: a move from the command line; MOVE is its id.
begin() {
    MOVE=$(drover_as alice hv1 move "$VM" --to hv2 --detach "$@" | tail -n 1)
}

# watch PANE: from the start screen to the move.
watch() {
    sees "$1: the VM is being moved" "$1" "moving to hv2"
    focus "$1" "$VM"
    keys "$1" Enter
    sees "$1: found it" "$1" "${MOVE:0:8}"
}

no_moves() { [[ -z $(drover_on hv1 --json jobs --active) ]]; }
back_on_hv1() { [[ $(vm_state "$VM" hv1) == running ]] || move "$VM" hv2 hv1 --storage "$STORE"; }

cancel_in() { # PHASE
    wizard_open "in-$1" 80x24 alice
    watch "in-$1"
    sees "cancel in $1: is there" "in-$1" ">> $1" 30
    keys "in-$1" c
    sees "cancel in $1: asks" "in-$1" "Cancel? y/n:"
    terminal send-keys -t "in-$1" no Enter
    sees "cancel in $1: not by mistake" "in-$1" "Not cancelled."
    keys "in-$1" c
    terminal send-keys -t "in-$1" y Enter
    sees "cancel in $1: cancelled" "in-$1" "Cancelled. $VM runs on hv1, as before." 30
    is "cancel in $1: and it does" "$(vm_state "$VM" hv1)" running
    wizard_close "in-$1"
}

test_begin
wizard_begin
need "VM made" vm_create "$VM" $IP hv1
need "VM started" vm_start "$VM" hv1 $IP
need "guest busy" vm_busy $IP
need "bulk on the disk" guest_ctl $IP --timeout 60 blob vda 100 24 1
lab link hv1 mig 10mbit

begin --storage "$LOCAL"
wizard_open one 80x24 alice
wizard_open two 100x30 alice
watch one
watch two
sees "two watch one move" two ">> copy" 30
keys one C-c
sees "Ctrl-C: the move goes on" one "Detached: the move goes on."
sees "Ctrl-C: how to come back" one "attach $MOVE"
is "Ctrl-C: it does" "$(drover_on hv1 --json jobs --active | jq -r .state)" active
terminal kill-session -t one # a lost terminal
is "lost terminal: it does" "$(drover_on hv1 --json jobs --active | jq -r .state)" active

lab svc hv1 droverd kill
sees "the agent is gone: said" two "No connection to hv1" 20
lab svc hv1 droverd start
sees "the agent is back: so is the move, or its end" two "${MOVE:0:8}" 30
wait_until 60 no_moves
sees "the end is told" two "hv1" 20
wizard_close two
is "the VM runs" "$(vm_state "$VM" hv1)$(vm_state "$VM" hv2)" running

need "it is where it was" back_on_hv1
begin --storage "$LOCAL"
cancel_in copy
begin
cancel_in memory
test_result
