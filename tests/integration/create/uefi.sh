#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# uefi.sh BUILD_DIR: a UEFI guest adds a boot entry; it is there after a move with disks, a stop and a start over there, a
# move of the memory alone, and a move of storage. The shell of the firmware itself is the guest.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: uefi.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"
# shellcheck source=tests/integration/create/lib.sh
. "$HERE/lib.sh"

VM=uefi-$$
ENTRY="drover entry"

cleanup() {
    lab exec hv2 -- umount /usr/share/OVMF
    vm_remove "$VM" hv1 || vm_remove "$VM" hv2
    rm -f "$LAB/hv1/images/efi-disk-$$.qcow2"
}

# A disk whose startup.nsh adds the entry if it is not there, and says what there is, for ever.
make_disk() {
    mkdir "$WORK/fat" || return
    echo >"$WORK/fat/entry.efi"
    printf '%s\r\n' '@echo -off' 'fs0:' 'if not exist fs0:\done then' "bcfg boot add 3 fs0:\\entry.efi \"$ENTRY\"" \
        'echo x > fs0:\done' 'endif' ':again' 'bcfg boot dump' 'stall 500000' 'goto again' >"$WORK/fat/startup.nsh"
    qemu-img convert -f vvfat -O qcow2 "fat:16:$WORK/fat" "$LAB/hv1/images/efi-disk-$$.qcow2" && chmod a+r "$LAB/hv1/images/efi-disk-$$.qcow2"
}

# has_entry IMAGE: as UEFI writes texts.
has_entry() { python3 -c 'import sys; sys.exit(sys.argv[2].encode("utf-16-le") not in open(sys.argv[1], "rb").read())' "$1" "$ENTRY"; }
entry_on() { has_entry "$(vm_image "$VM" "$1" nvram)"; } # HOST

# lists HOST WHEN: does the guest itself list the entry?
lists() {
    if wait_until 90 hears "$1" "Desc    - $ENTRY"; then
        good "the guest on $1 lists the entry $2"
    else
        bad "the guest on $1 does not list the entry $2"
    fi
}

test_begin
[[ -e /usr/share/OVMF/OVMF_VARS_4M.fd ]] || exit 77
need "a disk with a start script" make_disk
need "a UEFI VM" drover_as erin hv1 vm create "$VM" --store "$STORE" --memory 128M --accel tcg --graphics none --uefi \
    --import "$LAB/hv1/images/efi-disk-$$.qcow2"
is "its variables are a disk" "$(vm_field "$VM" hv1 '.definition | "\(.firmware) \(.disks[1].id) \(.disks[1].store)"')" "uefi nvram $STORE"
need "as the package has them" cmp /usr/share/OVMF/OVMF_VARS_4M.fd "$(vm_image "$VM" hv1 nvram)"
need "it starts" drover_on hv1 --quiet vm start "$VM"
UUID=$(vm_uuid "$VM" hv1)
lists hv1 "that it added"
need "the image has it" wait_until 5 entry_on hv1

need "hv2 loses its firmware" lab exec hv2 -- mount -t tmpfs none /usr/share/OVMF
like "then it cannot go there" "$(drover_as alice hv1 check "$VM" --to "hv2.$DOMAIN" 2>&1)" "*V07*apt install ovmf*"
need "hv2 gets it back" lab exec hv2 -- umount /usr/share/OVMF
need "it moves with its disks" move "$VM" hv1 hv2 --storage "$LOCAL"
is "the variables lie on hv2" "$(vm_field "$VM" hv2 '.definition.disks[] | select(.id == "nvram").store')" "$LOCAL"
lists hv2 "after the move"
need "the image there has it" entry_on hv2
is "nothing is left of it on hv1" "$(traces hv1 "$UUID" "$VM")" ""
need "it stops" drover_on hv2 --quiet vm stop "$VM" --force
need "it starts there" drover_on hv2 --quiet vm start "$VM"
lists hv2 "after a start"
need "its storage goes back to the share" drover_as alice hv2 --quiet move-storage "$VM" --storage "$STORE"
need "the image on the share has it" entry_on hv2
need "its memory moves back" move "$VM" hv2 hv1
lists hv1 "after the move of its memory"
need "it goes" vm_remove "$VM" hv1

test_result
