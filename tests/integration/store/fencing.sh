#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# fencing.sh BUILD_DIR: two drover-stores on two hosts and one image, on the lab that is up. One holds,
# the other is refused; hand-over by the record; a killed, a cut-off, a frozen and an overtaken holder.
# shellcheck disable=SC2317  # functions are called through expect and within
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: fencing.sh BUILD_DIR}
BUILD=$DROVER_BUILD
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"
lab exec fs -- true 2>/dev/null || exit 77

WORK=$(mktemp -d)
FOLDER=fencing-$$
VM=$(cat /proc/sys/kernel/random/uuid)
SHARE_DIR=$LAB/fs/share # as the file server sees it
IMAGE=$SHARE_DIR/$FOLDER/disk0.qcow2
URL=smb://fs.$DOMAIN/$SHARE
RECORD=$SHARE_DIR/.drover/owners/$VM
STALL=20 # seconds, of hv1

clean() {
    lab link hv1 lan heal
    lab svc fs smbd status | grep -q up || lab svc fs smbd start
    for node in hv1 hv2; do
        [[ -S $WORK/$node/disk0.ctl ]] && at "$node" quit force
    done
    [[ -f $WORK/qemu.pid ]] && kill "$(cat "$WORK/qemu.pid")"
    rm -rf "$WORK" "${SHARE_DIR:?}/$FOLDER" "$SHARE_DIR/.drover/owners/$VM"
}

# at NODE COMMAND [ARG]: the node's drover-store.
at() {
    local node=$1
    shift
    lab exec "$node" -- "$BUILD/tests/storectl" "$WORK/$node" disk0 "$@"
}

start() { # NODE [KEY=VALUE...]
    local node=$1
    shift
    at "$node" start "program=$BUILD/bin/drover-store" "ccache=FILE:$WORK/$node.cc" \
        "image=$URL/$FOLDER/disk0.qcow2" "record=$URL/.drover/owners/$VM" export=2147483648 "$@"
}

io() { # NODE FORMAT QEMU_IO_COMMAND...
    local node=$1 format=$2
    shift 2
    lab exec "$node" -- qemu-io -f "$format" "$@" "nbd+unix:///?socket=$WORK/$node/disk0.nbd"
}

# within LIMIT_MS TEXT PATTERN CMD...: until the output matches; says how long it took.
within() {
    local limit=$1 text=$2 pattern=$3 began now out
    shift 3
    began=$(date +%s%3N)
    while :; do
        out=$("$@" 2>&1)
        now=$(date +%s%3N)
        # shellcheck disable=SC2053 # a pattern
        if [[ $out == $pattern ]]; then
            good "$text ($((now - began)) ms)"
            return
        fi
        if ((now - began > limit)); then
            bad "$text: not within $limit ms: $out"
            return
        fi
        sleep 0.1
    done
}

trap clean EXIT
mkdir -p "$WORK/hv1" "$WORK/hv2"
: >"$WORK/empty"
# Through the server: what is put there behind its back has no permissions that count.
lab exec admin --user erin -- smbclient -N -s "$LAB/etc/smb-client.conf" --use-kerberos=required "//fs.$DOMAIN/$SHARE" \
    -c "mkdir .drover; mkdir .drover/owners; mkdir $FOLDER; put $WORK/empty $FOLDER/disk0.qcow2" >/dev/null 2>&1
[[ -f $IMAGE ]] || exit 1
qemu-img create -q -f qcow2 "$IMAGE" 1G
for node in hv1 hv2; do
    lab exec "$node" -- env "KRB5CCNAME=FILE:$WORK/$node.cc" \
        kinit -k -t "$LAB/keytabs/$node.keytab" "${node^^}\$" || exit 1
done
# A QEMU without a machine is enough to see whether it is told to stop.
lab exec hv1 -- qemu-system-x86_64 -nodefaults -display none -accel tcg -M none -daemonize \
    -pidfile "$WORK/qemu.pid" -mon chardev=m,mode=control \
    -chardev "socket,id=m,path=$WORK/qmp,server=on,wait=off,logfile=$WORK/qmp.log"

