#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# windows.sh BUILD_DIR: what --windows gives boots and moves, and becomes virtio later. No Windows runs here: the guest is
# a disc that speaks.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: windows.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"
# shellcheck source=tests/integration/create/lib.sh
. "$HERE/lib.sh"

VM=windows-$$
ISOS=isos-$$

cleanup() {
    vm_remove "$VM" hv1 || vm_remove "$VM" hv2
    rm -rf "${LAB:?}/fs/share/$ISOS" "$LAB/hv1/images/$ISOS"
}

devices() { vm_field "$VM" hv1 '.definition | "\(.rtc) \(.disks[0].bus) \(.nics[0].model)"'; }

test_begin
need "a disc" discs_on_stores "$ISOS" one="disc one"
need "a VM for Windows" drover_as erin hv1 vm create "$VM" --store "$STORE" --memory 64M --accel tcg --graphics none --windows \
    --disk 8M --nic "$BRIDGE" --cdrom "$STORE/$ISOS/one.iso"
is "its devices" "$(devices)" "localtime sata e1000e"
need "it starts" drover_on hv1 --quiet vm start "$VM"
UUID=$(vm_uuid "$VM" hv1)
says hv1 "disc one"
need "it moves" move "$VM" hv1 hv2
says hv2 "disc one" "after the move"
need "it moves back" move "$VM" hv2 hv1
need "virtio waits" drover_as erin hv1 --quiet vm set "$VM" disk_bus=virtio nic_model=virtio-net-pci
is "until its next start" "$(devices)" "localtime sata e1000e"
need "it stops" drover_on hv1 --quiet vm stop "$VM" --force
need "it starts" drover_on hv1 --quiet vm start "$VM"
is "with other devices" "$(devices)" "localtime virtio virtio-net-pci"
says hv1 "disc one" "again"
need "it goes" vm_remove "$VM" hv1

test_result
