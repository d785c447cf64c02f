# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# What tests on the lab share: commands in nodes, VMs with the test guest, a client that
# watches one, moves, expectations, and a look at what was left behind. Sourced, also by quickstart.
# The lab is that of $DROVER_LAB_DIR, the programs those of $DROVER_BUILD.

LAB_CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export DROVER_BUILD=${DROVER_BUILD:-$LAB_CHECKOUT/build}
# shellcheck source=tests/lab/lab.conf
. "$LAB_CHECKOUT/tests/lab/lab.conf"

STORE=VM                 # the share, on both hosts
LOCAL=local              # a folder of each host
BRIDGE=br0
WORK=                    # temporary folder of a test, see test_begin
WATCHER=                 # process of the client that watches, WATCHED its files
RESULT=                  # last line of the last `move`: the result object, or an error
FAILED=0                 # expectations that were not met

# --- commands ---

lab() { "$LAB_CHECKOUT/tests/lab/lab" "$@"; }

# drover_as USER HOST ARGUMENT...: from the admin's desk, over the network.
drover_as() {
    local user=$1 host=$2
    shift 2
    lab exec admin --user "$user" -- drover --no-input --yes -H "$host.$DOMAIN" "$@"
}

# drover_on HOST ARGUMENT...: as root on the host's own socket.
drover_on() {
    local host=$1
    shift
    lab exec "$host" -- drover --no-input --yes "$@"
}

guest_ctl() { lab exec admin -- guest-client ctl "$@"; } # IP COMMAND...

# share_make FOLDER [FILE...]: a folder with empty files on the share, made through the server: what is put there
# behind its back has no permissions that count. May be there already; filling the files locally is fine.
share_make() {
    local folder=$1 commands="mkdir \"$1\"" file
    shift
    : >"$WORK/empty"
    for file in "$@"; do
        commands+="; put \"$WORK/empty\" \"$folder/$file\""
    done
    lab exec admin --user erin -- smbclient -N -s "$LAB/etc/smb-client.conf" --use-kerberos=required \
        "//fs.$DOMAIN/$SHARE" -c "$commands"
}

# --- VMs ---

# vm_create NAME IP HOST [STORE] [OPTION...]: a VM with the test guest, stopped. Its address is within
# 10.83.0.100 to .199.
vm_create() {
    local name=$1 ip=$2 host=$3 store=${4:-$STORE} image
    shift $(($# < 4 ? $# : 4))
    image=$LAB/$host/images/$name.import.raw
    "$LAB_CHECKOUT/tests/guest/mkimage" "$image" 128M --ip "$ip" --artefacts "$DROVER_BUILD/guest" || return
    local status=0
    drover_as erin "$host" vm create "$name" --store "$store" --memory 256M --cpu qemu64 --accel tcg --graphics none \
        --disk "import=$image" --network "$BRIDGE" "$@" || status=$?
    rm -f "$image"
    return $status
}

# vm_start NAME HOST IP: until the guest answers.
vm_start() {
    drover_as alice "$2" --quiet vm start "$1" && lab exec admin -- guest-client wait "$3" 60
}

# vm_busy IP [MEM_MIB] [DIRTY_MIB_PER_S] [RECORDS_PER_S]: a working set that is rewritten all the time and
# a disk writer. The ring is large enough to hold each record of a test.
vm_busy() {
    guest_ctl "$1" mem "${2:-64}" && guest_ctl "$1" dirty "${3:-4}" && guest_ctl "$1" disk vda "${4:-25}" 16384
}

vm_field() { drover_on "$2" --json vm show "$1" | jq -r "$3"; } # NAME HOST JQ_FILTER
vm_uuid() { vm_field "$1" "$2" .definition.uuid; }               # NAME HOST
vm_state() { drover_on "$2" --json vm list | jq -r --arg vm "$1" 'select(.name == $vm).state'; }

# vm_image NAME HOST [DISK_ID]: path of its image on this machine, wherever the store is.
vm_image() {
    vm_field "$1" "$2" ".definition.disks[] | select(.id == \"${3:-disk0}\") | .store + \" \" + .path" | {
        local store path
        read -r store path || return
        case $store in
        "$LOCAL") echo "$LAB/$2/images/$path" ;;
        *) echo "$LAB/fs/share/$path" ;;
        esac
    }
}

