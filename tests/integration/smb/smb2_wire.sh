#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# smb2_wire.sh BUILD_DIR: each request of drover's SMB client against the lab's smbd, with each cipher and each
# way to sign that it knows, while tshark listens: Wireshark, with the sessions' keys, finds no packet malformed
# and none that it cannot read.
# shellcheck disable=SC2317  # functions are called through need
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: smb2_wire.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

CONF=$LAB/fs/etc/smb.conf
FILE=smb://fs.$DOMAIN/$SHARE/wire-$$
CAPTURE='' # its process

restart() {
    lab svc fs smbd stop
    lab svc fs smbd start
}

cleanup() {
    [[ -z $CAPTURE ]] || kill "$CAPTURE"
    cp "$WORK/smb.conf" "$CONF"
    restart
}

# serve_with CIPHER SIGNING [off]: smbd knows only these, and does not demand encryption.
serve_with() {
    cp "$WORK/smb.conf" "$CONF"
    sed -i "/include = .*drover-global/a\    server smb3 encryption algorithms = $1\n    server smb3 signing algorithms = $2" "$CONF"
    [[ -z ${3-} ]] || sed -i '/^    include = .*drover-/a\    server smb encrypt = default' "$CONF"
    restart
}

capture_begin() {
    rm -f "$WORK/tcpdump.log"
    ip netns exec "${NS_PREFIX}fs" tcpdump -n -i eth0 -s 0 -B 65536 -U --immediate-mode -w "$WORK/capture" "tcp port 445 and host ${LAN_IP[admin]}" 2>"$WORK/tcpdump.log" &
    CAPTURE=$!
    wait_until 5 grep -q listening "$WORK/tcpdump.log"
}

capture_end() {
    sleep 0.3
    kill -INT "$CAPTURE"
    wait "$CAPTURE"
    CAPTURE=''
}

# read_with_keys ARGUMENT...: tshark on what was captured.
read_with_keys() {
    local keys=() line
    while read -r line; do keys+=(-o "uat:smb2_seskey_list:$line"); done <"$WORK/keys"
    tshark -r "$WORK/capture" -o tcp.reassemble_out_of_order:TRUE "${keys[@]}" "$@" 2>"$WORK/tshark.err" || cat "$WORK/tshark.err"
}
seen() { read_with_keys -Y "$1" | wc -l; }
commands() { read_with_keys -Y smb2 -T fields -e smb2.cmd | tr ',' '\n' | sort -nu | grep -vx 12 | xargs; }

# one CIPHER SIGNING WHAT_IS_AGREED [--no-encryption]
one() {
    local agreed
    rm -f "$WORK/keys"
    need "$3: listening" capture_begin
    agreed=$(lab exec admin --user erin -- env DROVER_SMB_KEYLOG="$WORK/keys" \
        "$DROVER_BUILD/tests/smb2_wire" "$FILE" ${4+"$4"} 2>"$WORK/err") || bad "$3: $(cat "$WORK/err")"
    capture_end
    is "agreed" "$agreed" "$3"
    is "malformed packets" "$(seen _ws.malformed)" 0
    is "packets that cannot be decrypted" "$(seen 'smb2.header.transform.msg_size && !smb2.cmd')" 0
    [[ ${4+x} ]] || is "in clear, after the logon" "$(seen 'smb2.cmd > 1 && !smb2.header.transform.msg_size')" 0
    # NEGOTIATE, SESSION_SETUP, TREE_CONNECT, CREATE to WRITE, IOCTL, ECHO, QUERY_INFO, SET_INFO; CANCEL (12) is
    # sent only if smbd is slow enough.
    is "commands" "$(commands)" "0 1 3 5 6 7 8 9 11 13 16 17"
}

test_begin
chmod 777 "$WORK"
cp "$CONF" "$WORK/smb.conf"
serve_with AES-128-GCM AES-128-GMAC
one AES-128-GCM AES-128-GMAC "AES-128-GCM AES-128-GMAC"
serve_with AES-256-GCM AES-128-CMAC
one AES-256-GCM AES-128-CMAC "AES-256-GCM AES-128-CMAC"
serve_with AES-128-GCM AES-128-CMAC off
one AES-128-GCM AES-128-CMAC " AES-128-CMAC" --no-encryption
serve_with AES-128-GCM AES-128-GMAC off
one AES-128-GCM AES-128-GMAC " AES-128-GMAC" --no-encryption
is "nothing is left on the share" "$(find "$LAB/fs/share" -name 'wire-*')" ""
test_result
