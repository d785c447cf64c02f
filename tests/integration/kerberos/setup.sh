#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# setup.sh BUILD_DIR: `drover delegation setup` on the lab's directory, which that command set up. Nothing is
# changed twice; hosts come and go; what --dry-run prints, carried out by hand as LDIF and with samba-tool, gives
# the same directory; who may not do it is told so. The directory is as before afterwards. The hosts are in a group
# of the test's besides their own: a group that is made anew has another SID, and the share knows the old one.
# shellcheck disable=SC2317  # functions are called through need and from what is printed
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: setup.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

URL=fs.$DOMAIN # without a share: permissions are bare.sh's
GROUP="Setup's hosts" # a quote, for the commands that are printed
ATTRIBUTES=(member servicePrincipalName msDS-AllowedToDelegateTo msDS-SupportedEncryptionTypes userAccountControl)

as_admin() { lab exec admin --user Administrator -- drover "$@"; }
setup() { as_admin --yes --json delegation setup --group "$GROUP" "$@" >"$WORK/out" 2>"$WORK/err"; }
changes() { jq -s 'map(select(.event == "change")) | length' "$WORK/out"; }
database() { lab exec dc -- "$1" -H "$LAB/dc/private/sam.ldb" "${@:2}"; }

directory() {
    database ldbsearch '(|(sAMAccountName=HV1$)(sAMAccountName=HV2$)(sAMAccountName='"$GROUP"'))' "${ATTRIBUTES[@]}" |
        grep -E '^(dn|member|service|msDS|user)' | sort
}

modify() { database ldbmodify --relax >/dev/null; }

# What the printed commands run, on the domain controller.
samba-tool() { lab exec dc -- samba-tool "$@" -H "$LAB/dc/private/sam.ldb" >>"$WORK/by-hand" 2>&1; }
net() {
    lab exec dc -- net -s "$LAB/dc/etc/smb.conf" "$@" -S "dc1.$DOMAIN" -U "Administrator%$LAB_PASSWORD" >>"$WORK/by-hand" 2>&1
}

# The hosts as they are when they have just joined.
bare() {
    local host
    setup --remove hv1 --remove hv2 || return
    for host in HV1 HV2; do
        modify <<LDIF
dn: CN=$host,CN=Computers,$BASE_DN
changetype: modify
replace: msDS-SupportedEncryptionTypes
msDS-SupportedEncryptionTypes: 28

LDIF
    done
    no_group
}
no_group() {
    modify <<LDIF
dn: CN=$GROUP,CN=Users,$BASE_DN
changetype: delete

LDIF
}

# As the lab makes it.
hv3_by_hand() {
    modify <<LDIF
dn: CN=HV3,CN=Computers,$BASE_DN
changetype: modify
add: servicePrincipalName
servicePrincipalName: drover/hv3.$DOMAIN
-
replace: msDS-AllowedToDelegateTo
msDS-AllowedToDelegateTo: cifs/fs.$DOMAIN
msDS-AllowedToDelegateTo: drover/hv2.$DOMAIN
-
replace: msDS-SupportedEncryptionTypes
msDS-SupportedEncryptionTypes: 28

LDIF
}

cleanup() {
    modify <<LDIF
dn: CN=HV1,CN=Computers,$BASE_DN
changetype: modify
replace: userAccountControl
userAccountControl: 4096

LDIF
    hv3_by_hand
    no_group
    as_admin --yes delegation setup hv1 hv2 --store "$URL"
    lab svc hv1 droverd start
    lab svc hv2 droverd start
}

test_begin
need "a group more" setup hv1 hv2
is "is all there is to do" "$(changes)" 3
directory >"$WORK/before"
need "a second run" setup hv1 hv2 --store "$URL"
is "changes nothing" "$(changes)" 0
need "nor one that names nobody" setup
is "changes nothing" "$(changes)" 0

need "HV1 by its full name, HV2 by its account" setup "hv1.$DOMAIN" "HV2\$"
is "are the same hosts" "$(changes)" 0

need "a host more" setup hv3
is "does what is missing" "$(changes)" 11
is "and leaves all else" "$(diff <(directory | grep -vi hv3) "$WORK/before")" ""
need "and goes again" setup --remove hv3
is "with all of it" "$(changes)" 13
is "and leaves all else" "$(diff <(directory) "$WORK/before")" ""
hv3_by_hand

need "from a bare domain" bare
as_admin delegation setup --group "$GROUP" hv1 hv2 --store "$URL" --dry-run --format ldif >"$WORK/plan.ldif"
is "its plan as LDIF changes nothing" "$(directory | grep -c drover/)" 0
database ldbmodify <"$WORK/plan.ldif" >"$WORK/by-hand" 2>&1 || bad "ldbmodify: $(cat "$WORK/by-hand")"
is "carried out by ldbmodify it gives the same directory" "$(diff <(directory) "$WORK/before")" ""