echo "--- one holds, the other is refused"
expect "hv1 starts" "" start hv1 "qmp=$WORK/qmp" "stall=$STALL"
expect "hv2 starts" "" start hv2
expect "hv1 holds a new record" "" at hv1 hold-record create
expect "hv1 holds the image" "" at hv1 hold-image
expect "file id is the server's inode" "*file=$(stat -c %i "$IMAGE") *" at hv1 status
expect "the record is empty" "not-found:*" at hv1 read
expect "no promotion before the commit" "state:*" at hv1 promote 1
expect "commit" "" at hv1 write running 1 "$VM"
expect "held is not writable" "*Operation not permitted*" io hv1 raw -c 'write 0 4k'
expect "promotion" "" at hv1 promote 1
expect "hv2 cannot hold the record" "busy:*" at hv2 hold-record
expect "hv2 cannot hold the image" "busy:*" at hv2 hold-image
expect "hv2 cannot write" "*Operation not permitted*" io hv2 raw -c 'write 0 4k'
expect "hv1 writes, the file grows" "*wrote 8388608/*" io hv1 qcow2 -c 'write -P 7 0 8M' -c flush
expect "hv2 reads that" "*read 65536/*" io hv2 qcow2 -r -c 'read -P 7 2M 64k'

echo "--- hand-over"
expect "hv1 writes released" "" at hv1 write released 1 "$VM"
expect "nothing is written after that" "*Operation not permitted*" io hv1 raw -c 'write 0 4k'
expect "hv1 releases the image" "" at hv1 release-image
expect "hv1 releases the record" "" at hv1 release-record
expect "hv2 holds the record" "" at hv2 hold-record
expect "hv2 holds the image" "" at hv2 hold-image
expect "hv2 reads released" "state=released epoch=1 *" at hv2 read
expect "epochs are not skipped" "state:*" at hv2 write running 3 "$VM"
expect "hv2 commits" "" at hv2 write running 2 "$VM"
expect "hv2 is promoted" "" at hv2 promote 2
expect "hv1's QEMU may still read" "*read 65536/*" io hv1 qcow2 -r -c 'read -P 7 2M 64k'
expect "no quit under a running VM" "state:*" at hv2 quit

echo "--- the holder is killed"
kill -9 "$(cut -d' ' -f1 "$WORK/hv2/disk0.pid")"
within 2000 "hv1 gets the record" "" at hv1 hold-record
expect "hv1 takes the image" "" at hv1 hold-image
expect "hv1 reads epoch 2" "state=running epoch=2 *" at hv1 read
cp "$RECORD" "$WORK/hv1.record.2" # for a server that forgets
expect "hv1 commits" "" at hv1 write running 3 "$VM"
expect "hv1 is promoted" "" at hv1 promote 3
rm -f "$WORK/hv2/disk0".*
expect "hv2 starts again" "" start hv2

echo "--- the holder is cut off for a while"
lab link hv1 lan cut
io hv1 raw -c 'write -P 9 16M 64k' -c flush >"$WORK/stalled" 2>&1 &
writer=$!
within 8000 "hv2 could take the record" "" at hv2 hold-record
expect "hv2 lets it go" "" at hv2 drop
sleep 6
expect "hv1 goes on waiting" "state=promoted *" at hv1 status
expect "so does its guest" "" cat "$WORK/stalled"
lab link hv1 lan heal
wait $writer
expect "which notices nothing" "*wrote 65536/*" cat "$WORK/stalled"
expect "and reads what it wrote" "*read 65536/*" io hv1 raw -c 'read -P 9 16M 64k'
expect "its guest was not paused" "0" grep -c STOP "$WORK/qmp.log"

