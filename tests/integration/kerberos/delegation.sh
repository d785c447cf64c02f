#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# delegation.sh BUILD_DIR: identities, decisions and constrained delegation against the lab's real
# domain, without an agent. Each case starts the host's end of a session (krbtool accept), the
# destination's end of the host channel (krbtool peer) and the user's client, and looks for lines in
# what the two hosts print. Needs a lab that is up; changes only HV3$ and a group of its own, and puts them back.
# shellcheck disable=SC2317  # functions are called by name
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: delegation.sh BUILD_DIR}
BUILD=$DROVER_BUILD
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"
lab exec dc -- true 2>/dev/null || exit 77

TOOL=$BUILD/tests/krbtool
WORK=$(mktemp -d)
ROLES="admin=VM Admins,operator=VM Operators,viewer=VM Viewers,hosts=VM Hosts"
SESSION_PORT=7998
CHANNEL_PORT=7997
FILE=drover-delegation-$$
NESTED=nested-$$

clean() {
    samba-tool-dc group delete "$NESTED" >/dev/null 2>&1
    samba-tool-dc delegation add-service 'HV3$' "drover/hv2.$DOMAIN" >/dev/null 2>&1
    rm -rf "$WORK" "${LAB:?}/fs/share/$FILE"
}
trap clean EXIT

samba-tool-dc() { lab exec dc -- samba-tool "$@" -H "$LAB/dc/private/sam.ldb"; }

# want FILE TEXT...: each text must stand in the output of a host's end.
want() {
    local file=$1 text
    shift
    for text in "$@"; do
        if ! grep -qF -- "$text" "$WORK/$file"; then
            echo "  FAILED: no \"$text\" in:"
            sed 's/^/    /' "$WORK/$file"
            FAILED=1
        fi
    done
}

case_is() { echo "# $*"; }

# peer_end [RECEIVE]: hv2's end of a host channel, in the background.
peer_end() {
    rm -f "$WORK/hv2.cc"
    lab exec hv2 -- "$TOOL" peer "$LAB/keytabs/hv2.keytab" "$WORK/hv2.cc" "hv2.$DOMAIN" $CHANNEL_PORT \
        "$ROLES" "${1:-on}" >"$WORK/peer" 2>&1 &
    PEER=$!
}

# session HOST CCACHE [--forward]: a user's session on HOST (hv1 or hv3, both in node hv1), which then
# opens a host channel to hv2.
session() {
    local host=$1 cc=$2 accept
    shift 2
    rm -f "$WORK/$host.cc"
    [[ -z ${OWN_TICKET:-} ]] || own_ticket "$host"
    lab exec hv1 -- "$TOOL" accept "$LAB/keytabs/$host.keytab" "$WORK/$host.cc" "$host.$DOMAIN" \
        $SESSION_PORT "$ROLES" "hv2.$DOMAIN" $CHANNEL_PORT >"$WORK/accept" 2>&1 &
    accept=$!
    lab exec admin -- env KRB5CCNAME="FILE:$cc" "$TOOL" connect "$host.$DOMAIN" $SESSION_PORT "$@" \
        >"$WORK/client" 2>&1
    wait $accept $PEER
}

# The host has been at the file server itself: its cache holds a ticket for it in its own name.
own_ticket() {
    lab exec hv1 -- kinit -k -t "$LAB/keytabs/$1.keytab" -c "FILE:$WORK/$1.cc" "${1^^}$" &&
        lab exec hv1 -- kvno -q -c "FILE:$WORK/$1.cc" "cifs/fs.$DOMAIN"
}

# ticket USER [KINIT OPTION...]: path of a new ticket cache.
ticket() {
    local user=$1 cc=$WORK/$1${2:-}
    shift
    lab exec admin -- kinit "$@" -c "FILE:$cc" "$user" <<<"$LAB_PASSWORD" >/dev/null
    echo "$cc"
}

smb_as() { # CCACHE COMMANDS
    lab exec admin -- env KRB5CCNAME="FILE:$1" smbclient "//fs.$DOMAIN/$SHARE" \
        --use-kerberos=required --realm="$REALM" -N -c "$2" 2>&1
}

case_is "alice is an operator; hv1 may act for her; hv2 sees who asks on whose behalf"
peer_end
session hv1 "$(ticket alice)"
want accept "who alice@$REALM (operator via VM Operators)" "move-out allowed" \
    "impersonator HV1\$@$REALM" "probe drover/hv2.$DOMAIN ok" "probe cifs/fs.$DOMAIN ok" \
    "probe drover/nowhere.$DOMAIN denied K05" "probe host/hv2.$DOMAIN denied D11" "inner established"
want peer "inner delegated target drover/hv2.$DOMAIN by HV1\$@$REALM" \
    "move-in who HV1\$@$REALM on behalf of alice@$REALM (operator via VM Operators)" \
    "move-in allowed" "direct denied A06"

