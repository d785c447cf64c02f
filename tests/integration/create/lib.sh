# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# What tests with guests that speak on their serial port alone share: see mkdisc. Sourced after ../lib.sh; UUID is the VM's.

# hears HOST TEXT: does the guest say a line with TEXT now?
hears() {
    timeout 5 python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
for line in s.makefile("r", errors="replace"):
    if sys.argv[2] in line:
        sys.exit(0)
sys.exit(1)' "$LAB/$1/run/drover/vm/$UUID/qemu/serial.sock" "$2"
}

# says HOST TEXT [WHEN]
says() {
    if wait_until 30 hears "$1" "$2"; then
        good "the guest on $1 says \"$2\"${3:+ $3}"
    else
        bad "the guest on $1 does not say \"$2\"${3:+ $3}"
    fi
}

# discs_on_stores FOLDER NAME=TEXT...: discs in a folder of the share, brought there as an admin would, and of hv1's
# local store.
discs_on_stores() {
    local folder=$1 one
    shift
    mkdir "$WORK/$folder" "$LAB/hv1/images/$folder" || return
    for one; do
        "$LAB_CHECKOUT/tests/integration/create/mkdisc" "$WORK/$folder/${one%%=*}.iso" "${one#*=}" || return
    done
    cp "$WORK/$folder"/* "$LAB/hv1/images/$folder/" && chmod -R a+rX "$LAB/hv1/images/$folder" "$WORK/$folder" &&
        lab exec admin --user erin -- smbclient -N -s "$LAB/etc/smb-client.conf" --use-kerberos=required "//fs.$DOMAIN/$SHARE" \
            -c "prompt off; mkdir $folder; cd $folder; lcd $WORK/$folder; mput *"
}
