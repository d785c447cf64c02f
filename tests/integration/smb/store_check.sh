#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# store_check.sh BUILD_DIR: `drover store check` on the lab that is up. The packaged settings pass; a server that
# renames folders under open files is found out (S22). Nothing is left on the share.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
BUILD=${1:?usage: store_check.sh BUILD_DIR}
LAB_CHECKOUT=$HERE/../../..
# shellcheck source=tests/lab/lab.conf
. "$LAB_CHECKOUT/tests/lab/lab.conf"
lab() { "$LAB_CHECKOUT/tests/lab/lab" "$@"; }
lab exec fs -- true 2>/dev/null || exit 77

CONF=$LAB/fs/etc/smb.conf
KEPT=$(mktemp)
FAILED=0

check() { lab exec admin --user erin -- "$BUILD/bin/drover" -H "hv1.$DOMAIN" --plain store check "$1"; }
# What the checks make, wherever they make it; agents may write other things meanwhile.
made() { find "$LAB/fs/share" -name 'check-*' -o -name 'probe-*' -o -name '*.tmp'; }
restart() {
    lab svc fs smbd stop
    lab svc fs smbd start
}
restore() {
    cmp -s "$KEPT" "$CONF" && return
    cp "$KEPT" "$CONF"
    restart
}
# expect TEXT PATTERN OUTPUT
expect() {
    # shellcheck disable=SC2053 # a pattern
    if [[ $3 == $2 ]]; then
        echo "ok   $1"
    else
        echo "FAIL $1: $3"
        FAILED=$((FAILED + 1))
    fi
}

cp "$CONF" "$KEPT"
trap 'restore; rm -f "$KEPT"' EXIT

out=$(check VM)
expect "the packaged settings pass" '0' "$?"
for id in S12 S03 S15 S22 S19; do
    expect "$id is in order" "*"$'\n'"ok"$'\t'"$id"$'\t'"*" $'\n'"$out"
done
expect "what cannot be seen is said" $'*\ninfo\tS20\t*5 to 6 s*' $'\n'"$out"
expect "nothing is left" '' "$(made)"

sed -i '/include = .*drover-share/a\    strict rename = no' "$CONF"
restart
out=$(check VM)
expect "a server that moves folders under open files is refused" '3' "$?"
expect "by S22" $'*\nerror\tS22\t*' $'\n'"$out"
expect "nothing is left" '' "$(made)"
restore

expect "a local folder passes" $'*\nok\tS21\t*' $'\n'"$(check local)"
[[ $FAILED == 0 ]]
