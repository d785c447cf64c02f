#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# choices.sh BUILD_DIR: a guest that writes faster than the link carries: why the move does not end is explained, the
# choices are the agent's own, and taking one lets it end. On a screen, on the smallest one, and as lines.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: choices.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"
# shellcheck source=tests/integration/wizard/lib.sh
. "$HERE/lib.sh"

VM=wiz-$$ IP=10.83.0.144 AT=hv1

cleanup() {
    wizard_cleanup
    lab link hv1 mig off
    lab link hv2 mig off
    vm_remove "$VM" "$AT"
}

test_begin
wizard_begin
need "VM made" vm_create "$VM" $IP hv1
need "VM started" vm_start "$VM" hv1 $IP
# 16 MiB written anew all the time: 2 s of this link, more than the limit of 2 s leaves for memory.
need "guest busy" guest_ctl $IP mem 16
need "guest writes" guest_ctl $IP dirty 100
lab link hv1 mig 60mbit

need "move begun" drover_as alice hv1 move "$VM" --to hv2 --detach
wizard_open big 80x24 alice
wizard_open tiny 50x10 alice
wizard_open lines 80x24 alice "" --plain
sees "80x24: the VM is being moved" big "moving to hv2"
focus big "$VM"
keys big Enter
sees "50x10: the VM is being moved" tiny "moving to hv2"
focus tiny "$VM"
keys tiny Enter
sees "plain: the VM is being moved" lines "moving to hv2"
terminal send-keys -t lines "$(screen lines | sed -nE "s/^ *([0-9]+)\) .*$VM.*/\1/p" | tail -n 1)" Enter

sees "80x24: not converging" big "Not converging: the guest writes" 60
sees "50x10: not converging" tiny "Not converging"
sees "plain: not converging" lines "Not converging"
sees "plain: the choices have numbers" lines "1)    [ Longer pause"
for choice in "Longer pause" "Wait" "Cancel the move"; do
    sees "80x24: offers $choice" big "[ $choice"
done
sees "80x24: says what a choice means" big "The pause may take up to"
lacks "nothing that the agent lacks" big "[ More bandwidth" # there is no cap
lacks "the time left is not made up" big "Time left: this phase"

update=$(bytes big 6)
echo "     $update bytes an update at 80x24"
is "an update takes less than 400 bytes, and there are some" $((update > 20 && update < 400)) 1

focus big "[ Wait"
keys big Enter
sees "wait: more time" big "in 9 min"
terminal send-keys -t lines 1 Enter
sees "longer pause: taken by another wizard, it ends" big "OK $VM runs on hv2." 40
AT=hv2
sees "50x10: told as well" tiny "OK $VM runs on hv2."
sees "plain: told as well" lines "OK $VM runs on hv2."
is "and it does" "$(vm_state "$VM" hv2)" running
lab link hv1 mig off

# Back again, with the guest slowed down: from a command line, which says how.
lab link hv2 mig 60mbit
drover_as alice hv2 move "$VM" --to hv1 >"$WORK/back" 2>&1 &
BACK=$!
need "a command line says what to do" wait_until 60 grep -q "drover -H hv2.* adjust .* --throttle=50   Slow the guest" "$WORK/back"
keys big Escape
focus big "$VM"
keys big Enter
sees "80x24: offers to slow the guest down" big "[ Slow the guest"
need "it may be slowed down" drover_as alice hv2 adjust "$VM" --throttle 99 --wait 3m
sees "80x24: says how far it is" big "The guest is slowed down:" 90
# How much less it writes then depends on this machine: a longer pause ends it in any case.
need "and allowed a longer pause" drover_as alice hv2 adjust "$VM" --max-blackout 20s
wait "$BACK"
is "it ends" $? 0
AT=hv1
like "within the limit" "$(tail -n 2 "$WORK/back")" "*It was paused for *predicted*"
is "and runs" "$(vm_state "$VM" hv1)" running
sed 's/^/     /' "$WORK/back" | tail -n 2
test_result
