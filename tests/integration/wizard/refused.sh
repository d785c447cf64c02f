#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# refused.sh BUILD_DIR: what stands in the way of a move is shown before it, with its repair; settings are changed
# from the panel, and the check is repeated.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: refused.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"
# shellcheck source=tests/integration/wizard/lib.sh
. "$HERE/lib.sh"

VM=wiz-$$ IP=10.83.0.142

cleanup() {
    wizard_cleanup
    drover_on hv1 host set send=on
    drover_on hv2 host set receive=on
    vm_remove "$VM" hv1
}

# to_check PANE: from the start screen.
to_check() {
    sees "$1: VMs" "$1" "$VM"
    focus "$1" "$VM"
    keys "$1" Enter
    sees "$1: what" "$1" "(*)"
    keys "$1" n
    focus "$1" hv2
    keys "$1" Enter n
}

test_begin
wizard_begin
need "VM made" vm_create "$VM" $IP hv1
need "VM started" vm_start "$VM" hv1 $IP

wizard_open carol 80x24 carol
to_check carol
sees "sensitive user: by permit" carol "with a permit of hv2" 30
sees "sensitive user: may move" carol "OK Nothing stands in the way." 30
wizard_close carol

wizard_open val 80x24 val
to_check val
sees "viewer: the finding" val "XX A02" 30
sees "viewer: its fix" val "Fix: ask a domain admin to add val"
keys val n
sees "viewer: errors block" val "Errors block the move."
wizard_close val

need "send off" drover_on hv1 host set send=off
wizard_open send 80x24 alice
to_check send
sees "send off: the finding" send "XX R02" 30
sees "send off: its fix" send "host set send=on"
sees "send off: where" send "as root on hv1"
drover_on hv1 --quiet host set send=on
keys send r
sees "after the repair r finds nothing" send "OK Nothing stands in the way." 30
wizard_close send

wizard_open erin 80x24 erin # an admin
sees "settings: hosts" erin "OK hv2"
focus erin "OK hv2"
keys erin s
sees "settings: there" erin "Settings of hv2"
focus erin receive
keys erin Enter
sees "settings: shows what it is now" erin "New value of receive on hv2 (on|off): on"
keys erin C-u
terminal send-keys -t erin off
keys erin Enter
wait_until 10 shows erin "receive            off"
is "settings: set" "$(drover_on hv2 --json host show | jq -r .settings.receive)" off
keys erin Escape
focus erin "$VM"
keys erin Enter
sees "settings: preselected" erin "(*) Move the virtual machine"
keys erin n
sees "a host that does not receive says so" erin "receiving is off"
wizard_close erin
test_result
