#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# foreign.sh BUILD_DIR: programs that are not ours (nbdinfo, nbdcopy, qemu-img, qemu-io, fio) work through
# drover-store on a raw and on a qcow2 image on the share of the lab that is up. FIO_SECONDS=600: longer.
# shellcheck disable=SC2317  # cleanup is called at the end
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: foreign.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

FIO_SECONDS=${FIO_SECONDS:-10}
FOLDER=foreign-$$
SHARE_DIR=$LAB/fs/share # as the file server sees it
RAW=$SHARE_DIR/$FOLDER/raw.img
QCOW2=$SHARE_DIR/$FOLDER/disk.qcow2
MIB=1048576

cleanup() {
    for name in raw qcow2; do at "$name" quit force; done
    rm -rf "${SHARE_DIR:?}/$FOLDER"
}

at() { lab exec hv1 -- "$DROVER_BUILD/tests/storectl" "$WORK" "$@"; } # NAME COMMAND [ARG]
uri() { echo "nbd+unix:///?socket=$WORK/$1.nbd"; }                     # NAME
kib() { echo $(($(stat -c %b "$1") / 2)); }                            # FILE, as allocated

# serve NAME FILE [KEY=VALUE...]: from now on a client may write to it.
serve() {
    local name=$1 file=$2
    shift 2
    at "$name" start "program=$DROVER_BUILD/bin/drover-store" "ccache=FILE:$WORK/hv1.cc" \
        "image=smb://fs.$DOMAIN/$SHARE/$FOLDER/${file##*/}" "$@" && at "$name" hold-image && at "$name" fill
}

# does TEXT CMD...: it succeeds; its output is in $WORK/out.
does() {
    local text=$1
    shift
    if "$@" >"$WORK/out" 2>&1; then
        good "$text"
    else
        bad "$text: $(tail -n 5 "$WORK/out")"
    fi
}

io() { # NAME FORMAT QEMU_IO_COMMAND...
    local name=$1 format=$2 commands=() command
    shift 2
    for command in "$@"; do commands+=(-c "$command"); done
    qemu-io -d unmap -f "$format" "${commands[@]}" "$(uri "$name")"
}

# Data in 3 of 64 MiB: at the begin, at an odd place, at the very end.
make_source() {
    truncate -s 64M "$WORK/source" &&
        dd if=/dev/urandom of="$WORK/source" bs=64K count=16 conv=notrunc status=none &&
        dd if=/dev/urandom of="$WORK/source" bs=1000 count=1000 seek=20001 conv=notrunc status=none &&
        dd if=/dev/urandom of="$WORK/source" bs=64K count=16 seek=1008 conv=notrunc status=none
}

# Each round writes the whole area at random in blocks of all sizes, reads it and compares.
fio_rounds() { # NAME
    local end=$((SECONDS + FIO_SECONDS)) rounds=0
    while ((rounds == 0 || SECONDS < end)); do
        rounds=$((rounds + 1))
        (cd "$WORK" && fio --name=verify --ioengine=nbd --uri="$(uri "$1")" --rw=randwrite --bsrange=4k-256k --size=48M \
            --iodepth=16 --verify=crc32c --verify_fatal=1 --randseed="$rounds" --fsync=64) || return
    done
    echo "$rounds rounds"
}

test_begin
need "files on the share" share_make "$FOLDER" raw.img disk.qcow2
truncate -s 64M "$RAW"
qemu-img create -q -f qcow2 "$QCOW2" 64M
need "ticket" lab exec hv1 -- env "KRB5CCNAME=FILE:$WORK/hv1.cc" kinit -k -t "$LAB/keytabs/hv1.keytab" "HV1\$"
need "source made" make_source
need "raw image served" serve raw "$RAW"
need "qcow2 image served" serve qcow2 "$QCOW2" export=$((128 * MIB))

