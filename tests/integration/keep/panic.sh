#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# panic.sh BUILD_DIR: a guest whose system crashes is told of in the list of VMs until it is reset, also by an agent that
# starts later; it is not stopped for it. VMs of before have no such device, and move as they were.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: panic.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

VM=panic-$$ OLD=old-$$ ISOS=isos-$$

cleanup() {
    lab svc hv1 droverd start
    vm_remove "$VM" hv1
    vm_remove "$OLD" hv2 || vm_remove "$OLD" hv1
    rm -rf "${LAB:?}/hv1/images/$ISOS"
}

# serial HOST UUID TEXT PATTERN: type TEXT on the serial line, until a line with PATTERN comes ("" = not at all).
serial() {
    timeout 10 python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.argv[2].encode())
for line in s.makefile("r", errors="replace") if sys.argv[3] else ():
    if sys.argv[3] in line:
        sys.exit(0)
sys.exit(1 if sys.argv[3] else 0)' "$LAB/$1/run/drover/vm/$2/qemu/serial.sock" "$3" "$4"
}
why() { drover_on "$2" --json vm list | jq -r --arg vm "$1" 'select(.name == $vm).why'; } # NAME HOST
crashed() { [[ $(why "$VM" hv1) == "the guest's system has crashed (panic)" ]]; }
fine() { [[ -z $(why "$VM" hv1) ]]; }
# What QEMU has: its command line.
qemu_has() { tr '\0' ' ' <"/proc/$(vm_field "$1" "$2" .pid)/cmdline" | grep -qF -- "$3"; } # NAME HOST TEXT
lacks() { ! qemu_has "$OLD" "$1" pvpanic; } # HOST
crash_again() { serial hv1 "$UUID" p "" && crashed; }

make() {
    drover_as erin hv1 --quiet vm create "$1" --store "$STORE" --memory 64M --cpu qemu64 --accel tcg --graphics none --disk 8M "${@:2}"
}

test_begin
mkdir -p "$LAB/hv1/images/$ISOS"
need "a disc" "$HERE/../create/mkdisc" "$LAB/hv1/images/$ISOS/panic.iso" "" cdserial.S
chmod -R a+rX "$LAB/hv1/images/$ISOS"
need "a VM" make "$VM" --cdrom "$LOCAL/$ISOS/panic.iso"
is "new ones have the device" "$(vm_field "$VM" hv1 .definition.panic)" pvpanic
need "it starts" drover_on hv1 --quiet vm start "$VM"
UUID=$(vm_uuid "$VM" hv1)
need "with it" qemu_has "$VM" hv1 "pvpanic,id=dev-panic0,ioport=0x505"
need "its system is there" wait_until 30 serial hv1 "$UUID" $'x\n' x
need "nothing is the matter" fine
need "it crashes" serial hv1 "$UUID" p ""
need "the list says so" wait_until 10 crashed
is "it runs on: a dump may be under way" "$(vm_state "$VM" hv1)" running
like "people see it" "$(drover_on hv1 vm list)" "*$VM: the guest's system has crashed (panic)*"
like "the log has it" "$(drover_on hv1 vm log "$VM")" "*the guest's system has crashed (panic)*"
lab svc hv1 droverd kill
lab svc hv1 droverd start
need "a new agent says so, too" wait_until 20 crashed
need "it resets itself" serial hv1 "$UUID" r ""
need "that is over" wait_until 10 fine
need "it crashes again" wait_until 30 crash_again
need "it is stopped" drover_on hv1 --quiet vm stop "$VM" --force
is "that is over, too" "$(why "$VM" hv1)" ""

# A definition that was written before there was such a device: the same without it.
need "another VM" make "$OLD"
need "without the device" drover_as erin hv1 --quiet vm set "$OLD" panic=none
need "it starts" drover_on hv1 --quiet vm start "$OLD"
need "without it" lacks hv1
need "it gets it" drover_as erin hv1 --quiet vm set "$OLD" panic=pvpanic
need "but moves as it is" move "$OLD" hv1 hv2
need "without it" lacks hv2
need "from its next start on" drover_on hv2 --quiet vm stop "$OLD" --force
need "it starts" drover_on hv2 --quiet vm start "$OLD"
need "it has it" qemu_has "$OLD" hv2 pvpanic
need "and moves with it" move "$OLD" hv2 hv1

test_result
