#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# doctor.sh BUILD_DIR: `drover doctor` finds nothing wrong with the lab; then one thing after another is broken,
# which it names, and repaired by the command that it prints (where it prints one, else as its fix says), and
# nothing is wrong any more.
# shellcheck disable=SC2317,SC2329  # functions are called by name and from what is printed
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: doctor.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

HV1=hv1.$DOMAIN HV2=hv2.$DOMAIN
ROLES="admin=VM Admins,operator=VM Operators,viewer=VM Viewers,hosts=VM Hosts"
URL=smb://fs.$DOMAIN/$SHARE
SHORT=$LAB/admin/short.ccache # a ticket that will have ended
REPORT=

database() { lab exec dc -- "$1" -H "$LAB/dc/private/sam.ldb" "${@:2}"; }
modify() { database ldbmodify --relax >/dev/null; } # LDIF on standard input
# attribute ACCOUNT add|replace|delete ATTRIBUTE [VALUE]
attribute() {
    printf 'dn: CN=%s,CN=Computers,%s\nchangetype: modify\n%s: %s\n' "$1" "$BASE_DN" "$2" "$3"
    [[ $# -lt 4 ]] || printf '%s: %s\n' "$3" "$4"
    echo
}
samba() { lab exec dc -- samba-tool "$@" -H "$LAB/dc/private/sam.ldb" >/dev/null; }

# new_ticket USER [KINIT_OPTION...]
new_ticket() {
    local user=$1
    shift
    lab exec admin -- env KRB5CCNAME="FILE:$LAB/admin/cc/$user" kinit "$@" "$user" <<<"$LAB_PASSWORD" >/dev/null
}

# --- asking ---

# ask WHO VERB...: WHO is a user at the desk, or root@NODE. Sets REPORT.
ask() {
    local who=$1 status=0
    shift
    case $who in
    root@*) drover_on "${who#root@}" --json "$@" >"$WORK/out" 2>"$WORK/err" || status=$? ;;
    short) lab exec admin -- env KRB5CCNAME="FILE:$SHORT" drover --json "$@" "$HV1" >"$WORK/out" 2>"$WORK/err" || status=$? ;;
    nobody) lab exec admin -- drover --json "$@" "$HV1" >"$WORK/out" 2>"$WORK/err" || status=$? ;;
    *) lab exec admin --user "$who" -- drover --json "$@" "$HV1" "$HV2" >"$WORK/out" 2>"$WORK/err" || status=$? ;;
    esac
    REPORT=$(tail -n 1 "$WORK/out")
    return $status
}

# told ID: its findings that are more than notes.
told() { jq -c --arg id "$1" '.findings[] | select(.id == $id and (.severity == "error" or .severity == "warning"))' <<<"$REPORT"; }
ids() { jq -r '[.findings[] | select(.severity == "error") | .id] | unique | join(" ")' <<<"$REPORT"; }

# --- repairing ---

# Run the command that the first finding ID prints, where it says.
run_printed() {
    local command at node
    command=$(told "$1" | jq -rs 'map(select(.command)) | .[0].command // empty')
    at=$(told "$1" | jq -rs 'map(select(.command)) | .[0].at // empty')
    [[ -n $command ]] || return 1
    echo "$at: $command" >>"$WORK/commands"
    node=${at%%.*}
    (
        # What the lab has in the place of a domain admin's desk, of systemd and of a time server.
        samba-tool() {
            case $1 in
            domain) lab exec dc -- samba-tool "$@" ;;
            *) samba "$@" ;;
            esac
        }
        drover() {
            case $at in
            domain) lab exec admin --user Administrator -- drover --yes "$@" ;;
            user) lab exec admin --user "$WHO" -- drover --yes "$@" ;;
            *) lab exec "$node" -- drover --yes "$@" ;;
            esac
        }
        kinit() { new_ticket "$WHO"; }
        systemctl() { lab svc "$node" "${2/drover-agent/droverd}" start; } # the unit is one program of the lab
        chronyc() { lab clock "$node" 0; }
        eval "$command" >/dev/null
    )
}

