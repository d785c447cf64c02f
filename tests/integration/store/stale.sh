#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# stale.sh BUILD_DIR: a write that the file server got and did not answer never lands over a newer one.
# The server's processes are stopped with a write in their sockets, the write fails (patience), they go on,
# and the newer write is made as soon as drover-store lets it: $TRIES times (5 if not said). Then a server
# that forgets what was not flushed: nothing acknowledged is lost. On the lab that is up.
# shellcheck disable=SC2317  # functions are called through need and wait_until
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: stale.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

TRIES=${TRIES:-5}
FOLDER=stale-$$
IMAGE=$LAB/fs/share/$FOLDER/disk0.raw

store() { lab exec hv1 -- "$DROVER_BUILD/tests/storectl" "$WORK/hv1" disk0 "$@"; }
io() { lab exec hv1 -- qemu-io -f raw "$@" "nbd+unix:///?socket=$WORK/hv1/disk0.nbd"; }
is_state() { [[ $(store status) == "state=$1 "* ]]; }

cleanup() {
    lab svc fs smbd start
    store quit force
    rm -rf "${LAB:?}/fs/share/$FOLDER"
}

# one_try N: at an offset of its own.
one_try() {
    local at=$(($1 * 4096))
    store patience 300
    lab svc fs smbd freeze
    io -c "write -P 0xaa $at 4k" >"$WORK/old" 2>&1
    grep -q 'Input/output error' "$WORK/old" || bad "try $1: the old write did not fail: $(cat "$WORK/old")"
    lab svc fs smbd start # goes on where it stood, the old write first
    store patience 0
    wait_until 30 is_state held || bad "try $1: drover-store is not back: $(store status)"
    store fill
    io -c "write -P 0x55 $at 4k" -c flush >"$WORK/new" 2>&1 || bad "try $1: $(cat "$WORK/new")"
    sleep 0.3
    if ! io -r -c "read -P 0x55 $at 4k" >"$WORK/read" 2>&1 || grep -q failed "$WORK/read"; then
        bad "try $1: the old data came through"
    fi
}

# The server's disk goes back to what was flushed, while smbd is down. nbdcopy, unlike qemu-io, flushes only
# when asked to.
forget() {
    head -c 8M /dev/urandom >"$WORK/flushed"
    { head -c 1M /dev/urandom && head -c 1M /dev/zero && head -c 6M /dev/urandom; } >"$WORK/newer"
    local uri="nbd+unix:///?socket=$WORK/hv1/disk0.nbd"
    nbdcopy --flush "$WORK/flushed" "$uri" && nbdcopy "$WORK/newer" "$uri" || return
    store status | grep -o 'log=[0-9]*'
    lab svc fs smbd kill
    cat "$WORK/flushed" >"$IMAGE" # the same file, older content
    lab svc fs smbd start
    nbdcopy "$uri" "$WORK/back" && cmp "$WORK/newer" "$WORK/back" && echo same
}

test_begin
mkdir -p "$WORK/hv1"
need "a file on the share" share_make "$FOLDER" disk0.raw
truncate -s 8M "$IMAGE"
need "a ticket" lab exec hv1 -- env "KRB5CCNAME=FILE:$WORK/hv1.cc" kinit -k -t "$LAB/keytabs/hv1.keytab" "HV1\$"
need "drover-store" store start "program=$DROVER_BUILD/bin/drover-store" "ccache=FILE:$WORK/hv1.cc" \
    "image=smb://fs.$DOMAIN/$SHARE/$FOLDER/disk0.raw"
need "the image is held" store hold-image
need "and filled" store fill
for ((n = 0; n < TRIES; n++)); do one_try "$n"; done
is "tries that showed old data, of $TRIES" "$FAILED" 0
like "a server that forgot gets all back" "$(forget 2>&1)" "log=[1-9]*same"
like "by replay" "$(store status)" "* replays=[1-9]*"
test_result
