#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# domain.sh BUILD_DIR: what happens to the domain in the middle of a move does not stop it: tickets of the
# user and of both hosts end, the file server's log-ons hang, the domain controller is down (OUTAGE_S, 30 s
# if not said), a host leaves the hosts' group. What comes after is as docs/SECURITY.md says under "What changes in the directory do".
# shellcheck disable=SC2317  # functions are called through need and wait_until
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: domain.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

VM=domain-$$ IP=10.83.0.118 OTHER=other-$$
OUTAGE_S=${OUTAGE_S:-30}
TICKET_S=150     # this KDC's tickets of less than two minutes never work
SLOW=4mbit       # a move at this rate ends when it is told to
MOVE='' AT=hv1

samba_tool() { lab exec dc -- samba-tool "$@" -H "$LAB/dc/private/sam.ldb"; }

cleanup() {
    lab link hv1 mig off
    lab svc dc samba status | grep -q up || lab svc dc samba start
    [[ -f $WORK/krb5.conf ]] && cp "$WORK/krb5.conf" "$LAB/etc/krb5.conf"
    lab svc fs winbindd start
    samba_tool group addmembers "VM Hosts" "HV1\$"
    samba_tool group addmembers "VM Operators" alice
    tickets_new
    vm_remove "$VM" hv1 || vm_remove "$VM" hv2
    vm_remove "$OTHER" hv1
}