# vm_remove NAME HOST: whatever its state.
vm_remove() {
    [[ $(vm_state "$1" "$2") == stopped ]] || drover_on "$2" --quiet vm stop "$1" --force
    drover_on "$2" --quiet vm delete "$1"
}

# --- hosts that go down and come up ---

# vm_processes HOST: QEMUs and drover-stores there.
vm_processes() {
    local pid
    for pid in $(ip netns pids "$NS_PREFIX$1"); do
        case $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") in
        *qemu-system-*-name* | */drover-store*) echo "$pid" ;;
        esac
    done
}

no_vm_processes() { [[ -z $(vm_processes "$1") ]]; }

# host_down HOST: as if its power was cut. What a shutdown does is done before.
host_down() {
    local pids
    lab svc "$1" droverd kill
    pids=$(vm_processes "$1")
    # shellcheck disable=SC2086 # a list
    [[ -z $pids ]] || kill -KILL $pids
    wait_until 10 no_vm_processes "$1" || return
    rm -rf "${LAB:?}/$1/run/drover"
    mkdir -p "$LAB/$1/run/drover"
    cat /proc/sys/kernel/random/uuid >"$LAB/$1/boot_id"
}

# host_boot HOST: the agent starts in another boot than before.
host_boot() { lab svc "$1" droverd start; }

# --- the client that watches a guest from the admin's desk ---

# watch_begin IP FILE: until watch_end, in the background. FILE.acks logs the acknowledged records.
watch_begin() {
    "$LAB_CHECKOUT/tests/lab/lab" exec admin -- guest-client watch "$1" --until-signal --ack-log "$2.acks" \
        >"$2.json" 2>"$2.err" &
    WATCHER=$!
    WATCHED=$2
    local i
    for ((i = 0; i < 100; i++)); do
        grep -qs watching "$2.err" && return
        sleep 0.1
    done
    cat "$2.err" >&2
    return 1
}

# watch_end: its report is in FILE.json; fails if anything broke, got lost or was reordered.
watch_end() {
    local pid=$WATCHER
    WATCHER=
    kill -TERM "$pid" && wait "$pid"
}

# watched FIELD: of the report.
watched() { jq -r ".$1" "$WATCHED.json"; }

# writes_lost IMAGE ACK_LOG: counts those that the image lacks; fails if it cannot be told.
writes_lost() {
    local report
    report=$(guest_imgcheck "$1" "$2")
    jq -e '.writes_lost + .corrupt' <<<"$report"
}
guest_imgcheck() { "$DROVER_BUILD/bin/guest-imgcheck" "$1" "$2"; }

# --- moves ---

# move VM FROM TO [OPTION...]: as alice from the admin's desk; RESULT is set, the status is drover's.
# Events go to $WORK/move.events.
move() {
    local vm=$1 from=$2 to=$3 status=0
    shift 3
    drover_as alice "$from" --json move "$vm" --to "$to.$DOMAIN" "$@" >"$WORK/move.events" 2>"$WORK/move.err" || status=$?
    RESULT=$(tail -n 1 "$WORK/move.events")
    return $status
}

# result FIELD: of the last move.
result() { jq -r ".$1" <<<"$RESULT"; }

# --- what is left of a VM on a host that it has left, or never came to ---

