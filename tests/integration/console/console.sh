#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# console.sh BUILD_DIR: a VM's serial line and screen reach those who may see them, and nobody else; two
# consoles stay attached over a move and an agent's restart; a screen's viewer is told where the VM went and
# gets it at the same port; the terminal is as before on every way out; QEMU listens on no port.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: console.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

VM=console-$$ IP=10.83.0.131
CONSOLES=()
VNC=

cleanup() {
    local pid
    for pid in "${CONSOLES[@]}" $VNC; do
        kill "$pid" 2>/dev/null
    done
    lab svc hv1 droverd start
    lab svc hv2 droverd start
    vm_remove "$VM" hv1 || vm_remove "$VM" hv2
}

# console N HOST: attached as alice, what it shows in $WORK/out.N, what is written to $WORK/in.N is typed.
console() {
    mkfifo "$WORK/in.$1"
    drover_as alice "$2" vm console "$VM" <>"$WORK/in.$1" >"$WORK/out.$1" 2>"$WORK/err.$1" &
    CONSOLES+=($!)
    wait_until 10 grep -q "serial line" "$WORK/err.$1"
}

# typed N WORD: on console N; the guest's terminal echoes it to all.
typed() { printf '%s\r' "$2" >"$WORK/in.$1"; }
shown() { wait_until 15 grep -q "$2" "$WORK/out.$1"; } # N WORD

# connected N COUNT: console N has found its VM again so often.
connected() { [[ $(grep -c "connected again" "$WORK/err.$1") -ge $2 ]]; }

# everywhere TEXT WORD: typed on one, shown on both.
everywhere() {
    typed 1 "$2"
    need "$1: on the console it was typed at" shown 1 "$2"
    need "$1: on the other" shown 2 "$2"
}

# rfb PORT: width and height of a screen, as a VNC viewer learns them (RFC 6143, sections 7.1 to 7.3).
rfb() {
    # shellcheck disable=SC2016 # for the inner shell
    lab exec admin --user alice -- timeout 20 bash -c '
        set -e
        exec 3<>"/dev/tcp/127.0.0.1/$1"
        [[ $(head -c 12 <&3) == "RFB 003.008" ]]
        printf "RFB 003.008\n" >&3
        n=$(head -c 1 <&3 | od -An -tu1)
        head -c $n <&3 >/dev/null
        printf "\001" >&3
        [[ $(head -c 4 <&3 | od -An -tx4 | tr -d " ") == 00000000 ]]
        printf "\001" >&3
        head -c 4 <&3 | od -An -tu2 --endian=big | tr -s " " " "
        printf "\003\000\000\000\000\000\002\000\001\000" >&3
        head -c 4096 <&3 | wc -c' rfb "$1"
}

# tcp_listeners HOST: ports that QEMU listens on there.
tcp_listeners() { lab exec "$1" -- ss -ltnpH | grep -c qemu; }

test_begin
need "VM made" vm_create "$VM" $IP hv1 "$STORE" --graphics vnc
need "VM started" vm_start "$VM" hv1 $IP

# --- who may ---
drover_as val hv1 vm console "$VM" </dev/null >"$WORK/out" 2>&1
is "a viewer gets no console: status" $? 4
like "a viewer gets no console" "$(cat "$WORK/out")" "*needs the role operator*"
drover_as val hv1 vm vnc "$VM" </dev/null >"$WORK/out" 2>&1
is "a viewer gets no screen: status" $? 4
drover_as alice hv1 vm console none-$$ </dev/null >"$WORK/out" 2>&1
is "no such VM: status" $? 1
like "who asked is in the audit" "$(drover_on hv1 --plain audit)" "*vm.console*"

# --- serial line ---
need "first console" console 1 hv1
need "second console" console 2 hv1
everywhere "a word" alpha
is "ports that QEMU listens on" "$(tcp_listeners hv1)" 0

need "a move" move "$VM" hv1 hv2
need "the first is connected again" wait_until 30 connected 1 1
need "the second is connected again" wait_until 30 connected 2 1
like "it says where the VM went" "$(cat "$WORK/err.1")" "*has moved to hv2.*"
everywhere "after the move" bravo

lab svc hv2 droverd kill
need "a new agent" lab svc hv2 droverd start
need "the first is connected to it" wait_until 40 connected 1 2
need "the second is connected to it" wait_until 40 connected 2 2
everywhere "after an agent's restart" charlie

printf '\035' >"$WORK/in.2"
need "Ctrl-] leaves" wait_until 5 sh -c "! kill -0 ${CONSOLES[1]}"
typed 1 delta
need "the other stays" shown 1 delta

# --- the terminal ---
signal() { kill -"$1" "$(cat "$WORK/tty.pid")"; }

# left TEXT COMMAND: alice's terminal before and after a console that the command ends.
left() {
    cat >"$WORK/tty.sh" <<END
stty -g >$WORK/tty.before
sh -c 'echo \$\$ >$WORK/tty.pid; exec drover -H hv2.$DOMAIN vm console $VM'
stty -g >$WORK/tty.after
END
    { sleep 3 && eval "$2" && sleep 2; } | lab exec admin --user alice -- \
        timeout 30 script -qec "sh $WORK/tty.sh" /dev/null >"$WORK/tty.out" 2>&1
    like "$1: it was a console" "$(tr -d '\r\n' <"$WORK/tty.out")" "*Ctrl-] leaves*"
    is "$1: the terminal is as before" "$(cat "$WORK/tty.after")" "$(cat "$WORK/tty.before")"
    rm -f "$WORK"/tty.*
}
chmod 777 "$WORK"
left "Ctrl-]" "printf '\\035'"
left "SIGTERM" "signal TERM"
left "SIGHUP" "signal HUP"

# --- screen ---
drover_as alice hv2 --plain vm vnc "$VM" >"$WORK/vnc" 2>"$WORK/vnc.err" &
VNC=$!
need "a port for the screen" wait_until 10 grep -q 127.0.0.1 "$WORK/vnc"
PORT=$(cut -f2 "$WORK/vnc")
like "a viewer gets the screen" "$(rfb "$PORT" 2>&1 | tr '\n' ' ')" " [1-9]*00 4096 "
# shellcheck disable=SC2016 # for the inner shell
is "another user of the viewer's computer gets nothing" \
    "$(lab exec admin -- setpriv --reuid nobody --clear-groups timeout 10 bash -c 'head -c 12 <"/dev/tcp/127.0.0.1/$1"' other "$PORT" 2>&1)" ""
like "and is told of" "$(cat "$WORK/vnc.err")" "*turned a viewer of another user away*"
# shellcheck disable=SC2016 # for the inner shell
lab exec admin --user alice -- bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && head -c 12 <&3 && cat <&3' viewer "$PORT" >"$WORK/viewer" &
VIEWER=$!
CONSOLES+=("$VIEWER")
need "a viewer that looks during a move" wait_until 10 grep -q RFB "$WORK/viewer"
need "a move back" move "$VM" hv2 hv1
need "its connection ends" wait_until 10 sh -c "! kill -0 $VIEWER"
like "it is told where the VM went" "$(cat "$WORK/vnc.err")" "*has moved to hv1.$DOMAIN; connect the viewer to 127.0.0.1:$PORT again*"
like "and gets it at the same port afterwards" "$(rfb "$PORT" 2>&1 | tr '\n' ' ')" " [1-9]*00 4096 "
test_result
