#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# denials.sh BUILD_DIR: what Kerberos, the directory or a host's keytab refuse reaches the user of the CLI
# as its real cause, with remedy and exit status, within seconds. The rows are those that a person's own
# account or role does not explain; these (no role, viewer, sensitive, Protected Users, no ticket, a host
# outside the group) stand in move/refusals.sh, replays and forwarded tickets in wire/run.sh.
# shellcheck disable=SC2317  # functions are called through denied
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: denials.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

VM=denied-$$
SHORT_TICKET_S=130 # this KDC's tickets of less than two minutes never work
QUICK_S=10         # what no refusal may take, but with a domain controller that does not even refuse
SILENT_S=45
FAKETIME_LIB=/usr/lib/$(uname -m)-linux-gnu/faketime/libfaketimeMT.so.1
AUTH='' ROLES='' # the hosts' settings from before

samba_tool() { lab exec dc -- samba-tool "$@" -H "$LAB/dc/private/sam.ldb"; }

cleanup() {
    local host
    nft_clear
    lab clock admin 0
    lab link dc lan heal
    lab svc dc samba status | grep -q up || lab svc dc samba start
    samba_tool delegation add-service "HV1\$" "drover/hv2.$DOMAIN"
    samba_tool delegation add-service "HV1\$" "cifs/fs.$DOMAIN"
    for host in hv1 hv2; do
        keytab_back "$host"
        lab clock "$host" 0
    done
    [[ -z $ROLES ]] || drover_on hv2 --quiet host set "roles=$ROLES"
    host_auth "$AUTH"
    vm_remove "$VM" hv1
}

# host_auth VALUE: which proof of a user both hosts want, where that can be chosen.
host_auth() {
    local host
    for host in hv1 hv2; do
        [[ -z $1 ]] || drover_on "$host" --quiet host set auth="$1"
    done
}

# --- a ticket of one's own ---

# ticket NAME USER [KINIT OPTION...]: in $WORK/NAME.cc, from the admin's desk.
ticket() {
    local cc=$WORK/$1.cc user=$2
    shift 2
    lab exec admin -- kinit -c "FILE:$cc" "$@" "$user" <<<"$LAB_PASSWORD" >/dev/null
}

# with_ticket NAME ARGUMENT...: drover at the admin's desk with that ticket.
with_ticket() {
    local cc=$WORK/$1.cc
    shift
    lab exec admin -- env KRB5CCNAME="FILE:$cc" drover --no-input --yes "$@"
}

check() { drover_as alice hv1 check "$VM" --to "${1:-hv2}"; }
check_with() { with_ticket "$1" -H "hv1.$DOMAIN" check "$VM" --to hv2; }

# denied TEXT STATUS ID PATTERN CMD...: CMD ends with STATUS, says ID, PATTERN and a remedy, and soon.
denied() { denied_within $QUICK_S "$@"; }

denied_within() {
    local limit=$1 text=$2 wanted=$3 id=$4 pattern=$5 out status=0 begin=$EPOCHREALTIME
    shift 5
    out=$("$@" 2>&1) || status=$?
    below "$text: seconds" "$(((${EPOCHREALTIME/./} - ${begin/./}) / 1000000))" "$limit"
    is "$text: status" "$status" "$wanted"
    # The id of the finding or of the error itself: not one that a text mentions.
    # shellcheck disable=SC2053 # a pattern
    if [[ $out == *@("XX  $id "|"[$id]")* && $out == *$pattern* && $out == *@([Ff]ix:|hint:)* ]]; then
        good "$text: says $id, why, and what to do"
    else
        bad "$text: no $id with *$pattern* and a remedy in: $out"
    fi
}

# --- what gets broken ---

# agent_fresh HOST: its agent with no tickets from before.
agent_fresh() {
    lab svc "$1" droverd stop
    find "$LAB/$1/run/drover" -maxdepth 1 -name '*ccache*' -delete
    lab svc "$1" droverd start
    wait_until 15 settled
}

# The VM is not busy: a restarted agent has found it again.
settled() { drover_on hv1 --json vm list | jq -e --arg vm "$VM" 'select(.name == $vm).busy == ""'; }

# keytab_with HOST ACCOUNT KVNO PASSWORD: HOST's keytab becomes one with that key alone.
keytab_with() {
    local file=$LAB/keytabs/$1.keytab
    [[ -f $WORK/$1.keytab ]] || cp -p "$file" "$WORK/$1.keytab"
    rm -f "$file"
    lab exec admin -- ktutil >/dev/null <<KTUTIL
addent -password -p $2\$ -k $3 -e aes256-cts-hmac-sha1-96 -f
$4
wkt $file
q
KTUTIL
    agent_fresh "$1"
}

