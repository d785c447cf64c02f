#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# set.sh BUILD_DIR: a VM is changed: settings and devices at once or from the next start on, discs while it runs. What waits
# moves with the VM. PCI addresses stay. What cannot be leaves everything as it was.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: set.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"
# shellcheck source=tests/integration/create/lib.sh
. "$HERE/lib.sh"

VM=set-$$
ISOS=isos-$$

cleanup() {
    lab svc hv1 droverd start
    vm_remove "$VM" hv1 || vm_remove "$VM" hv2
    rm -rf "${LAB:?}/fs/share/$ISOS" "$LAB/fs/share/$VM" "$LAB/hv1/images/$ISOS" "$LAB/hv1/images/$VM"
}

vm() { drover_as erin "${HOST:-hv1}" vm "$@" 2>&1; }
def() { vm_field "$VM" "${HOST:-hv1}" ".definition$1"; }
slots() { def ' | [(.disks[], .nics[]) | "\(.id)=\(.pci_addr)"] | join(" ")'; }
# What QEMU has on HOST: its command line.
qemu_has() { tr '\0' ' ' <"/proc/$(vm_field "$VM" "$1" .pid)/cmdline" | grep -qF -- "$2"; }

knows_all() { [[ $(def ' | "\(.notes) \(.cdroms[0].path) \(.next)"') == "now $ISOS/two.iso memory = 128M"$'\n'"cpus = 1" ]]; }

test_begin
need "discs" discs_on_stores "$ISOS" one="disc one" two="disc two" local="local disc" none="no disc"
need "a VM" vm create "$VM" --store "$STORE" --memory 64M --accel tcg --graphics none --disk 8M --disk 8M --nic "$BRIDGE" \
    --cdrom "$STORE/$ISOS/one.iso"
is "its PCI addresses" "$(slots)" "disk0=2 disk1=3 nic0=4"

# Stopped: everything, at once.
need "memory, processors and notes" vm set "$VM" memory=96M cpus=2 "notes=two words" autostart=on
is "they are set" "$(def ' | "\(.cpu.vcpus) \(.memory_kib) \(.notes) \(.autostart) \(.next)"')" "2 98312 two words true "
like "a disk goes, its image stays" "$(vm set "$VM" --remove disk1)" "*image of disk1 stays: $VM/disk1.qcow2 on store $STORE*"
is "the others keep their addresses" "$(slots)" "disk0=2 nic0=4"
need "a disk on each store, a card and a drive come" vm set "$VM" --add-disk 16M --add-disk "8M,store=$LOCAL,format=raw" \
    --add-nic "$BRIDGE,model=e1000e" --add-cdrom empty
is "in free slots" "$(slots)" "disk0=2 disk1=3 disk2=5 nic0=4 nic1=6"
is "the old image is not the new disk's" "$(def .disks[1].path)" "$VM/disk1-2.qcow2"
is "the record names the disks" "$(vm_field "$VM" hv1 '[.record.body.images[].path] | join(" ")')" \
    "$VM/disk0.qcow2 $VM/disk1-2.qcow2 $VM/disk2.raw"
BEFORE=$(def "")
like "what is wrong is refused by name" "$(vm set "$VM" cpus=3 colour=red)" "*no setting \"colour\"*"
like "so is a device that is not there" "$(vm set "$VM" cpus=3 --remove disk7)" "*no device \"disk7\"*"
like "and a disk on no store" "$(vm set "$VM" cpus=3 --add-disk 8M --add-disk 8M,store=nowhere)" "*nowhere*"
is "and nothing has changed" "$(def "")" "$BEFORE"
is "nothing was made" "$(find "$LAB/fs/share/$VM" -name 'disk3*')" ""
need "the disk on the local store goes again" vm set "$VM" --remove disk2

# Running.
need "it starts" drover_on hv1 --quiet vm start "$VM"
UUID=$(vm_uuid "$VM" hv1)
says hv1 "disc one"
need "with its processors" qemu_has hv1 "-smp cpus=2,"
like "a disk waits" "$(vm set "$VM" --add-disk "8M,store=$LOCAL" --add-disk 8M)" "*disk2 comes with*next start*disk3 comes*"
like "what cannot come is refused now" "$(vm set "$VM" --add-disk 8M,store=nowhere)" "*nowhere*"
like "so is what cannot go" "$(vm set "$VM" --remove disk9)" "*no device \"disk9\"*"
like "one is taken back" "$(vm set "$VM" --remove disk2)" "*disk2 does not come*"
like "one goes, a card comes" "$(vm set "$VM" --remove disk1 --add-nic "$BRIDGE")" "*disk1 goes*its image stays*nic2 comes*"
is "nothing of it yet" "$(slots)" "disk0=2 disk1=3 nic0=4 nic1=6"
is "no image either" "$(find "$LAB/fs/share/$VM" "$LAB/hv1/images/$VM" -name 'disk[23].qcow2')" ""
like "people see what comes and goes" "$(drover_on hv1 vm show "$VM")" \
    "*next time disk3 comes: 8.0 MiB, qcow2*next time disk1 goes*next time nic2 comes: virtio*"
like "memory waits and says so" "$(vm set "$VM" memory=128M cpus=3 notes=now)" "*memory = 128M holds from the VM's next start on*"
need "cpus wait with another value" vm set "$VM" cpus=1
is "notes hold, the rest waits" "$(def ' | "\(.notes) \(.memory_kib) \(.next)"')" $'now 98312 memory = 128M\ncpus = 1'
like "people see what waits" "$(drover_on hv1 vm show "$VM")" "*next time memory = 128M*next time cpus = 1*"

