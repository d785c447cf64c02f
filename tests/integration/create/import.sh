#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# import.sh BUILD_DIR: images that exist become disks: raw, qcow2, VHDX, VHD (both kinds) and VMDK, onto SMB and local
# stores, with progress, thin, and equal to their source. What needs other files is refused, and leaves nothing.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: import.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

VM=import-$$
FROM='' # folder of hv1's local store that holds the sources

cleanup() {
    vm_remove "$VM" hv1
    rm -rf "$FROM"
}

# create OPTION...: as the admin's desk would; events go to $WORK/events.
create() {
    drover_as erin hv1 --json vm create "$VM" --store "$STORE" --memory 128M --accel tcg --graphics none "$@" \
        >"$WORK/events" 2>"$WORK/err"
}

# sources: 64 MiB, of which 3 MiB are data, one in the last sectors.
make_sources() {
    local format
    qemu-img create -q -f raw "$FROM/a.raw" 64M &&
        dd if=/dev/urandom of="$FROM/a.raw" bs=1M seek=5 count=2 conv=notrunc status=none &&
        dd if=/dev/urandom of="$FROM/a.raw" bs=1M seek=63 count=1 conv=notrunc status=none || return
    for format in qcow2 vhdx vpc vmdk; do
        qemu-img convert -O "$format" "$FROM/a.raw" "$FROM/a.$format" || return
    done
    qemu-img convert -O vpc -o subformat=fixed,force_size=on "$FROM/a.raw" "$FROM/fixed.vpc" &&
        qemu-img convert -O vmdk -o subformat=streamOptimized "$FROM/a.raw" "$FROM/a, b.vmdk" &&
        qemu-img convert -O vmdk -o subformat=monolithicFlat "$FROM/a.raw" "$FROM/flat.vmdk" &&
        qemu-img create -q -f qcow2 -F raw -b a.raw "$FROM/overlay.qcow2" &&
        chmod -R a+rX "$FROM"
}

# imported FILE FORMAT OPTION...: into a VM of its own.
imported() {
    local file=$1 format=$2 image
    shift 2
    if ! create "$@"; then
        bad "$file: $(cat "$WORK/err")"
        return
    fi
    image=$(vm_image "$VM" hv1)
    like "$file is equal, $*" "$(qemu-img compare -f "$format" "$FROM/$file" "$image" 2>&1)" '*Images are identical.'
    below "$file stays thin, MiB on disk" "$(($(stat -c %b "$image") / 2048))" 12
    is "$file: progress of both steps" "$(jq -rs 'map(select(.event == "import" and .percent == 100).step) | unique | join(" ")' \
        "$WORK/events")" "compare copy"
    vm_remove "$VM" hv1
}

# refused FILE STATUS PATTERN
refused() {
    create --import "$FROM/$1"
    is "$1 is refused" $? "$2"
    like "$1: why" "$(cat "$WORK/err")" "$3"
    is "$1 leaves nothing" "$(find "$LAB/fs/share" "$LAB/hv1/images" -name "$VM" 2>&1)" ""
}

test_begin
FROM=$LAB/hv1/images/import-$$.sources
mkdir -p "$FROM"
need "sources of all formats" make_sources

imported a.raw raw --import "$FROM/a.raw"
imported a.qcow2 qcow2 --import "$FROM/a.qcow2"
imported a.vhdx vhdx --import "$FROM/a.vhdx"
imported a.vpc vpc --import "$FROM/a.vpc"
imported fixed.vpc vpc --import "$FROM/fixed.vpc"
imported a.vmdk vmdk --import "$FROM/a.vmdk"
imported "a, b.vmdk" vmdk --import "$FROM/a, b.vmdk"
imported a.vhdx vhdx --disk "80M,format=raw,store=$LOCAL,import=$FROM/a.vhdx"
imported a.vhdx vhdx --import "$FROM/a.vhdx" --disk 8M --disk "16M,store=$LOCAL"

refused flat.vmdk 2 '*names other files*make one file of it*'
refused overlay.qcow2 2 '*needs another file*'
# What is no VHD that stands alone: a footer that says "differencing", its checksum right.
python3 - "$FROM/a.vpc" "$FROM/child.vpc" <<'PY'
import struct, sys
data = bytearray(open(sys.argv[1], "rb").read())
footer = bytearray(data[:512])
footer[60:64] = struct.pack(">I", 4)
footer[64:68] = bytes(4)
footer[64:68] = struct.pack(">I", ~sum(footer) & 0xFFFFFFFF)
data[:512] = data[-512:] = footer
open(sys.argv[2], "wb").write(data)
PY
chmod a+r "$FROM/child.vpc"
refused child.vpc 2 '*needs its parent*'
printf 'KDMV' >"$FROM/garbage.vmdk"
truncate -s 1M "$FROM/garbage.vmdk"
refused garbage.vmdk 1 '*garbage.vmdk*'

test_result