# broken ID TEXT WHO VERB BREAK REPAIR: BREAK and REPAIR are functions, REPAIR may be `printed`.
WHO=
broken() {
    local id=$1 text=$2 break=$5 repair=$6 verb
    WHO=$3
    read -ra verb <<<"$4"
    $break >"$WORK/break" 2>&1 || bad "$id: breaking failed: $(cat "$WORK/break")"
    ask "$WHO" "${verb[@]}"
    if [[ -n $(told "$id") ]]; then
        good "$id $text"
    else
        bad "$id $text: not named, but: $(ids) $(cat "$WORK/err")"
    fi
    like "$id says what to do" "$(told "$id" | jq -rs '.[0].fix')" "?*"
    case $repair in
    printed) run_printed "$id" >"$WORK/repair" 2>&1 || bad "$id: its command failed: $(cat "$WORK/repair"; tail -n 1 "$WORK/commands")" ;;
    *) $repair >"$WORK/repair" 2>&1 || bad "$id: $(cat "$WORK/repair")" ;;
    esac
    [[ $WHO == short || $WHO == nobody ]] && WHO=alice
    ask "$WHO" "${verb[@]}"
    is "$id is repaired" "$(ids)$(told "$id")" ""
}

# --- tickets ---

forget_ticket() { :; } # `nobody` has none
not_forwardable() { new_ticket alice -F; }
wait_short() { sleep $((SHORT_ENDS > EPOCHSECONDS ? SHORT_ENDS - EPOCHSECONDS + 1 : 0)); }
dc_down() { lab svc dc samba stop; }
dc_up() { lab svc dc samba start && new_ticket alice; }
no_spn() {
    attribute HV2 delete servicePrincipalName "drover/$HV2" | modify
    rm -f "$LAB/admin/cc/alice" # what it holds already would still do
}
new_password() {
    samba user setpassword 'HV1$' --newpassword="Other-$HOST_PASSWORD"
    rm -f "$LAB/hv1/run/drover/host.ccache" "$LAB/admin/cc/"*
}

# --- delegation ---

no_drover() { samba delegation del-service 'HV1$' "drover/$HV2"; }
no_cifs() { samba delegation del-service 'HV2$' "cifs/fs.$DOMAIN"; }
any_service() { samba delegation for-any-service 'HV1$' on; }
any_protocol() { samba delegation for-any-protocol 'HV2$' on; }
old_types() { attribute HV1 replace msDS-SupportedEncryptionTypes 28 | modify; }
other_spn() {
    attribute HV2 delete servicePrincipalName drover/HV2 | modify
    attribute HV3 add servicePrincipalName drover/HV2 | modify
}
own_spn() { run_printed D20 && lab exec admin --user Administrator -- drover --yes delegation setup; }
no_dns_name() { attribute HV2 delete dNSHostName | modify; }
dns_name() { attribute HV2 add dNSHostName "$HV2" | modify; }
sensitive() { samba user sensitive alice on && new_ticket alice; }
not_sensitive() { samba user sensitive alice off && new_ticket alice; }

auth() { drover_on hv1 --quiet host set "auth=$1" && drover_on hv2 --quiet host set "auth=$1"; }

# --- roles ---

stranger() { :; } # bob
bob_in() { run_printed A01 && new_ticket bob; }
bob_out() { samba group removemembers "VM Operators" bob && new_ticket bob; }
other_roles() { drover_on hv2 host set "roles=admin=VM Admins,operator=VM Admins,viewer=VM Viewers,hosts=VM Hosts"; }
own_roles() { drover_on hv1 host set "roles=$ROLES" && drover_on hv2 host set "roles=$ROLES"; }
no_member() { samba group removemembers "VM Hosts" 'HV2$'; }
promote() { samba group addmembers "VM Admins" alice; }
demote() { samba group removemembers "VM Admins" alice && new_ticket alice; }
late_member() {
    no_member && rm -f "$LAB/hv2/run/drover/host.ccache" && drover_on hv2 doctor # gets a ticket without the group
    samba group addmembers "VM Hosts" 'HV2$'
}
gone_group() {
    samba group add Gone && drover_on hv1 host set "roles=$ROLES,viewer=Gone" && samba group delete Gone
}
fired() { samba group removemembers "VM Operators" alice; }
hired() { samba group addmembers "VM Operators" alice && new_ticket alice; }

