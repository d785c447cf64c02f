#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# lost.sh BUILD_DIR: the destination is lost in the middle of a move that two people watch, one on a screen and one as
# lines: both are told what happened, in which phase and where the VM is; then the start screen says which host is gone.
# And the same in lines: cancelling, leaving and coming back.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: lost.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"
# shellcheck source=tests/integration/wizard/lib.sh
. "$HERE/lib.sh"

VM=wiz-$$ IP=10.83.0.146

cleanup() {
    wizard_cleanup
    lab link hv2 mig heal
    lab link hv2 lan heal
    lab link hv1 mig off
    wait_until 60 no_moves hv1
    wait_until 60 no_moves hv2
    vm_remove "$VM" hv1
}

no_moves() { [[ -z $(drover_on "$1" --json jobs --active) ]]; } # HOST
begin() { MOVE=$(drover_as alice hv1 move "$VM" --to hv2 --storage "$LOCAL" --detach | tail -n 1); }

# number PANE WORDS: types the number of the line with them, in lines.
number() {
    sees "$1: a line with $2" "$1" ") "
    terminal send-keys -t "$1" "$(screen "$1" | grep -F -- "$2" | sed -nE 's/^ *([0-9]+)\) .*/\1/p' | tail -n 1)" Enter
}

test_begin
wizard_begin
need "VM made" vm_create "$VM" $IP hv1
need "VM started" vm_start "$VM" hv1 $IP
need "bulk on the disk" guest_ctl $IP --timeout 60 blob vda 100 24 1
lab link hv1 mig 10mbit

begin
wizard_open lines 80x40 alice "" --plain
sees "lines: the VM is being moved" lines "moving to hv2" 20
number lines "$VM"
sees "lines: found it" lines ">> copy" 30
terminal send-keys -t lines q Enter
sees "lines: leaving says how to come back" lines "attach $MOVE"
wizard_open again 80x40 alice "" --plain
sees "lines again: the VM is being moved" again "moving to hv2" 20
number again "$VM"
sees "lines again: found it" again "${MOVE:0:8}" 30
terminal send-keys -t again c Enter
sees "lines: cancel asks" again "Cancel? y/n:"
terminal send-keys -t again y Enter
sees "lines: cancelled" again "Cancelled. $VM runs on hv1, as before." 30
is "and it does" "$(vm_state "$VM" hv1)" running
wizard_close again

begin
wizard_open one 80x24 alice
wizard_open two 80x40 alice "" --plain
sees "screen: the VM is being moved" one "moving to hv2" 20
focus one "$VM"
keys one Enter
sees "lines: the VM is being moved" two "moving to hv2" 20
number two "$VM"
sees "two watch: screen" one ">> copy" 30
sees "two watch: lines" two ">> copy" 30
lab link hv2 mig cut
lab link hv2 lan cut
sees "screen: the move has failed, the VM has not" one "XX The move failed. $VM stays on hv1, as before." 90
sees "screen: in which phase" one "It was in phase copy."
sees "screen: what to do" one "What to do:"
sees "lines: the same" two "XX The move failed. $VM stays on hv1, as before."
is "and it does" "$(vm_state "$VM" hv1)" running
keys one Enter
sees "the host that is gone" one "XX hv2" 30
focus one "$VM"
keys one Enter
sees "what it has is known" one "Disks: disk0" 15
keys one n
sees "it is greyed as a destination" one "(-) hv2" 30
lab link hv2 lan heal
lab link hv2 mig heal
sees "and it is back" one "( ) hv2" 60
test_result