case_is "the file server takes the cleaned cache, and nothing but it is in there"
klist -c "$WORK/hv1.cc.cifs" >"$WORK/klist"
want klist "Default principal: alice@$REALM" "cifs/fs.$DOMAIN@$REALM"
[[ $(grep -c "@$REALM" "$WORK/klist") -eq 2 ]] || { echo "  FAILED: more tickets than cifs" && FAILED=1; }
echo alice >"$WORK/hello"
smb_as "$WORK/hv1.cc.cifs" "put $WORK/hello $FILE; showacls; ls $FILE" >"$WORK/smb"
want smb "putting file" "Owner SID:	$(sed -n 's/^session user alice.* sid \([^ ]*\) .*/\1/p' "$WORK/accept")"

case_is "also when the host has a ticket of its own for the file server"
peer_end
OWN_TICKET=1 session hv1 "$(ticket alice)"
klist -c "$WORK/hv1.cc.cifs" >"$WORK/klist"
want klist "Default principal: alice@$REALM" "cifs/fs.$DOMAIN@$REALM"

case_is "bob has no role"
peer_end
session hv1 "$(ticket bob)"
want accept "move-out denied A01" 'addmembers "VM Operators" bob'
want peer "move-in denied A03"
smb_as "$WORK/hv1.cc.cifs" "put $WORK/hello $FILE-bob" >"$WORK/smb"
want smb NT_STATUS_ACCESS_DENIED

case_is "bob is an operator through a group within the group"
samba-tool-dc group add "$NESTED" >/dev/null
samba-tool-dc group addmembers "$NESTED" bob >/dev/null
samba-tool-dc group addmembers "VM Operators" "$NESTED" >/dev/null
peer_end
session hv1 "$(ticket bob)"
want accept "who bob@$REALM (operator via VM Operators)" "move-out allowed"
want peer "move-in allowed"
samba-tool-dc group delete "$NESTED" >/dev/null

case_is "val is a viewer; the destination does not receive: both are said"
peer_end off
session hv1 "$(ticket val)"
want accept "move-out denied A02"
want peer "move-in denied R01" "move-in denied A03"

case_is "carol is sensitive, by the PAC and by LDAP alike"
peer_end
session hv1 "$(ticket carol)"
want accept "probe drover/hv2.$DOMAIN denied D12" "by-ldap denied D12" "user sensitive carol off" \
    "cifs denied D12"
want peer "move-in denied A06"

case_is "dave is a Protected User"
peer_end
session hv1 "$(ticket dave)"
want accept "probe drover/hv2.$DOMAIN denied D12" "by-ldap denied D12" "Protected Users"

case_is "alice's ticket is not forwardable"
peer_end
session hv1 "$(ticket alice -F)"
want accept "probe drover/hv2.$DOMAIN denied K03" "by-ldap denied K03" "kinit -f alice"

case_is "a forwarded ticket-granting ticket is refused at both hosts"
peer_end
session hv1 "$(ticket alice)" --forward
want accept "impersonator denied D13"
want peer "move-in denied D13"

case_is "a host shows a user's own ticket in its channel"
peer_end
lab exec hv1 -- "$TOOL" channel "$LAB/keytabs/hv1.keytab" "$WORK/hv1.cc" "hv2.$DOMAIN" $CHANNEL_PORT \
    "FILE:$(ticket alice)" >"$WORK/client"
wait $PEER
want peer "move-in denied D13"

case_is "HV3 is not in the hosts' group"
peer_end
session hv3 "$(ticket alice)"
want accept "probe drover/hv2.$DOMAIN ok"
want peer "move-in denied A04 HV3\$@$REALM is not a member of VM Hosts"

case_is "a service missing in msDS-AllowedToDelegateTo is named"
samba-tool-dc delegation del-service 'HV3$' "drover/hv2.$DOMAIN" >/dev/null
peer_end
session hv3 "$(ticket alice)"
want accept "probe drover/hv2.$DOMAIN denied D10" \
    "samba-tool delegation add-service 'HV3\$' drover/hv2.$DOMAIN" "probe cifs/fs.$DOMAIN ok"

case_is "the directory: groups, hosts, accounts; no name changes a filter"
lab exec hv1 -- "$TOOL" ldap "$WORK/hv1.cc" - "VM Hosts" >"$WORK/ldap"
want ldap "ldap dc1.$DOMAIN bound" "host HV1 hv1.$DOMAIN" "host HV2 hv2.$DOMAIN" \
    "account HV1\$ uac 0x1000" "delegates drover/hv2.$DOMAIN" "not_delegated 1" "protected 1" \
    'no account "no*body"' 'no account "no)(body"'
grep -q "host HV3" "$WORK/ldap" && echo "  FAILED: HV3 is listed" && FAILED=1

case_is "threads that bind as different identities do not take each other's"
lab exec hv1 -- "$TOOL" threads "$WORK/hv1.cc" >"$WORK/threads"
want threads "wrong 0"

[[ $FAILED -eq 0 ]] && echo "all cases as expected"
exit $FAILED
