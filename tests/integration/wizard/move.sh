#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# move.sh BUILD_DIR: a VM is moved by the keys on the screen alone: VM only at 80x24, with its disk at 100x30 in the
# C locale, back at 50x10 with NO_COLOR.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: move.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"
# shellcheck source=tests/integration/wizard/lib.sh
. "$HERE/lib.sh"

VM=wiz-$$ IP=10.83.0.140 AT=hv1

cleanup() {
    wizard_cleanup
    vm_remove "$VM" "$AT"
}

# finished PANE HOST some|none: the result page, in colours or not, and the truth.
finished() {
    sees "$1: says where it runs" "$1" "OK $VM runs on $2." 60
    is "$1: colours" "$( (($(colours "$1"))) && echo some || echo none)" "$3"
    sees "$1: and for how long it was paused" "$1" "predicted"
    is "$1: it runs there" "$(vm_state "$VM" "$2")" running
    AT=$2
    keys "$1" Enter
    sees "$1: then the hosts again" "$1" "Hosts and their VMs"
    keys "$1" q
    sees "$1: quits with status 0" "$1" "status 0"
    wizard_close "$1"
}

test_begin
wizard_begin
need "VM made" vm_create "$VM" $IP hv1
need "VM started" vm_start "$VM" hv1 $IP

wizard_open small 80x24 alice
sees "80x24: hosts" small "OK hv2"
sees "80x24: VMs" small "$VM"
focus small "$VM"
keys small Enter
sees "80x24: preselected" small "(*) Move the virtual machine"
keys small n n
sees "80x24: says what is missing" small "Choose the host that the VM shall move to."
focus small hv2
keys small Enter
sees "80x24: options" small "as the host says: 2000 ms"
lacks "80x24: no networks asked for" small "Networks that"
keys small n
sees "80x24: checked" small "OK Nothing stands in the way." 30
keys small n
sees "80x24: the same as a command" small "drover -H hv1 move $VM --to hv2"
keys small Enter
finished small hv2 some

wizard_open wide 100x30 alice LC_ALL=C
sees "100x30: hosts" wide "OK hv2"
sees "100x30: VMs" wide "$VM"
focus wide "$VM"
keys wide Enter
sees "100x30: what" wide "(*) Move the virtual machine"
focus wide "and its disks"
keys wide Enter
focus wide hv1
keys wide Space
focus wide "local:"
keys wide Enter
sees "100x30: the disks" wide "disk0        VM           -> local"
keys wide n
sees "100x30: checked" wide "Nothing stands in the way." 30
keys wide n
lab link hv2 mig 100mbit
keys wide Enter
sees "100x30: a bar for the disk" wide "disk0    [#" 30
is "100x30: nothing but ASCII" "$(screen wide | LC_ALL=C grep -c '[^ -~]')" 0
lab link hv2 mig off
finished wide hv1 some

wizard_open tiny 50x10 alice NO_COLOR=1
sees "50x10: hosts" tiny "OK hv2"
sees "50x10: VMs" tiny "$VM"
focus tiny "$VM"
keys tiny Enter
sees "50x10: local disks come along" tiny "(*) Move the virtual machine and its disks"
keys tiny n
focus tiny hv2
keys tiny Space
focus tiny "smb:"
keys tiny Enter n
sees "50x10: checked" tiny "Nothing stands in the way." 30
keys tiny n
focus tiny "Start the move"
lab link hv1 mig 100mbit
keys tiny Enter
sees "50x10: progress" tiny "Time left" 30
lab link hv1 mig off
finished tiny hv2 none
test_result
