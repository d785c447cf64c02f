#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# debian.sh BUILD_DIR: Debian's own kernel and systemd, from packages, as a guest on the share, with a second disk and a second
# network card: seen on the serial line and the screen, moved both ways, kept over agents that restart and over a shutdown and
# boot of the host; nothing that it was told is safe is lost. Makes the guest's disk first (tests/guest/build-debian), and skips
# where it cannot. SCREENSHOTS=FOLDER keeps the pictures. Emulated, it takes some minutes.
# shellcheck disable=SC2016  # commands for the guest's shell
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: debian.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

VM=debian-$$ IPS=(10.83.0.154 10.83.0.155) CONSOLE='' VNC=''

cleanup() {
    [[ -z $CONSOLE ]] || kill "$CONSOLE"
    [[ -z $VNC ]] || kill "$VNC"
    lab svc hv1 droverd start
    lab svc hv2 droverd start
    vm_remove "$VM" hv1 || vm_remove "$VM" hv2
    rm -f "$LAB/hv1/images/$VM.import.raw"
}

typed() { printf '%s\r' "$1" >"$WORK/in"; }
# What the shell shows, without its terminal's codes.
text() { sed 's/\x1b\[[?0-9;]*[a-zA-Z]//g' "$WORK/out" | tr -d '\r'; }
shown() { text | grep -- "$1" >/dev/null; }
connected() { [[ $(grep -c "connected again" "$WORK/err") -ge $1 ]]; } # TIMES
runs() { [[ $(vm_state "$VM" hv1) == running ]]; }
crashed() { [[ $(vm_field "$VM" hv1 .why) == *"system has crashed (panic)"* ]]; }
pings() { lab exec admin -- ping -c 1 -W 1 "$1"; }
# asked TEXT COMMAND PATTERN: a command at the guest's shell, and a line that it shows.
asked() {
    : >"$WORK/out" # appended to by the console
    typed "$2"
    if wait_until 60 shown "$3"; then
        good "$1"
    else
        bad "$1: $(tail -n 3 "$WORK/out")"
    fi
}

log_on() {
    typed ""
    wait_until "$1" shown "login:" && typed root && wait_until 60 shown "root@guest"
}

# screen HOST NAME: a picture of it; true when there is text on it.
screen() {
    local seen
    drover_as alice "$1" --plain vm vnc "$VM" >"$WORK/vnc" 2>"$WORK/vnc.err" &
    VNC=$!
    wait_until 10 grep -q 127.0.0.1 "$WORK/vnc" &&
        seen=$(lab exec admin --user alice -- python3 "$HERE/vncshot" "$(cut -f2 "$WORK/vnc")" "/tmp/$VM.png")
    lab exec admin -- cat "/tmp/$VM.png" >"$WORK/$2.png"
    lab exec admin -- rm -f "/tmp/$VM.png"
    kill "$VNC"
    VNC=
    [[ -z ${SCREENSHOTS:-} ]] || cp "$WORK/$2.png" "$SCREENSHOTS/"
    [[ $seen =~ ^[0-9]+x[0-9]+\ ([0-9]+)\ ([0-9]+)$ ]] && ((BASH_REMATCH[1] > 1 && BASH_REMATCH[2] > 300))
}

everywhere() { # HOST WHEN
    for ip in "${IPS[@]}"; do
        need "it answers at $ip $2" wait_until 60 pings "$ip"
    done
    asked "its shell answers $2" 'echo a$((40 + 2))b; uname -v' "^a42b"
    asked "its second disk is there $2" 'mountpoint /data && echo c$((1 + 1))d' "^c2d"
    need "its screen shows text $2" screen "$1" "$1"
}

test_begin
command -v debootstrap mke2fs python3 >/dev/null || exit 77
"$LAB_CHECKOUT/tests/guest/build-debian" "$DROVER_BUILD" >"$WORK/build" 2>&1 || {
    tail -n 3 "$WORK/build"
    exit 77
}
cp --sparse=always "$DROVER_BUILD/guest/debian.raw" "$LAB/hv1/images/$VM.import.raw"
need "a VM" drover_as erin hv1 --quiet vm create "$VM" --store "$STORE" --memory 512M --cpu qemu64 --accel tcg \
    --disk "import=$LAB/hv1/images/$VM.import.raw" --disk 64M --nic "$BRIDGE" --nic "$BRIDGE"
need "autostart" drover_as erin hv1 --quiet vm set "$VM" autostart=on
need "it starts" drover_on hv1 --quiet vm start "$VM"
mkfifo "$WORK/in"
drover_as alice hv1 vm console "$VM" <>"$WORK/in" >>"$WORK/out" 2>"$WORK/err" &
CONSOLE=$!
need "it boots, and root logs on at its serial line" log_on 300
everywhere hv1 "on hv1"
asked "it is Debian's kernel" "uname -r; cat /etc/debian_version" "^12\."
asked "both disks are there" "lsblk -dno NAME,SIZE" "vdb *64M"

need "it moves to hv2" move "$VM" hv1 hv2
need "the console goes with it" wait_until 60 connected 1
everywhere hv2 "on hv2"
need "and back, with its disks on hv1's own" move "$VM" hv2 hv1 --storage "$LOCAL"
need "with the console" wait_until 60 connected 2
everywhere hv1 "back on hv1"
need "and its disks to the share" drover_on hv1 --quiet move-storage "$VM" --storage "$STORE"

lab svc hv1 droverd stop
lab svc hv1 droverd start
need "the console finds the new agent" wait_until 60 connected 3
everywhere hv1 "with another agent"
asked "it has been up all the time" 'cut -d" " -f2 /data/log | sort -u | wc -l | sed s/^/boots=/' "^boots=1$"
asked "what it wrote" 'tail -n 1 /data/log | sed s/^/last=/' "^last=[0-9]"
LAST=$(text | sed -n 's/^last=\([0-9]*\) .*/\1/p' | tail -n 1)

drover_on hv1 --json host shutdown-guests >"$WORK/ends" 2>&1
is "the host shuts down: status" $? 0
is "by its power button" "$(jq -r .end "$WORK/ends")" off
like "as its log says" "$(drover_on hv1 vm log "$VM")" "*the guest has shut itself down*"
need "the host goes down" host_down hv1
need "and boots" host_boot hv1
need "the VM starts with it" wait_until 30 runs
: >"$WORK/out" # the console of before has ended with its VM
drover_as alice hv1 vm console "$VM" <>"$WORK/in" >>"$WORK/out" 2>>"$WORK/err" &
CONSOLE=$!
need "the guest is back" log_on 300
everywhere hv1 "after the boot"
asked "no line is missing" 'awk "{ if (\$1 != NR) bad++ } END { print \"gaps=\" bad + 0, \"lines=\" NR }" /data/log' "^gaps=0 "
LINES_NOW=$(text | sed -n 's/^gaps=0 lines=\([0-9]*\)$/\1/p' | tail -n 1)
below "the last line of before is there: line" "$LAST - 1" "${LINES_NOW:-0}"
asked "it had shut down cleanly" 'dmesg | grep -c "recovery complete" | sed s/^/dirty=/' "^dirty=0$"

typed 'echo c >/proc/sysrq-trigger'
need "when its kernel crashes, the list says so" wait_until 60 crashed

test_result
