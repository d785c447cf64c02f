#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# store_smb.sh BUILD_DIR: SMB stores on the lab that is up. HV1$ gets what every store promises; who
# may not is told why; an owner record is seen held and unheld.
set -u -o pipefail
umask 077

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: store_smb.sh BUILD_DIR}
BUILD=$DROVER_BUILD
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"
lab exec fs -- true 2>/dev/null || exit 77

STORE=smb://fs.$DOMAIN/$SHARE
HELPER=$BUILD/bin/drover-smb
PEEK=$BUILD/tests/storepeek
WORK=$(mktemp -d)
VM=$(cat /proc/sys/kernel/random/uuid)

clean() {
    [[ -S $WORK/record.ctl ]] && on_hv1 "$BUILD/tests/storectl" "$WORK" record quit force >/dev/null
    ask unlink ".drover/owners/$VM" >/dev/null
    rm -rf "$WORK"
}
on_hv1() { lab exec hv1 -- env "KRB5CCNAME=FILE:$WORK/hv1.cc" "$@"; }

# ask OP PATH: one request to drover-smb as HV1$.
ask() { echo "{\"op\":\"$1\",\"path\":\"$2\"}" | on_hv1 "$HELPER" "$STORE"; }

# connect CCACHE URL: what drover-smb says to a connect with these.
connect() { echo '{"op":"connect"}' | lab exec hv1 -- env "KRB5CCNAME=FILE:$1" "$HELPER" "$2"; }

on_hv1 kinit -k -t "$LAB/keytabs/hv1.keytab" 'HV1$' || exit 1
trap clean EXIT

# --- promises ---
if on_hv1 env "DROVER_TEST_STORE=$STORE" "DROVER_TEST_HELPER=$HELPER" \
    "$BUILD/tests/smbstore_test_store_contract" >"$WORK/contract.log" 2>&1; then
    good "an SMB store keeps every store's promises"
else
    bad "an SMB store keeps every store's promises: $(grep -vE '^\[ +(RUN|OK) ' "$WORK/contract.log")"
fi

# --- refusals, each with its cause ---
# shellcheck disable=SC2016 # expands in the node
lab exec admin --user bob -- sh -c 'cat "${KRB5CCNAME#FILE:}"' >"$WORK/bob.cc"
: >"$WORK/empty.cc"
install -m 644 "$WORK/hv1.cc" "$WORK/open.cc"
expect "bob's ticket is good, his rights are not" \
    '*"denied","msg":"access denied by the permissions*' connect "$WORK/bob.cc" "$STORE"
expect "an empty ccache is a logon problem" \
    '*"denied","msg":"the Kerberos logon failed*cifs/fs.drover.test*' connect "$WORK/empty.cc" "$STORE"
expect "no ccache is said" '*"no Kerberos ticket: cannot read*' connect "$WORK/none.cc" "$STORE"
expect "a ccache open to others is said" '*"denied"*open to others*' connect "$WORK/open.cc" "$STORE"
expect "no such share" '*"not-found","msg":"there is no share*NOPE*' \
    connect "$WORK/hv1.cc" "smb://fs.$DOMAIN/NOPE"
expect "no such folder" '*"not-found","msg":"the share has no folder*nope*' \
    connect "$WORK/hv1.cc" "$STORE/nope"
expect "no such server" '*"unreachable","msg":"cannot resolve*' \
    connect "$WORK/hv1.cc" "smb://nofs.$DOMAIN/$SHARE"
expect "a server that serves no files" '*"unreachable","msg":"cannot connect*' \
    connect "$WORK/hv1.cc" "smb://hv2.$DOMAIN/$SHARE"

# --- names are what they say, on the server's disk, too ---
SHARE_DIR=$LAB/fs/share
OPS=$WORK/ops
# asks FILE: a line of FILE each to one drover-smb.
asks() { on_hv1 "$HELPER" "$STORE" <"$1"; }
D=names-$VM
ask mkdir "$D/100% a%20b #ü 京 🐑" >/dev/null
expect "a name is not decoded on its way" '100% a%20b #ü 京 🐑' ls "$SHARE_DIR/$D"
expect "a name that Windows cannot store is refused" '*"invalid","msg":"not a legal path: *Windows*' ask mkdir "$D/a?b"
expect "and so is one that leads elsewhere" '*"invalid"*' ask mkdir "$D/../x"
ask rmdir "$D/100% a%20b #ü 京 🐑" >/dev/null

