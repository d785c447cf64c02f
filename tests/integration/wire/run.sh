#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2317  # functions are called through expect and trap
# run.sh BUILD_DIR: the wire on the lab that is up: log-ons, roles, refusals, a user passed on from one
# agent to another, and clients that send what they should not.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: run.sh BUILD_DIR}
BUILD=$DROVER_BUILD
TOOL=$(readlink -f "$BUILD/tests/wiretool")
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"
lab exec dc -- true 2>/dev/null || exit 77

WORK=$(mktemp -d)
chmod 755 "$WORK"
PORT=4490
ROLES='admin=VM Admins,operator=VM Operators,viewer=VM Viewers,hosts=VM Hosts'
H1=hv1.$DOMAIN
H2=hv2.$DOMAIN
SERVERS=()

# serve NODE HOST PORT KEYTAB: a server that ends when descriptor `hold` is closed.
serve() {
    local node=$1 host=$2 port=$3 keytab=$4 log=$WORK/$1.$3.log
    lab exec "$node" -- "$TOOL" serve "$keytab" "$WORK/$node.$port.cc" "$host.$DOMAIN" 0.0.0.0 "$port" \
        "$ROLES" "$WORK/$node.$port.sock" <"$WORK/hold" >"$log" 2>"$log.err" 9>&- &
    SERVERS+=($!)
    for _ in {1..100}; do
        grep -q ready "$log" 2>/dev/null && return
        sleep 0.1
    done
    echo "no server on $node:"
    cat "$log" "$log.err"
    exit 1
}

finish() {
    exec 9>&-
    wait "${SERVERS[@]}"
    rm -rf "$WORK"
}

as() { # USER CMD...
    local user=$1
    shift
    lab exec admin --user "$user" -- "$@"
}

mkfifo "$WORK/hold"
exec 9<>"$WORK/hold"
trap finish EXIT
K=$LAB/keytabs
serve hv1 hv1 "$PORT" "$K/hv1.keytab"
serve hv2 hv2 "$PORT" "$K/hv2.keytab"
serve hv1 hv1 $((PORT + 1)) "$K/hv2.keytab"     # the wrong account's key
serve hv1 hv1 $((PORT + 2)) "$WORK/none.keytab" # no keytab at all

expect "alice logs on and may operate" '"alice@DROVER.TEST"' as alice "$TOOL" call "$H1" $PORT operate
expect "whoami tells user and role" '*"kerberos":true*"role":"operator","user":"alice@DROVER.TEST","via":"tcp"*' \
    as alice "$TOOL" call "$H1" $PORT auth.whoami
expect "val may look" '"val@DROVER.TEST"' as val "$TOOL" call "$H1" $PORT view
expect "val may not operate" 'denied A02 *operator*viewer*' as val "$TOOL" call "$H1" $PORT operate
expect "bob has no role" 'denied A01 *bob@DROVER.TEST has none*' as bob "$TOOL" call "$H1" $PORT view
expect "alice is no host" 'denied A04 *' as alice "$TOOL" call "$H1" $PORT peer.inner
expect "both ends derive the same key" 'same key' as alice "$TOOL" prf "$H1" $PORT
expect "without a ticket: kinit" 'denied K01 *kinit USER*' \
    lab exec admin -- env KRB5CCNAME=FILE:/nonexistent "$TOOL" call "$H1" $PORT view
expect "by address: no such service" 'denied K05 *spn add*' as alice "$TOOL" call "${LAN_IP[hv1]}" $PORT view
expect "another account's keytab is told as such" 'denied K06 *' as alice "$TOOL" call "$H1" $((PORT + 1)) view
expect "a missing keytab is told by the agent" 'denied K06 *keytab*' as alice "$TOOL" call "$H1" $((PORT + 2)) view
expect "nobody listens" 'denied - *Connection refused | is droverd running*' as alice "$TOOL" call "$H1" 4999 view

