#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# permit.sh BUILD_DIR: moves by permit, with no delegation entry left in the directory, also by users who cannot
# be delegated; and permits that are replayed, altered, expired, or shown by a host or for a VM that they are
# not for: refused, and nothing is touched.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: permit.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

VM=permit-$$ IP=10.83.0.120 AT=hv1
THIRD=permit3-$$
TOOL=$DROVER_BUILD/tests/wiretool
UUID='' TOKEN='' REFUSAL=''

samba_tool() { lab exec dc -- samba-tool "$@" -H "$LAB/dc/private/sam.ldb"; }

on_hv3() { lab exec hv1 -- env DROVER_SOCKET=/run/drover-hv3/drover.sock drover --no-input --yes --quiet "$@"; }

auth() { # SOURCE DESTINATION: the settings of hv1 and hv2
    drover_on hv1 --quiet host set auth="$1" && drover_on hv2 --quiet host set auth="$2"
}

remove_delegation() {
    local host
    for host in HV1 HV2; do
        printf 'dn: CN=%s,CN=Computers,%s\nchangetype: modify\ndelete: msDS-AllowedToDelegateTo\n\n' "$host" "$BASE_DN"
    done | lab exec dc -- ldbmodify -H "$LAB/dc/private/sam.ldb"
}

delegation_list() {
    lab exec dc -- ldbsearch -H "$LAB/dc/private/sam.ldb" '(|(sAMAccountName=HV1$)(sAMAccountName=HV2$))' \
        msDS-AllowedToDelegateTo | sed -n 's/^msDS-AllowedToDelegateTo: //p' | sort
}

hv3_gone() {
    on_hv3 vm stop "$THIRD" --force
    on_hv3 vm delete "$THIRD"
    lab svc hv1 droverd3 stop
    samba_tool group removemembers "VM Hosts" 'HV3$'
} >/dev/null 2>&1

set_up_delegation() {
    lab exec admin --user Administrator -- drover --yes delegation setup hv1 hv2 --store "smb://fs.$DOMAIN/$SHARE"
}

cleanup() {
    for host in hv1 hv2; do
        lab svc "$host" droverd start
    done
    lab link hv1 mig off
    auth either either
    lab svc hv1 droverd3 start
    hv3_gone
    set_up_delegation
    vm_remove "$VM" hv1 || vm_remove "$VM" hv2
}

other() { [[ $1 == hv1 ]] && echo hv2 || echo hv1; }

# moves TEXT USER [OPTION...]: USER moves the VM from $AT to the other host.
moves() {
    local text=$1 user=$2 to
    shift 2
    to=$(other "$AT")
    if drover_as "$user" "$AT" --json move "$VM" --to "$to.$DOMAIN" "$@" >"$WORK/events" 2>"$WORK/err"; then
        good "$text: moved"
        AT=$to
    else
        bad "$text: $(tail -n 2 "$WORK/events") $(cat "$WORK/err")"
    fi
    is "$text: the guest answers" "$(lab exec admin -- guest-client wait "$IP" 20 >/dev/null 2>&1 && echo yes)" yes
}

notice() { jq -r 'select(.event == "notice").id' "$WORK/events"; }

# --- permits by hand, as alice ---

wire() { # HOST CALL ARGS
    lab exec admin --user alice -- "$TOOL" call "$1.$DOMAIN" "$DROVER_PORT" "$2" "$3"
}