keytab_back() {
    [[ -f $WORK/$1.keytab ]] || return 0
    mv "$WORK/$1.keytab" "$LAB/keytabs/$1.keytab"
    agent_fresh "$1"
}

# keytab_anew ACCOUNT: another password, which comes to the keytab beside the key that is there.
keytab_anew() {
    local password=Anew-$RANDOM$RANDOM.x
    samba_tool user setpassword "$1\$" --newpassword="$password" >/dev/null
    lab exec admin -- ktutil >/dev/null <<KTUTIL
addent -password -p $1\$ -k $(kvno_of "$1") -e aes256-cts-hmac-sha1-96 -f
$password
wkt $LAB/keytabs/${1,,}.keytab
q
KTUTIL
    agent_fresh "${1,,}"
}

kvno_of() { # ACCOUNT
    samba_tool computer show "$1" --attributes=msDS-KeyVersionNumber | sed -n 's/^msDS-KeyVersionNumber: //p'
}

# ldap_off VERDICT: LDAP, and nothing else, does not pass from hv1.
ldap_off() {
    ip netns exec "${NS_PREFIX}hv1" nft -f - <<NFT
table inet denials {
    chain out {
        type filter hook output priority 0;
        tcp dport { 389, 636, 3268 } $1
    }
}
NFT
}
nft_clear() { ip netns exec "${NS_PREFIX}hv1" nft delete table inet denials 2>/dev/null; }

# folder_acl OPTION ENTRIES: change who may do what in the VM's folder, and with the definition in it, as
# an administrator of VMs.
folder_acl() {
    local path
    for path in "$VM" "$VM\\vm.json"; do
        lab exec admin --user erin -- smbcacls "//fs.$DOMAIN/$SHARE" "$path" --use-kerberos=required -N "$@" || return
    done
}
OTHERS="ACL:$WORKGROUP\\VM Admins:ALLOWED/OI|CI/FULL,ACL:$WORKGROUP\\VM Hosts:ALLOWED/OI|CI/FULL"
OPERATORS="ACL:$WORKGROUP\\VM Operators:ALLOWED/OI|CI/CHANGE"

setting() { drover_on "$1" --json host show | jq -r ".settings.$2"; } # HOST KEY

test_begin
AUTH=$(setting hv1 auth)
need "VM made" drover_as erin hv1 vm create "$VM" --store "$STORE" --memory 128M --accel tcg --cpu qemu64 --graphics none --disk 64M
need "VM started" drover_as alice hv1 vm start "$VM"
host_auth "$(drover_on hv1 --json host set auth=delegation >/dev/null 2>&1 && echo delegation)"
need "alice may move it" check
ticket old alice -f
need "so she may with a ticket of before all that" check_with old

# --- delegation ---
need "HV1\$ loses drover/hv2" samba_tool delegation del-service "HV1\$" "drover/hv2.$DOMAIN"
denied "drover/hv2 is not listed" 4 D10 "drover/hv2.$DOMAIN*not in its msDS-AllowedToDelegateTo" check
for verdict in "reject with tcp reset" drop; do
    ldap_off "$verdict"
    denied "it is not, and LDAP does not answer ($verdict)" 4 D14 "directory did not tell: *LDAP" check
    nft_clear
done
samba_tool delegation add-service "HV1\$" "drover/hv2.$DOMAIN" >/dev/null
need "HV1\$ loses cifs/fs" samba_tool delegation del-service "HV1\$" "cifs/fs.$DOMAIN"
denied "cifs/fs is not listed" 4 D11 "cifs/fs.$DOMAIN*not in its msDS-AllowedToDelegateTo" check
samba_tool delegation add-service "HV1\$" "cifs/fs.$DOMAIN" >/dev/null
ticket local alice -F
denied "alice's ticket is not forwardable" 4 K03 "not forwardable*kinit -f alice" check_with local

# --- roles beyond the source ---
ROLES=$(setting hv2 roles)
drover_on hv2 --quiet host set "roles=admin=VM Admins,hosts=VM Hosts"
denied "hv2 gives alice no role" 4 A03 alice check
drover_on hv2 --quiet host set "roles=$ROLES"
need "operators lose the VM's folder" folder_acl -S "$OTHERS"
denied "alice may not write the folder" 4 A05 alice check
need "and get it back" folder_acl -a "$OPERATORS"