expect "alice passed on to hv2 by hv1" \
    '{"by":"HV1$@DROVER.TEST","host":"HV1$@DROVER.TEST","role":"operator","target":"drover/hv2.drover.test","user":"alice@DROVER.TEST"}' \
    as alice "$TOOL" call "$H1" $PORT relay "{\"host\":\"$H2\",\"port\":$PORT}"
expect "dave (Protected Users) is not passed on" 'denied *' \
    as dave "$TOOL" call "$H1" $PORT relay "{\"host\":\"$H2\",\"port\":$PORT}"

expect "root on the socket is admin" '"root"' lab exec hv1 -- "$TOOL" local "$WORK/hv1.$PORT.sock" - operate
expect "root needs a ticket to move" 'denied K01 *kinit*' lab exec hv1 -- "$TOOL" local "$WORK/hv1.$PORT.sock" - move
expect "alice logs on over the socket" '"alice@DROVER.TEST"' \
    lab exec hv1 --user alice -- "$TOOL" local "$WORK/hv1.$PORT.sock" "$H1" move

expect "garbage for a token" 'clear {"error":*}*closed' as alice "$TOOL" garbage "$H1" $PORT
expect "half a token" '*closed' as alice "$TOOL" short "$H1" $PORT
expect "an oversized frame" 'clear *frame of 2147483647 bytes*closed' as alice "$TOOL" oversized "$H1" $PORT
expect "an empty frame" 'clear *frame of 0 bytes*closed' as alice "$TOOL" empty "$H1" $PORT
expect "a token that somebody has used" 'token of *closed' as alice "$TOOL" again "$H1" $PORT
expect "…is told as a replay" '*Request is a replay*' grep "Request is a replay" "$WORK/hv1.$PORT.log.err"
expect "a tampered message" 'sealed {"error":*}*closed' as alice "$TOOL" tampered "$H1" $PORT
expect "a replayed message" '*{"error":*}*closed' as alice "$TOOL" replayed "$H1" $PORT
expect "a request in clear" 'sealed {"error":*}*closed' as alice "$TOOL" clear "$H1" $PORT
expect "a forwarded ticket-granting ticket" '*D13*closed' as alice "$TOOL" forward "$H1" $PORT
expect "the agent lives" '"alice@DROVER.TEST"' as alice "$TOOL" call "$H1" $PORT operate

# One address that connects and never logs on: it is turned away, others are not.
# shellcheck disable=SC2016 # for the inner shell
lab exec hv2 -- bash -c 'for _ in {1..40}; do exec {fd}<>"/dev/tcp/$1/$2"; done; echo held; read -r' flood "$H1" $PORT \
    <"$WORK/hold" >"$WORK/flood" 9>&- &
FLOOD=$!
for _ in {1..100}; do grep -q held "$WORK/flood" && break; sleep 0.1; done
expect "somebody floods hv1 from hv2: hv2 is turned away" 'denied - *from this address*' \
    lab exec hv2 --user alice -- "$TOOL" call "$H1" $PORT view
expect "…and alice's desk is not" '"alice@DROVER.TEST"' as alice "$TOOL" call "$H1" $PORT view
expect "…which is logged once" 1 grep -c 'session.turned_away.*from this address' "$WORK/hv1.$PORT.log.err"
kill "$FLOOD"

# A clock that went wrong after kinit. (Before it, and on a host, the ticket cache keeps the offset to the
# domain controller's clock and nothing fails.)
FAKETIME_LIB=/usr/lib/$(uname -m)-linux-gnu/faketime/libfaketimeMT.so.1
expect "a clock that is 10 minutes off" 'denied T01 *' as alice env "LD_PRELOAD=$FAKETIME_LIB" \
    ASAN_OPTIONS=verify_asan_link_order=0 FAKETIME=+600 FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1 "$TOOL" call "$H1" "$PORT" view

test_result
