#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# store_check.sh BUILD_DIR: `drover store check` on the lab that is up. The packaged settings pass; a server that
# renames folders under open files is found out (S22). Nothing is left on the share.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: store_check.sh BUILD_DIR}
BUILD=$DROVER_BUILD
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"
lab exec fs -- true 2>/dev/null || exit 77

CONF=$LAB/fs/etc/smb.conf
KEPT=$(mktemp)

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

cp "$CONF" "$KEPT"
trap 'restore; rm -f "$KEPT"' EXIT

out=$(check VM)
like "the packaged settings pass" "$?" '0'
for id in S12 S03 S15 S22 S19; do
    like "$id is in order" $'\n'"$out" "*"$'\n'"ok"$'\t'"$id"$'\t'"*"
done
like "what cannot be seen is said" $'\n'"$out" $'*\ninfo\tS20\t*5 to 6 s*'
like "nothing is left" "$(made)" ''

sed -i '/include = .*drover-share/a\    strict rename = no' "$CONF"
restart
out=$(check VM)
like "a server that moves folders under open files is refused" "$?" '3'
like "by S22" $'\n'"$out" $'*\nerror\tS22\t*'
like "nothing is left" "$(made)" ''
restore

like "a local folder passes" $'\n'"$(check local)" $'*\nok\tS21\t*'
test_result