# tickets_new: both agents with tickets got now, and alice's too.
tickets_new() {
    local host
    rm -f "$LAB"/admin/cc/*
    for host in hv1 hv2; do
        lab svc $host droverd stop
        rm -f "$LAB/$host/run/drover/host.ccache"
        lab svc $host droverd start
    done
    wait_until 20 settled
}

settled() { drover_on "$AT" --json vm list | jq -e --arg vm "$VM" 'select(.name == $vm).busy == ""'; }

# move_begin TO [CCACHE]: a move that has come to its memory phase, and is slow.
move_begin() {
    local cc=${2:-}
    lab link hv1 mig "$SLOW"
    if [[ -n $cc ]]; then
        MOVE=$(lab exec admin -- env KRB5CCNAME="FILE:$cc" drover --no-input --yes -H "$AT.$DOMAIN" move "$VM" --to "$1.$DOMAIN" --detach)
    else
        MOVE=$(drover_as alice "$AT" move "$VM" --to "$1.$DOMAIN" --detach)
    fi
    MOVE=${MOVE##*$'\n'}
    wait_until 30 phase_is memory
}

job() { drover_on "$AT" --json jobs | jq -r --arg id "$MOVE" "select(.move == \$id) | $1"; }
phase_is() { [[ $(job .phase) == "$1" ]]; }
ended() { [[ $(job .state) == @(done|failed|cancelled) ]]; }

# move_end TEXT TO: at full speed; it must have gone there.
move_end() {
    is "$1: the move is under way still" "$(job .phase)" memory
    lab link hv1 mig off
    wait_until 60 ended
    is "$1: the move ends well" "$(job .state)" "done"
    AT=$2
    is "$1: the guest runs at $2" "$(vm_state "$VM" "$2")" running
    like "$1: and answers" "$(guest_ctl $IP stat)" "ok *"
}

# lifetime TIME: of all tickets from now on, those of the drover-stores of VMs that are started then as well.
lifetime() {
    cp "$WORK/krb5.conf" "$LAB/etc/krb5.conf"
    sed -i "/^\[libdefaults\]/a\    ticket_lifetime = $1" "$LAB/etc/krb5.conf"
    tickets_new
}

# vm_up: started, busy and watched.
vm_up() { vm_start "$VM" "$AT" "$IP" && vm_busy "$IP" 64 1 && watch_begin "$IP" "$WORK/watch"; }

# store_said EVENT: by the drover-stores of both hosts.
store_said() {
    local host
    for host in hv1 hv2; do
        grep -q "$1" "$LAB/$host/run/drover/vm/$UUID/disk0.log" || return
    done
}

test_begin
cp "$LAB/etc/krb5.conf" "$WORK/krb5.conf"
need "VM made" vm_create "$VM" $IP hv1
need "another VM" drover_as erin hv1 vm create "$OTHER" --store "$STORE" --memory 128M --accel tcg --cpu qemu64 --graphics none --disk 64M
need "it runs" drover_as alice hv1 vm start "$OTHER"
UUID=$(vm_uuid "$VM" hv1)

# --- tickets end, and log-ons hang when new ones are shown ---
lifetime "${TICKET_S}s"
need "VM up" vm_up
lab exec admin -- kinit -f -l ${TICKET_S}s -c "FILE:$WORK/short.cc" alice <<<"$LAB_PASSWORD" >/dev/null
BEGIN=$EPOCHSECONDS
need "a move with tickets that are to end" move_begin hv2 "$WORK/short.cc"
lab svc fs winbindd freeze
need "log-ons hang: no session is renewed" wait_until $TICKET_S store_said smb2.session.not_renewed
lab svc fs winbindd start
need "they go on: it is" wait_until 60 store_said smb2.session.renewed
wait_until $((TICKET_S + 20)) eval "((EPOCHSECONDS > BEGIN + TICKET_S + 10))"
like "alice's has ended" "$(lab exec admin -- env KRB5CCNAME="FILE:$WORK/short.cc" drover --no-input -H "hv1.$DOMAIN" vm list 2>&1)" "*K02*"
move_end "tickets end" hv2
is "it was authorised once, at each end" "$(for h in hv1 hv2; do drover_on $h --json audit --limit 400 |
    jq -r --arg id "$MOVE" 'select(.move == $id and .allowed) | .action'; done | sort | uniq -c | awk '$1 > 2' | wc -l)" 0

# --- the domain controller is down ---
# With tickets so short that an agent would like to renew them all the time.
need "nothing broken" watch_end
lifetime 15m
need "VM stopped" drover_as alice hv2 --quiet vm stop "$VM" --force
need "VM up again" vm_up
drover_as alice hv1 --quiet vm list >/dev/null # a ticket for hv1 is there
need "a move" move_begin hv1
lab svc dc samba stop
BEGIN=$EPOCHREALTIME
OUT=$(drover_as alice hv1 move "$OTHER" --to hv2 2>&1)
like "DC down: a new move is refused" "$OUT" "*K04*@([Ff]ix:|hint:)*"
below "DC down: soon, in seconds" "$(((${EPOCHREALTIME/./} - ${BEGIN/./}) / 1000000))" 10
sleep "$OUTAGE_S"
move_end "DC down for $OUTAGE_S s" hv1
lab svc dc samba start
cp "$WORK/krb5.conf" "$LAB/etc/krb5.conf"
tickets_new

# --- a user leaves her group ---
drover_as alice hv1 --quiet vm list >/dev/null
need "alice leaves VM Operators" samba_tool group removemembers "VM Operators" alice
need "her ticket has the role" drover_as alice hv1 check "$VM" --to hv2
rm -f "$LAB/admin/cc/alice"
like "a new one has not" "$(drover_as alice hv1 move "$VM" --to hv2 2>&1)" "*A01*"
samba_tool group addmembers "VM Operators" alice >/dev/null
rm -f "$LAB/admin/cc/alice"

# --- a host leaves its group ---
need "a move out of hv1" move_begin hv2
need "HV1\$ leaves VM Hosts" samba_tool group removemembers "VM Hosts" "HV1\$"
sleep 5
move_end "HV1\$ is no host" hv2
need "its ticket makes it one" drover_as alice hv1 check "$OTHER" --to hv2
lab svc hv1 droverd stop
lab svc hv1 droverd start
wait_until 20 settled
# Nor does the share let it in, which comes first; what hv2 says to such a host stands in refusals.sh.
like "a new one does not" "$(drover_as alice hv1 check "$OTHER" --to hv2 2>&1)" "*store*access denied*their group*"
samba_tool group addmembers "VM Hosts" "HV1\$" >/dev/null
tickets_new
need "put back, it is one again" drover_as alice hv1 check "$OTHER" --to hv2

sleep 2
watch_end
is "broken connections" "$(watched tcp_broken)" 0
test_result