# --- copies ---
# blocks FILE: what it takes on the server, in MiB.
blocks() { echo $(($(stat -c %b "$SHARE_DIR/$D/$1") / 2048)); }
on_server() { echo "$(stat -c %s "$SHARE_DIR/$D/$1") $(blocks "$1") MiB"; }
truncate -s 96M "$WORK/from"
for at in 0 7 50; do
    dd if=/dev/urandom of="$WORK/from" bs=1M count=5 seek=$at conv=notrunc status=none
done
cat >"$OPS" <<EOF
{"op":"create","path":"$D/from","size":134217728,"initial":"$WORK/from"}
{"op":"copy","path":"$D/from","to":"$D/to"}
$(printf '{"op":"copy_more"}\n%.0s' {1..40})
{"op":"copy_end","keep":true}
{"op":"copy","path":"$D/from","to":"$D/to"}
EOF
out=$(asks "$OPS")
expect "a copy is made on the server" '*"at":134217728*' echo "$out"
expect "its holes survive" '134217728 1[5-6] MiB' on_server to
expect "its content is the same" '' cmp "$SHARE_DIR/$D/from" "$SHARE_DIR/$D/to"
expect "what is there is not overwritten" '*"exists"*' tail -1 <<<"$out"
cat >"$OPS" <<EOF
{"op":"copy","path":"$D/from","to":"$D/half"}
{"op":"copy_more"}
{"op":"copy_end","keep":false}
{"op":"copy","path":"$D/from","to":"$D/left"}
EOF
asks "$OPS" >/dev/null
expect "a copy given up leaves nothing" $'from\nto' ls -A "$SHARE_DIR/$D"

# --- permissions ---
# shellcheck disable=SC2016 # expands in the node
lab exec admin --user alice -- sh -c 'cat "${KRB5CCNAME#FILE:}"' >"$WORK/alice.cc"
ask mkdir "$D/closed" >/dev/null
expect "alice may enter" '{"ok":*' connect "$WORK/alice.cc" "$STORE/$D/closed"
printf '%s\n' "{\"op\":\"acl_set\",\"path\":\"$D/closed\",\"names\":true,\"acl\":\"REVISION:1,ACL:$WORKGROUP\\\\VM Hosts:0/3/2032127\"}" >"$OPS"
expect "the folder is given to the hosts alone" '{"ok":*' asks "$OPS"
expect "alice may not enter any more" '*"denied"*' connect "$WORK/alice.cc" "$STORE/$D/closed"
for name in closed from to ""; do
    ask rmdir "$D/$name" >/dev/null
    ask unlink "$D/$name" >/dev/null
done
ask rmdir "$D" >/dev/null
expect "nothing is left" '*No such file*' ls "$SHARE_DIR/$D"

# --- the owner record ---
storectl() { on_hv1 "$BUILD/tests/storectl" "$WORK" record "$@"; }
if [[ -x $BUILD/tests/storectl ]]; then
    ask mkdir .drover/owners >/dev/null
    expect "no record yet" 'not-found: *' on_hv1 "$PEEK" "$STORE" "$HELPER" "$VM"
    expect "a drover-store starts for the record" '' storectl start \
        "program=$BUILD/bin/drover-store" "ccache=FILE:$WORK/hv1.cc" \
        "record=$STORE/.drover/owners/$VM" stall=60
    expect "it holds the record" '' storectl hold-record create
    expect "and writes it" '' storectl write stopped 1 "$VM"
    expect "the record is seen held" 'stopped epoch=1 host=* held' \
        on_hv1 "$PEEK" "$STORE" "$HELPER" "$VM"
    expect "and cannot be opened for writing" '*"busy"*' ask probe_open_rw ".drover/owners/$VM"
    echo "{\"op\":\"copy\",\"path\":\".drover/owners/$VM\",\"to\":\"x\"}" >"$OPS"
    expect "nor copied" '*"busy"*' asks "$OPS"
    echo '{"op":"rename","path":".drover/owners","to":".drover/gone"}' >"$OPS"
    expect "nor moved with its folder" '*"denied"*' asks "$OPS"
    expect "it lets go" '' storectl release-record
    expect "the record is seen unheld" 'stopped epoch=1 host=* unheld' \
        on_hv1 "$PEEK" "$STORE" "$HELPER" "$VM"
fi
test_result