need "another disc" vm insert "$VM" "$STORE/$ISOS/none.iso" # what is booted when cd0 is empty
is "is in the empty drive" "$(def .cdroms[1].path)" "$ISOS/none.iso"
like "a disc that is not there is refused" "$(vm insert "$VM" cd0 "$STORE:$ISOS/three.iso")" "*three.iso*"
says hv1 "disc one" "still"
need "the first one is ejected" vm eject "$VM" cd0
says hv1 "no disc"
is "the definition knows" "$(def .cdroms[0].path)" ""
need "nothing of it is left" wait_until 5 test ! -e "$LAB/hv1/run/drover/vm/$UUID/disc-cd0.ctl"
need "one of hv1's own comes in" vm insert "$VM" cd0 "$LOCAL/$ISOS/local.iso"
says hv1 "local disc"
need "the other in its place" vm insert "$VM" cd0 "$STORE/$ISOS/two.iso"
says hv1 "disc two"

lab svc hv1 droverd kill
lab svc hv1 droverd start
need "a new agent knows it all" wait_until 10 knows_all # it looks at its VMs first
need "it moves" move "$VM" hv1 hv2
says hv2 "disc two" "after the move"
HOST=hv2
is "what waits went along" "$(def .next)" $'memory = 128M\ncpus = 1'
need "it is changed there" vm set "$VM" notes=hv2
need "discs, too" vm eject "$VM" cd0
says hv2 "no disc"
need "it stops" drover_on hv2 --quiet vm stop "$VM" --force
is "stopped, it still waits" "$(def .next)" $'memory = 128M\ncpus = 1'
like "hv1 may not change it" "$(HOST=hv1 vm set "$VM" notes=hv1)" "*no VM*"
need "a disc for a stopped VM" vm insert "$VM" cd0 "$STORE/$ISOS/one.iso"
need "it starts" drover_on hv2 --quiet vm start "$VM"
says hv2 "disc one"
is "what waited holds" "$(def ' | "\(.cpu.vcpus) \(.memory_kib) \(.next) \(.notes)"')" "1 131080  hv2"
need "in QEMU, too" qemu_has hv2 "-m 131080K"
is "the disk and the card have come, the other disk went" "$(slots)" "disk0=2 disk3=3 nic0=4 nic1=6 nic2=5"
need "in QEMU as well" qemu_has hv2 "virtio-blk-pci,id=dev-disk3"
is "nothing waits" "$(def ' | "\(.next)\(.next_devices)"')" "[]"
need "the new disk has its image" test -s "$LAB/fs/share/$VM/disk3.qcow2"
need "the other keeps its own" test -s "$LAB/fs/share/$VM/disk1-2.qcow2"
need "it moves back" move "$VM" hv2 hv1
HOST=hv1
says hv1 "disc one"
OLD=$VM
like "one place has one name as a store" "$(drover_as erin hv1 store add again "smb://FS.$DOMAIN/${SHARE,,}/" 2>&1)" "*store $STORE is that place already*"
need "another VM" vm create "$OLD-c" --store "$STORE" --memory 32M --accel tcg --graphics none --disk 8M
like "a name that is taken is refused" "$(vm rename "$VM" "$OLD-c")" "*another VM*named*$OLD-c*"
need "the other goes" vm_remove "$OLD-c" hv1
like "and what is none" "$(vm rename "$VM" -- -web)" "*no name of a VM*"
VM=$OLD-b
like "it gets another name while it runs" "$(vm rename "$OLD" "$VM")" "*still named $OLD*"
like "by the old one nobody knows it" "$(vm show "$OLD")" "*no VM*"
lab svc hv1 droverd kill
lab svc hv1 droverd start
need "a new agent knows the new one" wait_until 10 drover_on hv1 vm show "$VM"
says hv1 "disc one"
need "it moves by it" move "$VM" hv1 hv2
need "and back" move "$VM" hv2 hv1
need "it stops" drover_on hv1 --quiet vm stop "$VM" --force
like "a new disk is in its folder" "$(vm set "$VM" --add-disk 8M && def .disks[-1].path)" "*$OLD/disk1-3*"
need "stopping it again is no mistake" drover_on hv1 vm stop "$VM"
like "nor is adding a store that is there" "$(drover_as erin hv1 store add "$STORE" "smb://fs.$DOMAIN/$SHARE" 2>&1)" "*is there already*"
need "stopped, it gets its old name again" vm rename "$VM" "$OLD"
VM=$OLD
is "no process is left" "$(pgrep -f "drover-store.*$UUID")" ""
need "it starts again" drover_on hv1 --quiet vm start "$VM"
like "a disk on the local store waits" "$(vm set "$VM" --add-disk "8M,store=$LOCAL")" "*disk2 comes*"
rm -rf "${LAB:?}/hv1/images/$VM" && : >"$LAB/hv1/images/$VM" # where its folder would be
need "it stops" drover_on hv1 --quiet vm stop "$VM" --force
like "what cannot come stops the start and says how to go on" "$(drover_on hv1 vm start "$VM" 2>&1)" \
    "*was not started*disk2 on store $LOCAL*drover vm set $VM --remove disk2*"
need "it is taken back" vm set "$VM" --remove disk2
need "and the VM starts" drover_on hv1 --quiet vm start "$VM"
need "it goes" vm_remove "$VM" hv1

test_result
