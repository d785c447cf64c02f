#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# storage.sh BUILD_DIR: disks of a running VM go from store to store of one host: all pairs of SMB and local
# stores, raw and qcow2. The guest's writer loses nothing and sees no I/O error; old images go, or are kept as asked;
# what is cancelled, killed or impossible leaves the VM where it was or brings it all the way.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: storage.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"
shopt -s extglob

VM=storage-$$ IP=10.83.0.119
OTHER=other-$$ RAW=raw-$$ # stores of this test: a folder of the share, a folder of hv1
UUID='' ID=''
KILLS=${KILLS:-6}

cleanup() {
    lab link hv1 lan off
    lab svc hv1 droverd start
    vm_remove "$VM" hv1 || vm_remove "$VM" hv2
    drover_on hv1 store remove "$OTHER"
    drover_on hv2 store remove "$OTHER"
    drover_on hv1 store remove "$RAW"
    rm -rf "$LAB/fs/share/$OTHER" "$LAB/hv1/$RAW" "$LAB"/fs/share/"$VM" "$LAB"/hv1/images/"$VM"
}

# storage OPTION...: a storage move; RESULT is set, the status is drover's.
storage() {
    local status=0
    drover_as alice hv1 --json move-storage "$VM" "$@" >"$WORK/move.events" 2>"$WORK/move.err" || status=$?
    RESULT=$(tail -n 1 "$WORK/move.events")
    return $status
}