# --- keys ---
keytab_with hv1 HV1 "$(kvno_of HV1)" Not-it.1
denied "the source's keytab has a wrong key" 4 K06 "export it again" check
keytab_with hv1 HV2 "$(kvno_of HV2)" "$HOST_PASSWORD"
denied "the source's keytab is another host's" 4 K06 "export it again" check
rm "$LAB/keytabs/hv1.keytab"
denied "the source has no keytab" 4 K06 "hv1.keytab" check
keytab_back hv1
keytab_with hv2 HV2 "$(kvno_of HV2)" Not-it.1
denied "the destination's keytab has a wrong key" 4 K06 hv2 check
keytab_back hv2
# A new password that has not come to the keytab. The agent's own ticket is good still, so it is reached.
need "HV1\$ has a new password" samba_tool user setpassword "HV1\$" --newpassword=Other-secret.1
ticket anew alice -f
denied "the source's keytab is older than its password" 4 K06 "older than the account's password" check_with anew
need "HV2\$ has a new password" samba_tool user setpassword "HV2\$" --newpassword=Other-secret.1
keytab_anew HV1
denied "the destination's keytab is older than its password" 4 K06 hv2 check
keytab_anew HV2
agent_fresh hv1 # its ticket for hv2 was for the other password
rm -f "$LAB/admin/cc/alice"
need "with passwords and keytabs in order alice may move it" check
denied "alice's ticket for hv1 is older than hv1's password" 4 K06 "kinit again" check_with old
ticket short alice -f -l ${SHORT_TICKET_S}s
SHORT_END=$((EPOCHSECONDS + SHORT_TICKET_S))
need "so she may with a ticket that is to end" check_with short

# --- names ---
need "hv2 loses its service name" samba_tool spn delete "drover/hv2.$DOMAIN" "HV2\$"
agent_fresh hv1
denied "the destination's name is not in the directory" 4 K05 "spn add drover/hv2.$DOMAIN" check
samba_tool spn add "drover/hv2.$DOMAIN" "HV2\$" >/dev/null
need "hv1 loses its service name" samba_tool spn delete "drover/hv1.$DOMAIN" "HV1\$"
ticket nameless alice -f
denied "the source's name is not in the directory" 4 K05 "spn add drover/hv1.$DOMAIN" check_with nameless
samba_tool spn add "drover/hv1.$DOMAIN" "HV1\$" >/dev/null

# --- clocks ---
ticket before alice -f
for host in hv1 hv2; do
    lab clock $host +600
    wait_until 15 settled
    denied "$host's clock is 10 minutes off" 3 T01 "" check
    lab clock $host 0
    wait_until 15 settled
done
lab clock admin +600
denied "the desk's clock went wrong after kinit" 3 T01 "" check_with before
need "kinit with a wrong clock: the ticket keeps the offset" check
lab clock admin 0

# --- domain controller ---
ticket unused alice -f
ticket used alice -f
need "a ticket for hv1 is in one's cache" with_ticket used -H "hv1.$DOMAIN" vm list
need "DC stopped" lab svc dc samba stop
denied "the user's KDC refuses connections" 4 K04 "" check_with unused
denied "hv1's KDC refuses connections" 4 K04 "" check_with used
lab svc dc samba start
lab link dc lan cut
denied_within $SILENT_S "the KDC is silent" 4 K04 "" check_with unused
denied_within $SILENT_S "hv1's KDC is silent" 4 K04 "" check_with used
lab link dc lan heal

# --- ends of tickets ---
wait_until $SHORT_TICKET_S eval "((EPOCHSECONDS > SHORT_END))"
denied "the ticket has ended" 4 K02 "kinit" check_with short
# For a client that is a minute behind the ticket is good still, and for the host within its tolerance;
# the KDC, asked to act for her with it, knows better.
denied "it ended before hv1 acted for her" 4 K02 "kinit" lab exec admin -- env KRB5CCNAME="FILE:$WORK/short.cc" \
    "LD_PRELOAD=$FAKETIME_LIB" ASAN_OPTIONS=verify_asan_link_order=0 FAKETIME=-$((EPOCHSECONDS - SHORT_END + 20)) FAKETIME_DONT_FAKE_MONOTONIC=1 \
    DONT_FAKE_MONOTONIC=1 drover --no-input -H "hv1.$DOMAIN" check "$VM" --to hv2

need "after all that alice may move it" check
test_result