# traces HOST UUID NAME: one line for each process, tap, run directory, image and open move.
traces() {
    local host=$1 uuid=$2 name=$3 pid
    for pid in $(ip netns pids "$NS_PREFIX$host"); do
        tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -F -- "$uuid" | cut -c1-120 | sed "s/^/process $pid: /"
    done
    taps "$host" | grep -vxF -f "$WORK/taps.$host" | sed 's/^/tap: /'
    find "$LAB/$host/run/drover" -path "*$uuid*" -printf 'run: %P\n'
    find "$LAB/$host/images" -mindepth 1 -path "*$name*" ! -name '*.kept-*' -printf 'image: %P\n'
    drover_on "$host" --json jobs --active | jq -r '"move: \(.move) \(.state) \(.phase)"'
    drover_on "$host" --json vm list | jq -r --arg vm "$name" 'select(.name == $vm) | "vm: \(.state)"'
}

# footprint NAME UUID: all that a move of this VM would change: both hosts, the share's files of it and their
# times, the record. The guest must write nothing: then not even times change.
footprint() {
    local host
    for host in hv1 hv2; do
        # What the agent does by itself, now and then, is no change.
        drover_on "$host" --json vm list | jq -cS 'if .busy == "being looked after" then .busy = "" else . end'
        drover_on "$host" --json jobs --active
        ip -n "$NS_PREFIX$host" -br link show type tun
        find "$LAB/$host/images" "$LAB/$host/run/drover" -mindepth 1 ! -name '*.ccache*' | sort
    done
    find "$LAB/fs/share" -path "*$1*" -printf '%P %s %T@\n' -o -name "$2" -printf '%P %s\n' | sort
}

taps() { ip -n "$NS_PREFIX$1" -br link show type tun | cut -d' ' -f1; }

# --- expectations ---

# test_begin: skip without a lab (77); a work folder that goes at the end. A test that makes VMs
# defines `cleanup`.
test_begin() {
    lab exec dc -- true 2>/dev/null || exit 77
    WORK=$(mktemp -d)
    chmod 755 "$WORK"
    taps hv1 >"$WORK/taps.hv1" # of other VMs
    taps hv2 >"$WORK/taps.hv2"
    trap test_end EXIT
    trap 'exit 130' INT TERM
}

test_end() {
    local status=$?
    [[ -z $WATCHER ]] || kill "$WATCHER" 2>/dev/null
    if declare -F cleanup >/dev/null; then
        cleanup >"$WORK/cleanup.log" 2>&1
    fi
    rm -rf "$WORK"
    exit $status
}

good() { echo "ok   $*"; }

bad() {
    echo "FAIL $*"
    FAILED=$((FAILED + 1))
}

# is TEXT GOT WANTED
is() {
    if [[ $2 == "$3" ]]; then
        good "$1"
    else
        bad "$1: ${2:-nothing}, not ${3:-nothing}"
    fi
}

# like TEXT GOT PATTERN
like() {
    # shellcheck disable=SC2053 # a pattern
    if [[ $2 == $3 ]]; then
        good "$1"
    else
        bad "$1: $2"
    fi
}

# expect TEXT PATTERN CMD...: what CMD says, whatever its exit status.
expect() {
    local text=$1 pattern=$2
    shift 2
    like "$text" "$("$@" 2>&1)" "$pattern"
}

# below TEXT GOT LIMIT: numbers.
below() {
    if jq -en "$2 < $3" >/dev/null 2>&1; then
        good "$1: $2"
    else
        bad "$1: $2, limit $3"
    fi
}

# need TEXT CMD...: without it the rest makes no sense.
need() {
    local text=$1
    shift
    if "$@" >"$WORK/need" 2>&1; then # not in a subshell: it may set variables
        good "$text"
    else
        bad "$text: $(cat "$WORK/need")"
        exit 1
    fi
}

# wait_until SECONDS CMD...
wait_until() {
    local end=$((${EPOCHREALTIME/./} + $1 * 1000000))
    shift
    until "$@" >/dev/null 2>&1; do
        ((${EPOCHREALTIME/./} < end)) || return 1
        sleep 0.2
    done
}

# test_result: last command of a test.
test_result() {
    [[ $FAILED -eq 0 ]] || echo "$FAILED failed"
    exit $((FAILED ? 1 : 0))
}