# begin OPTION...: one that goes on by itself; its events go to $WORK/events.
begin() {
    ID=$(drover_as alice hv1 move-storage "$VM" --detach "$@") || { bad "no move: $ID" && return 1; }
    ID=${ID##*$'\n'}
    : >"$WORK/events"
    drover_as alice hv1 --json attach "$ID" >"$WORK/events" 2>"$WORK/attach.err" &
    ATTACHED=$!
}

store_of() { vm_field "$VM" hv1 ".definition.disks[] | select(.id == \"${1:-disk0}\") | .store"; }
format_of() { vm_field "$VM" hv1 ".definition.disks[] | select(.id == \"${1:-disk0}\") | .format"; }

# Files of the VM, on all stores of hv1.
files() {
    find "$LAB/fs/share" "$LAB/hv1/images" "$LAB/hv1/$RAW" -path "*$VM*" -type f "$@" -printf '%P\n' | sort
}

# images STORE: files that a VM with all its disks there has.
images() {
    local dir=$VM id
    [[ $1 == "$OTHER" ]] && dir=$OTHER/$VM
    for id in disk0 disk1; do
        echo "$dir/$id.$(format_of $id)"
    done
}

# clean TEXT IMAGE...: these are the VM's images, and no other file of it is about.
clean() {
    local text=$1
    shift
    is "$text: its images" "$(files ! -name '*.json' ! -name '*.kept-*' | xargs)" "$*"
    below "$text: its definitions" "$(files -name 'vm*.json' | wc -l)" 4
    is "$text: nothing is in progress" "$(drover_on hv1 --json jobs --active | jq -r .move)" ""
}

stores() { vm_field "$VM" hv1 '[.definition.disks[].store] | join(" ")'; }
recorded() { vm_field "$VM" hv1 '[.record.body.images[].store] | join(" ")'; }

# to STORE [OPTION...]: a move of all disks that must be done.
to() {
    local store=$1 was epoch text
    shift
    was="$(store_of) $(format_of disk0), $(store_of disk1) $(format_of disk1)"
    text="$was to $store"
    epoch=$(vm_field "$VM" hv1 .epoch)
    if ! storage --storage "$store" "$@"; then
        bad "$text: $(cat "$WORK/move.err") $RESULT"
        return 1
    fi
    good "$text: $(result total_ms) ms, $(result disk_bytes) bytes"
    below "$text: pause in ms" "$(result blackout_ms)" 250
    is "$text: result" "$(result kind) $(result state) $(result error)" "storage done null"
    is "$text: where they are" "$(stores)" "$store $store"
    is "$text: its home" "$(vm_field "$VM" hv1 .home_store)" "$store"
    is "$text: the epoch stays" "$(vm_field "$VM" hv1 .epoch)" "$epoch"
    is "$text: the record names the images" "$(recorded)" "$store $store"
    is "$text: the guest runs" "$(vm_state "$VM" hv1)" running
    # shellcheck disable=SC2046 # words
    clean "$text" $(images "$store")
}

# restart_agent TEXT
restart_agent() {
    lab svc hv1 droverd kill
    need "$1: a new agent" lab svc hv1 droverd start
}

over() { [[ -z $(drover_on hv1 --json jobs --active | jq -r .move) ]]; }

runs() { [[ $(vm_state "$VM" hv1) == running ]]; }

# killed TEXT: the agent was killed; a new one brings the move to an end, here or there.
killed() {
    local state
    need "$1: a new agent" lab svc hv1 droverd start
    wait "$ATTACHED"
    wait_until 60 over || bad "$1: the move ends: $(drover_on hv1 --plain jobs --active)"
    state=$(drover_on hv1 --json jobs | jq -r --arg id "$ID" 'select(.move == $id) | .state')
    like "$1: state" "$state" "@(done|failed)"
    wait_until 20 runs
    is "$1: the guest runs" "$(vm_state "$VM" hv1)" running
    like "$1: the guest answers" "$(guest_ctl $IP stat)" "ok *"
    is "$1: the record names the disks' stores" "$(recorded)" "$(stores)"
    is "$1: they are together" "$(store_of disk1)" "$(store_of disk0)"
    # shellcheck disable=SC2046 # words
    clean "$1: $state, at $(store_of)" $(images "$(store_of)")
}

test_begin
mkdir -p "$LAB/hv1/$RAW"
need "a folder on the share" share_make "$OTHER"
chmod 711 "$LAB/hv1/$RAW"
need "a folder of the share as a store" drover_as erin hv1 store add "$OTHER" "smb://fs.$DOMAIN/$SHARE/$OTHER"
need "on both hosts" drover_as erin hv2 store add "$OTHER" "smb://fs.$DOMAIN/$SHARE/$OTHER"
need "another local folder" drover_as erin hv1 store add "$RAW" "local:$LAB/hv1/$RAW"
need "VM made: one disk local, one raw on SMB" vm_create "$VM" $IP hv1 $LOCAL --disk "128M,format=raw,store=$STORE"
UUID=$(vm_uuid "$VM" hv1)
need "VM started" vm_start "$VM" hv1 $IP
need "guest busy" vm_busy $IP
need "bulk on a disk" guest_ctl $IP --timeout 60 blob vda 100 16 1
need "and on the other" guest_ctl $IP --timeout 60 blob vdb 100 8 2
SUM=$(guest_ctl $IP --timeout 60 sum vda 100 16)$(guest_ctl $IP --timeout 60 sum vdb 100 8)
need "watched" watch_begin $IP "$WORK/watch"

# --- every pair; the process that holds the record loses its disk with the first ---

to "$RAW"
to "$STORE"
to "$OTHER"
to "$LOCAL"
to "$OTHER"
to "$STORE"
is "bulk unchanged" "$(guest_ctl $IP --timeout 60 sum vda 100 16)$(guest_ctl $IP --timeout 60 sum vdb 100 8)" "$SUM"
lab svc hv1 droverd kill
need "after moves: a new agent" lab svc hv1 droverd start
wait_until 20 over
wait_until 20 runs # it says "stopped" until the new agent has looked at it
is "found again" "$(vm_state "$VM" hv1) $(stores)" "running $STORE $STORE"

# --- one disk alone: the home stays, and the epoch's definition changes in it ---

need "one disk alone" storage --disk "disk1=$LOCAL"
is "one disk alone: where they are" "$(stores)" "$STORE $LOCAL"
is "one disk alone: its home" "$(vm_field "$VM" hv1 .home_store)" "$STORE"
need "and the other after it" storage --storage "$LOCAL"
is "all" "$(stores)" "$LOCAL $LOCAL"
to "$OTHER"

# --- nothing to do, and what cannot be ---

storage --storage "$OTHER"
is "the same store: status" $? 3
is "the same store: finding" "$(result error.id)" S16
storage --storage nowhere
is "an unknown store: status" $? 3
is "an unknown store: finding" "$(result error.id)" S01
mkdir -p "$LAB/hv1/images/$VM" && touch "$LAB/hv1/images/$VM/disk0.qcow2"
storage --storage "$LOCAL"
is "a file in the way: finding" "$(result error.id)" S11
rm -r "$LAB/hv1/images/$VM"
storage --storage "$STORE" --dry-run
is "a dry run: status" $? 0
is "a dry run changes nothing" "$(store_of)" "$OTHER"
is "who may look only" "$(drover_as val hv1 move-storage "$VM" --storage "$STORE" >/dev/null 2>&1; echo $?)" 4

# --- kept ---

need "moved with --keep-source" storage --storage "$LOCAL" --keep-source=1h
KEPT=$(find "$LAB/fs/share/$OTHER" -name "disk0.qcow2.kept-$(result move)")
like "the old image is kept" "$KEPT" "*/disk0.qcow2.kept-*"
is "both of them" "$(find "$LAB/fs/share/$OTHER" -name "*.kept-$(result move)" | wc -l)" 2
rm -rf "${LAB:?}/fs/share/$OTHER/$VM"

# --- cancelled in copy ---

lab link hv1 lan 60mbit # the copy lasts long enough to be met
begin --storage "$STORE"
wait_until 30 grep -q '"phase":"copy"' "$WORK/events" || bad "copy: never reached"
drover_as alice hv1 --quiet cancel "$ID" >"$WORK/cancel" 2>&1 || bad "cancel: $(cat "$WORK/cancel")"
status=0
wait "$ATTACHED" || status=$?
lab link hv1 lan off
RESULT=$(tail -n 1 "$WORK/events")
is "cancelled: status" $status 6
is "cancelled: state" "$(result state)" cancelled
is "cancelled: where it is" "$(store_of)" "$LOCAL"
# shellcheck disable=SC2046 # words
clean "cancelled" $(images "$LOCAL")

# --- the agent killed ---

for ((n = 0; n < KILLS; n++)); do
    case $(store_of) in
    "$STORE") target=$OTHER ;;
    "$OTHER") target=$LOCAL ;;
    *) target=$STORE ;;
    esac
    phase=take
    ((n == 0)) && phase=copy
    begin --storage $target || break
    # Around take: a few milliseconds before, in, or after it.
    wait_until 30 grep -q "\"phase\":\"$phase\"\|\"in_sync\":true" "$WORK/events" || bad "kill $n: $phase never reached: $(tail -n 1 "$WORK/events")"
    ((n < 2)) || sleep "0.$(printf '%03d' $((RANDOM % 120)))"
    lab svc hv1 droverd kill
    killed "killed about $phase ($n), to $target"
done

# --- it is a VM like any other afterwards ---

need "it moves to the other host" move "$VM" hv1 hv2 --storage "$STORE"
need "and back" move "$VM" hv2 hv1
need "and to another store again" storage --storage "$LOCAL"
sleep 1
watch_end
is "broken connections" "$(watched tcp_broken)" 0
is "acknowledgements lost" "$(watched acks_lost)" 0
like "no I/O error" "$(guest_ctl $IP stat)" "ok *"
guest_ctl $IP dirty 0 >/dev/null
like "memory" "$(guest_ctl $IP memcheck)" "ok bad=0 *"
need "VM stopped" drover_as alice hv1 vm stop "$VM" --timeout 60s
is "acknowledged records that the image lacks" "$(writes_lost "$(vm_image "$VM" hv1)" "$WORK/watch.acks")" 0
need "started again" vm_start "$VM" hv1 $IP
need "stopped" drover_as alice hv1 vm stop "$VM" --timeout 60s
need "deleted" drover_on hv1 --quiet vm delete "$VM"
is "nothing is left" "$(files)$(traces hv1 "$UUID" "$VM")" ""
test_result
