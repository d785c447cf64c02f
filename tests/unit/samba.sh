#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Samba takes the two files of packaging/samba without complaint, they say what drover relies on, no setting is
# without a reason above it, and README, docs and lab refer to them.
set -u -o pipefail

cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1
command -v testparm >/dev/null || exit 77
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
FAILED=0

say() {
    echo "$*"
    FAILED=1
}

mkdir "$WORK"/{lock,state,cache}
cat >"$WORK/smb.conf" <<EOF
[global]
    lock directory = $WORK/lock
    state directory = $WORK/state
    cache directory = $WORK/cache
    include = $PWD/packaging/samba/drover-global.conf
[VM]
    path = $WORK
    include = $PWD/packaging/samba/drover-share.conf
[office]
    path = $WORK
EOF
out=$(testparm -sv "$WORK/smb.conf" 2>"$WORK/said") || say "testparm failed: $(cat "$WORK/said")"
grep -iE 'unknown|ignor|invalid|found in service' "$WORK/said" && say "testparm complains"

# section NAME: what testparm makes of it.
section() { awk -v s="[$1]" '/^\[/ { on = $0 == s } on' <<<"$out"; }
wants() { section "$1" | grep -iE "^[[:space:]]*$2\$" >/dev/null || say "[$1] lacks: $2"; }

wants global 'server min protocol = SMB3(_11)?'
wants global 'server smb encrypt = required'
wants global 'winbind offline logon = yes'
wants global 'server signing = (required|mandatory)'
wants global 'server smb3 encryption algorithms = AES-128-GCM, AES-256-GCM'
wants global 'server multi channel support = no'
wants global 'ntlm auth = disabled'
wants global 'gensec:ntlmssp = no'
wants global 'socket options = .*TCP_KEEPIDLE=2 TCP_KEEPINTVL=1 TCP_KEEPCNT=3 TCP_USER_TIMEOUT=5000'
wants VM 'vfs objects = syncops acl_xattr'
wants VM 'acl_xattr:default acl style = windows'
wants VM 'strict rename = yes'
wants VM 'oplocks = no'
wants VM 'level2 oplocks = no'
wants VM 'durable handles = no'
# These are defaults today; testparm prints a share's settings only where they differ.
for setting in 'strict sync = yes' 'strict allocate = no' 'guest ok = no' 'store dos attributes = yes'; do
    grep -qx "    $setting" packaging/samba/drover-share.conf || say "drover-share.conf lacks: $setting"
done
grep -h '^[^#]*sync always' packaging/samba/*.conf && say "sync always is drover's no more"
section office | grep -i 'strict rename = yes\|oplocks = no' >/dev/null && say "the other shares are touched"

# A setting follows a comment, or another setting of that comment's.
awk '/^ *#/ { reason = 1 } /^$/ { reason = 0 } /^ *[a-z].*=/ && !reason && !/read only|guest ok/ { print FILENAME ": " $0; bad = 1 } END { exit bad }' \
    packaging/samba/*.conf || say "settings without a reason"

for name in drover-global.conf drover-share.conf; do
    for file in README.md docs/FILESERVER.md tests/lab/conf/fs.smb.conf; do
        grep -q "$name" $file || say "$file does not mention $name"
    done
done
exit $FAILED