# --- hosts ---

receive_off() { drover_on hv2 host set receive=off; }
send_off() { drover_on hv1 host set send=off; }
no_slots() { drover_on hv2 host set max_moves=0; }
agent_down() { lab svc hv2 droverd stop; }
clear_streams() { drover_on hv1 host set encrypt=off; }
late_clock() { lab clock hv2 +150; }
wrong_clock() { lab clock hv2 +1000; }
right_clock() { lab clock hv2 0; }
other_network() { drover_on hv2 host set move_networks=10.83.99.0/24; }
own_network() { drover_on hv2 host set "move_networks=$MIG_NET"; }
cut_mig() { lab link hv2 mig cut; }
heal_mig() { lab link hv2 mig heal; }
jumbo() { lab exec hv1 -- ip link set mig0 mtu 9000; }
no_jumbo() { lab exec hv1 -- ip link set mig0 mtu 1500; }
hosts_file() { cat "$WORK/hosts" >"$LAB/etc/hosts"; } # in place: it is mounted in every node
no_name() { grep -v "$HV2" "$WORK/hosts" >"$LAB/etc/hosts"; }
other_reverse() { (echo "${LAN_IP[hv1]} wrong.$DOMAIN"; cat "$WORK/hosts") >"$LAB/etc/hosts"; }

# --- stores ---

new_store() { drover_on hv1 store add extra "$URL/.drover"; }
other_store() { new_store && drover_on hv2 store add extra "$URL/.drover/owners"; }
no_store() {
    drover_on hv1 store remove extra
    drover_on hv2 store remove extra
    true
}
# permissions OPTION...: of the share's folder, as a domain admin.
permissions() { lab exec admin --user Administrator -- smbcacls -N --use-kerberos=required "//fs.$DOMAIN/$SHARE" / "$@"; }
no_hosts() { permissions --delete="ACL:$WORKGROUP\\VM Hosts:ALLOWED/OI|CI/FULL"; }
no_operators() { permissions --delete="ACL:$WORKGROUP\\VM Operators:ALLOWED/OI|CI/RWXD"; }
no_arbiter() { drover_on hv2 host set arbiter=; }
smbd_down() { lab svc fs smbd stop; }
smbd_up() { lab svc fs smbd start; }
smb_conf() { sed "$1" "$WORK/smb.conf" >"$LAB/fs/etc/smb.conf" && lab svc fs smbd stop && lab svc fs smbd start; }
loose_rename() { smb_conf '/drover-share.conf/a\    strict rename = no'; }
lazy_flush() { smb_conf '/drover-share.conf/a\    strict sync = no'; }
own_conf() { smb_conf ''; }
tmp_store() { mkdir -p "$LAB/hv1/run/tmp" && lab exec hv1 -- mkdir -p /dev/shm/vm && drover_on hv1 store add extra local:/dev/shm/vm; }
foreign_bridge() {
    lab exec hv1 -- ip link add brx type bridge
    drover_on hv1 vm create "$VM" --store "$STORE" --memory 128M --accel tcg --cpu qemu64 --disk 16M --network brx
}
no_foreign_bridge() {
    drover_on hv1 vm delete "$VM"
    lab exec hv1 -- ip link del brx
}
VM=doctor-$$

cleanup() {
    rm -f "$SHORT"
    hosts_file
    no_store
    auth either
    lab exec hv1 -- ip link del brx
    heal_mig
    no_jumbo
    right_clock
}

test_begin
cp "$LAB/etc/hosts" "$WORK/hosts"
cp "$LAB/fs/etc/smb.conf" "$WORK/smb.conf"
lab exec admin -- env KRB5CCNAME="FILE:$SHORT" kinit -l 130s alice <<<"$LAB_PASSWORD" >/dev/null
SHORT_ENDS=$((EPOCHSECONDS + 130))