echo "--- longer than its deadline"
lab link hv1 lan cut
within $((STALL * 1000 + 2000)) "hv1 is lost" "state=lost * reason=*could not be verified*" at hv1 status
within 1000 "hv1's guest is paused" "*STOP*" cat "$WORK/qmp.log"
expect "no writing" "*Input/output error*" io hv1 raw -c 'write 0 4k'
lab link hv1 lan heal
within 15000 "it comes back by itself" "state=held *" at hv1 status
expect "but writes nothing yet" "*Operation not permitted*" io hv1 raw -c 'write 0 4k'
expect "its record stands" "state=running epoch=3 *" at hv1 read
expect "another epoch is not for this QEMU" "state:*" at hv1 promote 4
expect "hv1 goes on" "" at hv1 promote 3
expect "and writes" "*wrote 4096/*" io hv1 raw -c 'write 16M 4k'

echo "--- the file server freezes during a hand-over"
expect "patience of 1 s" "" at hv1 patience 1000
lab svc fs smbd freeze
expect "the request fails" "*Input/output error*" io hv1 raw -c 'write 16M 4k'
expect "and the session is given up" "state=lost * reason=*within 1000 ms*" at hv1 status
lab svc fs smbd start
within 20000 "it comes back by itself" "state=held *" at hv1 status
expect "and reads" "state=running epoch=3 *" at hv1 read
expect "and goes on" "" at hv1 promote 3
expect "patience as usual" "" at hv1 patience 0

echo "--- another file takes the image's place"
mv "$IMAGE" "$IMAGE.moved"
cp -a "$IMAGE.moved" "$IMAGE"
lab svc fs smbd kill
lab svc fs smbd start
within 15000 "hv1 notices" "state=lost * reason=*another file*" at hv1 status
expect "the copy is refused" "attention:*another file*" at hv1 reopen 5000
mv "$IMAGE.moved" "$IMAGE"
expect "the image itself is taken" "" at hv1 reopen 15000
expect "and its record read" "state=running epoch=3 *" at hv1 read
expect "and it goes on" "" at hv1 promote 3

echo "--- the record goes back in time"
cp "$RECORD" "$WORK/record.old"
expect "a change of the record" "" at hv1 write running 3 "$VM"
cp "$RECORD" "$WORK/record.now"
cp "$WORK/hv1.record.2" "$RECORD"
within 12000 "hv1 notices" "state=lost * reason=*went back*" at hv1 status
expect "nobody runs stale" "attention:*" at hv1 reopen 5000
cp "$WORK/record.now" "$RECORD"
expect "the record is put right" "" at hv1 reopen 15000
expect "and read" "state=running epoch=3 *" at hv1 read
expect "and hv1 goes on" "" at hv1 promote 3

echo "--- the holder is cut off and overtaken"
lab link hv1 lan cut
within 8000 "hv2 takes the record" "" at hv2 hold-record
expect "hv2 takes the image" "" at hv2 hold-image
expect "hv2 reads" "state=running epoch=3 *" at hv2 read
expect "hv2 commits" "" at hv2 write running 4 "$VM"
expect "hv2 is promoted" "" at hv2 promote 4
lab link hv1 lan heal
within 25000 "hv1 is fenced" "state=lost * reason=fenced*" at hv1 status
expect "it writes nothing" "*Input/output error*" io hv1 raw -c 'write 0 4k'
expect "hv2 lets go" "" at hv2 quit force
expect "for good" "attention:*" at hv1 reopen 2000
expect "it writes nothing" "*Input/output error*" io hv1 raw -c 'write 0 4k'
expect "and ends cleanly" "" at hv1 quit
expect "leaving nothing but its log" "disk0.log" ls "$WORK/hv1"

echo "--- the holder is ended by a signal"
expect "hv1 starts" "" start hv1 "qmp=$WORK/qmp"
expect "hv1 holds the record" "" at hv1 hold-record
expect "hv1 holds the image" "" at hv1 hold-image
expect "hv1 reads" "state=running epoch=4 *" at hv1 read
expect "hv1 commits" "" at hv1 write running 5 "$VM"
expect "hv1 is promoted" "" at hv1 promote 5
kill "$(cut -d' ' -f1 "$WORK/hv1/disk0.pid")"
within 3000 "its guest is paused first" "*store.end.paused*" cat "$WORK/hv1/disk0.log"

((FAILED == 0)) || cat "$WORK"/hv?/disk0.log
test_result