echo "--- libnbd, raw"
does "nbdinfo" nbdinfo --json "$(uri raw)"
is "size" "$(jq '.exports[0]["export-size"]' "$WORK/out")" $((64 * MIB))
is "largest block" "$(jq '.exports[0].block_size_maximum // .exports[0]["block_size_maximum"]' "$WORK/out")" $MIB
is "several connections allowed" "$(jq '.exports[0].can_multi_conn' "$WORK/out")" true
is "list" "$(nbdinfo --list --json "$(uri raw)" | jq '.exports | length')" 1
does "map of nothing" nbdinfo --map --totals "$(uri raw)"
like "is one hole" "$(tr -s ' ' <"$WORK/out")" "*67108864 100.0% 3 hole,zero*"
does "nbdcopy into it" nbdcopy --flush "$WORK/source" "$(uri raw)"
does "equal on the server" cmp "$WORK/source" "$RAW"
below "sparse there, KiB" "$(kib "$RAW")" 4096
does "map of data" nbdinfo --map --totals "$(uri raw)"
like "has holes" "$(cat "$WORK/out")" "*hole,zero*"
does "nbdcopy out of it" nbdcopy "$(uri raw)" "$WORK/copy"
does "equal" cmp "$WORK/source" "$WORK/copy"
below "sparse here, KiB" "$(kib "$WORK/copy")" 4096
does "nbdcopy over itself, all bytes" nbdcopy --allocated --flush --connections=4 --requests=64 "$WORK/source" "$(uri raw)"
does "equal on the server" cmp "$WORK/source" "$RAW"

echo "--- QEMU, raw"
does "qemu-img convert" qemu-img convert -n -f raw -O raw "$WORK/source" "$(uri raw)"
does "qemu-img compare" qemu-img compare -f raw -F raw "$WORK/source" "$(uri raw)"
does "patterns" io raw raw 'write -P 0x5a 8M 3M' 'write -f -P 0xa5 9000001 70001' 'flush' 'read -P 0xa5 9000001 70001' \
    'read -P 0x5a 8M 611393' 'read -P 0x5a 9070002 1M'
is "no pattern failed" "$(grep -c failed "$WORK/out")" 0
does "last byte" io raw raw 'write -P 7 67108863 1' 'read -P 7 67108863 1'
is "past the end" "$(io raw raw 'read 67108864 512' 2>&1 | grep -c '^read 512/')" 0
BEFORE=$(kib "$RAW")
does "discard" io raw raw 'discard 8M 3M' 'flush'
below "shrinks the file, KiB" "$(kib "$RAW")" $((BEFORE - 2500))
does "all data" io raw raw 'write -P 9 16M 4M' 'flush'
BEFORE=$(kib "$RAW")
does "zeroes that unmap" io raw raw 'write -z -u 16M 4M' 'flush' 'read -P 0 16M 4M'
is "read as zeros" "$(grep -c failed "$WORK/out")" 0
below "shrink the file, KiB" "$(kib "$RAW")" $((BEFORE - 3500))
does "fio, $FIO_SECONDS s" fio_rounds raw
good "$(tail -n 1 "$WORK/out")"

echo "--- QEMU, qcow2"
does "qemu-img convert" qemu-img convert -n -f raw -O qcow2 "$WORK/source" "$(uri qcow2)"
does "qemu-img check" qemu-img check -f qcow2 "$(uri qcow2)"
does "qemu-img compare" qemu-img compare -f raw -F qcow2 "$WORK/source" "$(uri qcow2)"
does "qemu-img map" qemu-img map --output=json -f qcow2 "$(uri qcow2)"
below "bytes of data" "$(jq '[.[] | select(.data) | .length] | add' "$WORK/out")" $((4 * MIB))
below "the file, KiB" "$(kib "$QCOW2")" 6144
does "patterns" io qcow2 qcow2 'write -P 0x5a 30M 8M' 'flush' 'write -P 0xa5 31000001 70001' 'read -P 0xa5 31000001 70001' \
    'read -P 0x5a 32M 6M'
is "no pattern failed" "$(grep -c failed "$WORK/out")" 0
BEFORE=$(kib "$QCOW2")
does "discard" io qcow2 qcow2 'discard 30M 8M' 'flush'
below "shrinks the file, KiB" "$(kib "$QCOW2")" $((BEFORE - 7000))
does "put right again" qemu-img convert -n -f raw -O qcow2 "$WORK/source" "$(uri qcow2)"
does "nbdcopy of the file itself" nbdcopy "$(uri qcow2)" "$WORK/copy.qcow2"
does "which is sound" qemu-img check -f qcow2 "$WORK/copy.qcow2"
does "and equal" qemu-img compare -f raw -F qcow2 "$WORK/source" "$WORK/copy.qcow2"

echo "--- when drover-store has gone"
for name in raw qcow2; do
    does "$name settles" at "$name" settle
    does "$name is released" at "$name" release-image
    does "$name ends" at "$name" quit
done
does "the file on the server is sound" qemu-img check -f qcow2 "$QCOW2"
does "and equal" qemu-img compare -f raw -F qcow2 "$WORK/source" "$QCOW2"
test_result