need "from a bare domain" bare
as_admin delegation setup --group "$GROUP" hv1 hv2 --store "$URL" --dry-run --format samba-tool >"$WORK/plan.sh"
# shellcheck disable=SC1091
. "$WORK/plan.sh" || bad "by hand: $(cat "$WORK/by-hand")"
is "samba-tool gives the same directory" "$(diff <(directory) "$WORK/before")" ""

need "from a bare domain" bare
need "the command itself" setup hv1 hv2 --store "$URL"
is "gives the same directory" "$(diff <(directory) "$WORK/before")" ""

lab exec admin --user alice -- drover --yes delegation setup --group "$GROUP" --remove hv2 >"$WORK/out" 2>"$WORK/err"
is "alice may not" "$?" 4
like "and is told what it takes" "$(cat "$WORK/err")" "*domain admin's ticket*"
is "nothing was changed" "$(diff <(directory) "$WORK/before")" ""
lab exec admin -- drover --yes delegation setup >"$WORK/out" 2>"$WORK/err"
is "without a ticket" "$?" 4
setup nosuch
like "a host that is not in the domain" "$?: $(cat "$WORK/err")" "1: *no account \"NOSUCH\$\"*net ads join*"
setup 'hv1)(cn=*'
like "a name that is none" "$?: $(cat "$WORK/err")" "2: *is not the name of a host*"
setup --store fs
like "a file server's short name" "$?: $(cat "$WORK/err")" "2: *is not the full name of a file server*"

modify <<LDIF
dn: CN=HV1,CN=Computers,$BASE_DN
changetype: modify
add: msDS-AllowedToDelegateTo
msDS-AllowedToDelegateTo: drover/hv9.$DOMAIN
msDS-AllowedToDelegateTo: drover/HV9

LDIF
need "a host whose account is gone" setup --remove hv9
is "leaves nothing behind" "$(changes) $(diff <(directory) "$WORK/before")" "2 "

# One that says nothing of itself any more: neither its name nor that its service name is its own.
broken_host() {
    setup hv3 && modify <<LDIF
dn: CN=HV3,CN=Computers,$BASE_DN
changetype: modify
delete: dNSHostName
-
delete: servicePrincipalName
servicePrincipalName: drover/hv3.$DOMAIN

dn: CN=val,CN=Users,$BASE_DN
changetype: modify
add: servicePrincipalName
servicePrincipalName: drover/hv3.$DOMAIN

LDIF
}
whole_host() {
    modify <<LDIF
dn: CN=HV3,CN=Computers,$BASE_DN
changetype: modify
add: dNSHostName
dNSHostName: hv3.$DOMAIN

dn: CN=val,CN=Users,$BASE_DN
changetype: modify
delete: servicePrincipalName

LDIF
}
need "a host without a name, whose service name somebody else has" broken_host
setup hv3
like "cannot be set up" "$?: $(cat "$WORK/err")" "2: *HV3\$ has no dNSHostName*"
need "but it can go" setup --remove hv3
need "and is repaired" whole_host
is "leaving nothing behind" "$(diff <(directory) "$WORK/before")$(database ldbsearch 'sAMAccountName=HV3$' member memberOf msDS-AllowedToDelegateTo | grep -E '^(memberOf|ms)')" ""
hv3_by_hand

modify <<LDIF
dn: CN=HV1,CN=Computers,$BASE_DN
changetype: modify
replace: userAccountControl
userAccountControl: $((4096 + 0x80000))

LDIF
need "unconstrained delegation" setup
like "is not drover's to change, but said" "$(jq -r 'select(.event == "notice").text' "$WORK/out")" \
    "HV1\$ *unconstrained*for-any-service 'HV1\$' off"
like "by --dry-run, too" "$(as_admin delegation setup --group "$GROUP" --dry-run)" "# HV1\$ *for-any-service*"
modify <<LDIF
dn: CN=HV1,CN=Computers,$BASE_DN
changetype: modify
replace: userAccountControl
userAccountControl: 4096
-
delete: servicePrincipalName
servicePrincipalName: drover/hv1.$DOMAIN

dn: CN=val,CN=Users,$BASE_DN
changetype: modify
add: servicePrincipalName
servicePrincipalName: drover/hv1.$DOMAIN

LDIF
setup
like "a service name of somebody else's" "$?: $(cat "$WORK/err")" "1: *drover/hv1.$DOMAIN belongs to val, not to HV1\$*spn delete*"
modify <<LDIF
dn: CN=val,CN=Users,$BASE_DN
changetype: modify
delete: servicePrincipalName

LDIF
need "put right" setup
is "by one change" "$(changes)" 1
is "the directory is as before" "$(diff <(directory) "$WORK/before")" ""
test_result