ask alice doctor
is "a lab in order: status" $? 0
is "no error" "$(jq -c '.findings[] | select(.severity == "error")' <<<"$REPORT")" ""
is "no warning" "$(jq -c '.findings[] | select(.severity == "warning")' <<<"$REPORT")" ""
is "both hosts were looked at" "$(jq -r '[.findings[] | select(.id == "K06") | .host] | sort | join(" ")' <<<"$REPORT")" "$HV1 $HV2"

auth delegation
broken K01 "no ticket" nobody "doctor" forget_ticket :
broken K03 "not forwardable" alice "delegation check" not_forwardable printed
broken K05 "service name missing" alice "delegation check" no_spn printed
broken K06 "keytab older than the account" root@hv1 "doctor" new_password printed
broken D10 "not listed for a host" alice "delegation check" no_drover printed
broken D11 "not listed for the file server" alice "delegation check" no_cifs printed
broken D12 "sensitive" alice "delegation check" sensitive not_sensitive
other_auth() { drover_on hv2 host set auth=permit; }
broken D15 "a permit is wanted, and delegation offered" alice "delegation check" other_auth printed
auth delegation
no_permits() { drover_on hv1 host set auth=permit; }
broken D16 "delegation is wanted, and permits offered" alice "delegation check" no_permits printed
auth either
no_drover
ask alice delegation check
is "a missing entry is a warning where permits may do" "$(ids)|$(told D10 | jq -rs '.[0].severity')" "|warning"
auth permit
ask alice delegation check
is "and a note where they do" "$(ids)|$(told D10)" "|"
lab exec admin --user Administrator -- drover --yes delegation setup >/dev/null
auth either
broken D17 "any service" alice "delegation check" any_service printed
broken D18 "any protocol" alice "delegation check" any_protocol printed
broken D19 "encryption types" alice "delegation check" old_types printed
broken D20 "name on two accounts" alice "delegation check" other_spn own_spn
broken D21 "no DNS name" alice "delegation check" no_dns_name dns_name
broken A01 "no role" bob "delegation check" stranger bob_in
bob_out
broken A03 "no role at the other host" alice "delegation check" other_roles own_roles
broken A04 "not in the hosts' group" alice "delegation check" no_member printed
broken A08 "ticket older than the role" alice "delegation check" promote printed
demote
broken A09 "host's ticket older than its group" alice "delegation check" late_member printed
broken A10 "group is gone" alice "delegation check" gone_group own_roles
broken A11 "role was taken away" alice "delegation check" fired hired

broken R01 "receive off" alice doctor receive_off printed
broken R02 "send off" alice doctor send_off printed
broken R03 "no slot" alice doctor no_slots printed
broken R04 "agent down" alice doctor agent_down printed
broken N01 "bridge missing" alice doctor foreign_bridge no_foreign_bridge
broken N02 "no common network" alice doctor other_network own_network
broken N03 "migration network cut" alice doctor cut_mig heal_mig
broken N05 "clear streams" alice doctor clear_streams printed
broken N06 "name does not resolve" alice doctor no_name hosts_file
broken N07 "reverse name" alice doctor other_reverse hosts_file
broken N08 "large packets" alice doctor jumbo no_jumbo
broken T02 "clock off a little" alice doctor late_clock printed
broken T01 "clock off" root@hv2 doctor wrong_clock printed
broken S01 "store missing" alice doctor new_store printed
no_store
broken S02 "store elsewhere" alice doctor other_store no_store
broken S12 "hosts may not write" alice doctor no_hosts printed
broken A05 "operators may not write" alice doctor no_operators printed
broken S25 "operators' permissions are missing" val doctor no_operators printed
broken S05 "no arbiter" alice doctor no_arbiter printed
broken S06 "file server down" alice doctor smbd_down smbd_up
broken S17 "flush that is none" alice doctor lazy_flush own_conf
broken S21 "store in memory" alice doctor tmp_store no_store
broken S22 "folders can be renamed" alice doctor loose_rename own_conf
broken K04 "no domain controller" alice doctor dc_down dc_up
wait_short
broken K02 "ticket has ended" short "doctor" forget_ticket :

test_result