# issue [UUID] [NAME] [FROM] [PURPOSE] [LIFETIME_S]: from hv2; TOKEN is set.
issue() {
    TOKEN=$(wire hv2 permit.issue "$(jq -nc --arg uuid "${1:-$UUID}" --arg vm "${2:-$VM}" --arg from "${3:-hv1}.$DOMAIN" \
        --arg purpose "${4:-move}" --argjson life "${5:-300}" \
        '{uuid: $uuid, vm: $vm, from: $from, purpose: $purpose, lifetime_s: $life}')" | jq -r .permit)
    [[ ${#TOKEN} == 44 ]]
}

# start TOKEN [HOST] [NAME]: a move to hv2 with it, to its end; REFUSAL is set: "ID message" of its error.
start() {
    local host=${2:-hv1} id
    id=$(wire "$host" move.start "$(jq -nc --arg vm "${3:-$VM}" --arg to "hv2.$DOMAIN" --arg permit "$1" '{vm: $vm, to: $to, permit: $permit}')")
    case $id in
    denied*) REFUSAL=${id#denied } ;;
    *) REFUSAL=$(wire "$host" move.attach "$(jq -c '{move}' <<<"$id")" | jq -r '"\(.error.id) \(.error.msg)"') ;;
    esac
}

# refused TEXT PATTERN TOKEN [HOST] [NAME]: the move is refused with A07, says PATTERN, and touches nothing.
refused() {
    local text=$1 pattern=$2
    shift 2
    start "$@"
    like "$text: refused" "$REFUSAL" "A07 *$pattern*"
    is "$text: nothing touched" "$(footprint "$VM" "$UUID" 2>/dev/null | diff "$WORK/before" -)" ""
}

test_begin
need "VM made" vm_create "$VM" $IP hv1
need "VM started" vm_start "$VM" hv1 $IP
UUID=$(vm_uuid "$VM" hv1)
delegation_list >"$WORK/delegation"
need "every delegation entry removed" remove_delegation
is "none is left" "$(delegation_list)" ""
need "auth=permit at both hosts" auth permit permit

# --- moves ---

moves "alice, the VM alone" alice
is "it was by permit" "$(notice)" D15
like "the destination's audit log says so" "$(drover_as erin hv2 --json audit --limit 10 |
    jq -r 'select(.action == "peer.reserve") | .on_behalf + ": " + .reason')" \
    "alice@$REALM: HV1\$@$REALM with a permit of alice@$REALM (operator via VM Operators)*"
moves "alice, with its disk" alice --storage "$LOCAL"
moves "and the disk to the share" alice --storage "$STORE" --permit
is "asked for, it is no news" "$(notice)" ""
moves "back" alice
like "check notes who does not decide" "$(drover_as alice "$AT" check "$VM" --to hv2 2>&1)" "*S24*No errors*"

need "auth=either at both hosts" auth either either
moves "alice, whose delegation is missing" alice
is "which is said" "$(notice)" D10
moves "carol, who is sensitive" carol
is "which is said" "$(notice)" D12
moves "dave, a Protected User" dave
is "which is said" "$(notice)" D12
lab exec admin -- kinit -F -c "FILE:$WORK/plain.cc" alice <<<"$LAB_PASSWORD" >/dev/null
if lab exec admin -- env KRB5CCNAME="FILE:$WORK/plain.cc" drover --no-input --json -H "$AT.$DOMAIN" \
    move "$VM" --to hv1 >"$WORK/events" 2>"$WORK/err"; then
    good "alice, whose ticket is not forwardable: moved"
    AT=hv1
else
    bad "alice, whose ticket is not forwardable: $(tail -n 2 "$WORK/events") $(cat "$WORK/err")"
fi
is "which is said" "$(notice)" K03

# --- an agent that is killed: what was reserved needs no permit any more ---

job() { drover_on "$1" --json jobs | jq -r --arg id "$ID" "select(.move == \$id).$2"; } # HOST FIELD
carries() { [[ $(job hv2 phase) == memory ]]; }
over() { [[ $(job hv1 state) == failed && $(job hv2 state) == refused ]]; }

lab link hv1 mig 20mbit
ID=$(drover_as alice hv1 move "$VM" --to hv2 --detach --permit)
need "a slow move" wait_until 20 carries
lab svc hv1 droverd kill
lab link hv1 mig off
need "a new agent" lab svc hv1 droverd start
is "the move ends by itself" "$(wait_until 30 over || job hv1 state)" ""
is "the VM runs where it was" "$(vm_state "$VM" hv1)" running

# --- permits that are refused ---

sleep 2
footprint "$VM" "$UUID" >"$WORK/before" 2>/dev/null
need "a permit" issue
refused "altered" "knows no such permit" "$([[ $TOKEN == A* ]] && echo "B${TOKEN:1}" || echo "A${TOKEN:1}")"
start "$TOKEN"
is "as it was given, it moves" "$REFUSAL" "null null"
AT=hv2
moves "back" alice
sleep 2
footprint "$VM" "$UUID" >"$WORK/before" 2>/dev/null
refused "replayed" "used already" "$TOKEN"
need "a permit of a second" issue "$UUID" "$VM" hv1 move 1
sleep 2
refused "expired" "expired" "$TOKEN"
need "a permit for hv3" issue "$UUID" "$VM" hv3
refused "shown by hv1" "hv1.$DOMAIN showed it" "$TOKEN"
refused "and then spent" "used already" "$TOKEN"
need "a permit for another VM" issue 11111111-2222-4333-8444-555555555555
refused "shown for this one" "not for $VM" "$TOKEN"
need "a permit for another name" issue "$UUID" "$VM-x"
refused "shown for this one" "not for $VM" "$TOKEN"
need "a permit for a check" issue "$UUID" "$VM" hv1 check
refused "shown for a move" "not for moving" "$TOKEN"
need "a permit" issue
lab svc hv2 droverd stop
lab svc hv2 droverd start
refused "from before the agent's restart" "restarted" "$TOKEN"

# HV3$ as a member of `VM Hosts`: a host like others, with a permit that is hv1's to show.
samba_tool group addmembers "VM Hosts" 'HV3$' >/dev/null
lab svc hv1 droverd3 start
if on_hv3 vm create "$THIRD" --store "$STORE" --memory 128M --accel tcg --cpu qemu64 --graphics none --disk 64M &&
    on_hv3 vm start "$THIRD"; then
    need "a permit" issue "$(on_hv3 --json vm list | jq -r .uuid)" "$THIRD" hv1
    refused "stolen, and shown by hv3" "hv3.$DOMAIN showed it" "$TOKEN" hv3 "$THIRD"
    is "the audit log names the host" "$(drover_as erin hv2 --json audit --refused --limit 5 |
        jq -r 'select(.action == "peer.permit") | .who' | head -n 1)" "HV3\$@$REALM"
else
    bad "no VM on hv3"
fi
hv3_gone

# --- where permits are not taken ---

need "auth=delegation at the destination" auth either delegation
OUT=$(drover_as carol hv1 move "$VM" --to hv2 2>&1)
is "carol is refused" "$?" 4
like "with the cause, and that permits are no way" "$OUT" "*D12*D16*"
need "auth=delegation at the source" auth delegation either
OUT=$(drover_as carol hv1 move "$VM" --to hv2 2>&1)
is "carol is refused" "$?" 4
like "with the cause, and that permits are no way" "$OUT" "*D12*D16*"
is "nothing touched" "$(footprint "$VM" "$UUID" 2>/dev/null | diff "$WORK/before" -)" ""
is "no log has a token" "$(grep -lF -d skip -- "$TOKEN" "$LAB"/log/*)" ""

set_up_delegation >/dev/null
is "delegation is as before" "$(delegation_list | diff "$WORK/delegation" -)" ""
need "auth=either again" auth either either
moves "and alice moves by it" alice
is "without a permit" "$(notice)" ""
test_result
