#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# bare.sh BUILD_DIR: `drover delegation setup` from nothing: hosts without accounts, no groups, a share with the
# permissions that Samba gives an empty folder. One command, and then real tickets: hosts log on with their keytabs, act
# for a user, and whoever should write in the folder can. What --dry-run prints, carried out by hand, gives the same.
# Accounts and groups are the test's own, and so is the share; they go at the end.
# shellcheck disable=SC2317,SC2119,SC2120  # functions are called through need and from what is printed
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: bare.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

BARE=BARE
URL=smb://fs.$DOMAIN/$BARE
FOLDER=$LAB/fs/bare

# names ROUND: new ones each time, as winbindd remembers for minutes whose SID a name was.
names() {
    local id=x$(($$ % 100000))n$1
    A=hv${id}a B=hv${id}b
    TEAMS=("$id's hosts" "$id admins" "$id operators" "$id viewers") # a quote, for what is printed
    ARGUMENTS=(--group "${TEAMS[0]}" --admins "${TEAMS[1]}" --operators "${TEAMS[2]}" --viewers "${TEAMS[3]}"
        "$A" "$B.$DOMAIN" --store "$URL" --operator alice)
}
of_any_round() { sed -E 's/x[0-9]+n[0-9]/round/Ig; s/(.*)/\L\1/' | sort; }

as_admin() { lab exec admin --user Administrator -- env TMPDIR="$WORK/tmp" "$@"; }
command_line() { as_admin drover --yes --json delegation setup "$@" >"$WORK/out" 2>"$WORK/err"; }
setup() { command_line "${ARGUMENTS[@]}" --create --keytab-dir "$WORK/keys" "$@"; }
printed() { as_admin drover delegation setup "${ARGUMENTS[@]}" --create --dry-run --format "$1"; }
changes() { jq -s 'map(select(.event == "change")) | length' "$WORK/out"; }
notes() { jq -r 'select(.event == "notice").text' "$WORK/out"; }
database() { lab exec dc -- "$1" -H "$LAB/dc/private/sam.ldb" "${@:2}"; }

directory() {
    local filter="(|(sAMAccountName=${A^^}\$)(sAMAccountName=${B^^}\$)" name
    for name in "${TEAMS[@]}"; do
        filter+="(sAMAccountName=$name)"
    done
    database ldbsearch "$filter)" objectClass groupType member servicePrincipalName msDS-AllowedToDelegateTo \
        msDS-SupportedEncryptionTypes userAccountControl dNSHostName |
        grep -E '^(dn|objectClass|groupType|member|service|msDS|user|dNS)' | of_any_round
}
permissions() { as_admin smbcacls -N --use-kerberos=required "//fs.$DOMAIN/$BARE" / | of_any_round; }

# What the printed commands run, on the domain controller and by the admin.
samba-tool() {
    local where=(-H "$LAB/dc/private/sam.ldb")
    [[ $1 != domain ]] || where=() # this one asks the controller's own settings
    lab exec dc -- samba-tool "$@" "${where[@]}" >>"$WORK/by-hand" 2>&1
}
testparm() { lab exec dc -- testparm "$@"; }
ldbmodify() { lab exec dc -- ldbmodify "$@" >>"$WORK/by-hand" 2>&1; }
smbcacls() { as_admin smbcacls "$@" >>"$WORK/by-hand" 2>&1; }

empty_folder() {
    rm -rf "$FOLDER"
    mkdir "$FOLDER"
    chown --reference="$LAB/fs/share" "$FOLDER"
    chmod 0777 "$FOLDER"
}
share_begin() {
    empty_folder
    cp "$LAB/fs/etc/smb.conf" "$WORK/smb.conf"
    printf '[%s]\n    path = %s\n    include = %s\n' "$BARE" "$FOLDER" "$LAB_CHECKOUT/packaging/samba/drover-share.conf" \
        >>"$LAB/fs/etc/smb.conf"
    reload
}
share_end() {
    rm -rf "$FOLDER"
    cp "$WORK/smb.conf" "$LAB/fs/etc/smb.conf"
    reload
}
reload() { lab exec fs -- smbcontrol smbd reload-config; }

# bare ROUND: as it was before anybody set anything up, for the names of another round.
bare() {
    local name
    for name in "CN=$A,CN=Computers" "CN=$B,CN=Computers" "${TEAMS[@]/#/CN=}"; do
        [[ $name == *,* ]] || name+=,CN=Users
        printf 'dn: %s,%s\nchangetype: delete\n\n' "$name" "$BASE_DN" | database ldbmodify
    done >/dev/null 2>&1
    rm -rf "$WORK/keys"
    empty_folder
    rm -f "$LAB/admin/cc/"{alice,bob} # whose groups these are
    [[ -z $(directory) ]] && names "$1"
}

cleanup() {
    bare 0
    share_end
}

# --- what must work afterwards ---

# versions KEYTAB: of its keys, each once. account_version HOST: what the directory says.
versions() { klist -k "$1" | awk 'NR > 3 { print $1 }' | uniq -c | awk '{ print $1, $2 }'; }
account_version() { database ldbsearch "(sAMAccountName=${1^^}\$)" msDS-KeyVersionNumber | sed -n 's/^msDS-KeyV.*: //p'; }

host_ticket() { lab exec admin -- kinit -k -t "$2" -c "FILE:$WORK/cc.$1" "${1^^}\$"; } # HOST KEYTAB

# s4u HOST TARGET: for alice, with the host's keytab.
s4u() {
    lab exec admin --user alice -- "$WORK/s4u" "FILE:$LAB/admin/cc/alice" "FILE:$WORK/cc.$1" "drover/$1.$DOMAIN" "$2"
}

# smb CCACHE_OF COMMAND
smb() {
    lab exec admin --user "$1" -- smbclient -N -s "$LAB/etc/smb-client.conf" --use-kerberos=required \
        "//fs.$DOMAIN/$BARE" -c "$2" </dev/null
}
smb_host() {
    lab exec admin -- env KRB5CCNAME="FILE:$WORK/cc.$1" smbclient -N -s "$LAB/etc/smb-client.conf" \
        --use-kerberos=required "//fs.$DOMAIN/$BARE" -c "$2" </dev/null
}

works() {
    local host
    for host in "$A" "$B"; do
        need "$host logs on with its keytab" host_ticket "$host" "$1/$host.keytab"
    done
    need "$A acts for alice at $B" s4u "$A" "drover/$B.$DOMAIN"
    need "$B acts for alice at $A" s4u "$B" "drover/$A.$DOMAIN"
    need "$A acts for alice at the file server" s4u "$A" "cifs/fs.$DOMAIN"
    s4u "$A" "host/$B.$DOMAIN" >/dev/null 2>&1 && bad "$A acts for alice anywhere"
    need "$A writes in the folder" smb_host "$A" 'mkdir vm; put /etc/hosts vm/disk'
    need "alice writes below it" smb alice 'put /etc/hosts vm/alice; rm vm/alice'
    smb bob ls >"$WORK/bob" 2>&1 && bad "bob reads the folder"
    like "bob may not" "$(cat "$WORK/bob")" "*ACCESS_DENIED*"
}

# --- the test ---

test_begin
mkdir "$WORK/tmp"
# shellcheck disable=SC2046  # flags
need "s4u is built" cc -o "$WORK/s4u" "$LAB_CHECKOUT/tests/lab/s4u.c" $(pkg-config --cflags --libs krb5)
need "an empty share" share_begin
names 0
need "a bare domain" bare 1

command_line "${ARGUMENTS[@]}"
like "hosts without accounts" "$?: $(cat "$WORK/err")" '1: *no account "HVX*N1A$"*--create*'
command_line "${ARGUMENTS[@]}" --create
like "no place for keytabs" "$?: $(cat "$WORK/err")" "2: *--keytab-dir*"
command_line "${ARGUMENTS[@]}" --create --keytab-dir /tmp
like "a place where others look" "$?: $(cat "$WORK/err")" "4: *yours alone*0700*"
(umask 077 && mkdir "$WORK/keys" && touch "$WORK/keys/$B.keytab")
setup
like "a keytab that is there" "$?: $(cat "$WORK/err")" "1: *there is a $WORK/keys/$B.keytab already*"
command_line "${ARGUMENTS[@]}" --create --keytab-dir "$WORK/keys" --store "smb://nosuch.$DOMAIN/VM"
like "a file server that is not there" "$?: $(cat "$WORK/err")" "5: *permissions of smb://nosuch.$DOMAIN/VM*cannot resolve*"
is "nothing was made" "$(directory)$(find "$WORK/keys" -name '.new*')" ""
need "a bare domain" bare 2

need "one command" setup
is "makes it all" "$(changes)" 21
works "$WORK/keys"
directory >"$WORK/directory"
permissions >"$WORK/permissions"
is "keytabs hold both AES keys, of the account's version" "$(versions "$WORK/keys/$A.keytab")" "2 $(account_version "$A")"
is "keytabs are private" "$(stat -c '%a' "$WORK/keys" "$WORK/keys/$A.keytab" | paste -sd ' ')" "700 600"
is "no ticket is left" "$(find "$WORK/tmp" -mindepth 1)" ""
need "a second run" setup
is "changes nothing" "$(changes)$(notes)" 0
is "nor does it print commands" "$(printed samba-tool)" ""
need "nobody's tickets" as_admin env KRB5CCNAME="DIR:$WORK/tmp" kinit Administrator <<<"$LAB_PASSWORD"
need "a run with another kind of ticket cache" as_admin env KRB5CCNAME="DIR:$WORK/tmp" drover --yes delegation setup "${ARGUMENTS[@]}"

# The folder, in part and with too much.
need "operators lose their entry" as_admin smbcacls -N --use-kerberos=required "//fs.$DOMAIN/$BARE" / \
    --delete "ACL:$WORKGROUP\\${TEAMS[2]}:ALLOWED/OI|CI/RWXD"
need "and everyone gets one" as_admin smbcacls -N --use-kerberos=required "//fs.$DOMAIN/$BARE" / \
    --add "ACL:S-1-1-0:ALLOWED/OI|CI/FULL"
command_line "${ARGUMENTS[@]}" --no-acl
is "--no-acl does nothing about it" "$(changes)$(notes)" 0
need "a run" setup
is "gives one back" "$(changes)" 1
like "and tells the other" "$(notes)" "*all of S-1-1-0 may change things*"
like "also when there is nothing to do" "$(as_admin drover delegation setup "${ARGUMENTS[@]}" --dry-run)" "*S-1-1-0*"
need "with a command" eval "$(notes | sed -n 's/.*take it away: \(.*\), or on Windows.*/\1/p')"
is "that takes it away" "$(diff <(permissions) "$WORK/permissions")" ""
lab exec admin --user bob -- drover --yes delegation setup "${ARGUMENTS[@]}" >"$WORK/out" 2>"$WORK/err"
like "bob may not look" "$?: $(cat "$WORK/err")" "4: *permissions of $URL*domain admin*--no-acl*"

# A keytab that got lost, as it does when the command ends between account and keytab.
mv "$WORK/keys/$A.keytab" "$WORK/lost.keytab"
need "a run without it" setup
is "changes nothing" "$(changes)" 0
like "and tells the way" "$(notes)" "$A has an account already*--new-keytab=$A"
need "a new keytab" command_line "${ARGUMENTS[@]}" --new-keytab "$A" --keytab-dir "$WORK/again"
need "is good" host_ticket "$A" "$WORK/again/$A.keytab"
is "and of the account's newest keys" "$(versions "$WORK/again/$A.keytab")" "2 $(account_version "$A")"
host_ticket "$A" "$WORK/lost.keytab" >/dev/null 2>&1 && bad "the old one is, too"
lab exec admin --user Administrator -- drover --no-input delegation setup --new-keytab "$A" --keytab-dir "$WORK/third" \
    >"$WORK/out" 2>"$WORK/err"
like "without a yes there is none" "$?: $(cat "$WORK/err")" "2: *new password*--yes*"
command_line --new-keytab dc1 --keytab-dir "$WORK/third" --no-acl
like "nor one of a domain controller" "$?: $(cat "$WORK/err")" "2: *DC1\$*password stays*"

# By hand.
need "a bare domain" bare 3
printed ldif >"$WORK/plan.ldif"
ldbmodify -H "$LAB/dc/private/sam.ldb" <"$WORK/plan.ldif" || bad "ldbmodify: $(cat "$WORK/by-hand")"
is "LDIF gives the same directory" "$(diff <(directory) "$WORK/directory")" ""
need "keytabs for it" setup --new-keytab "$A" --new-keytab "$B"
works "$WORK/keys"

need "a bare domain" bare 4
mkdir -m 700 "$WORK/keys" && cd "$WORK/keys" || exit 1
printed samba-tool >"$WORK/plan.sh"
: >"$WORK/by-hand"
# shellcheck disable=SC1091
. "$WORK/plan.sh" || bad "by hand: $(cat "$WORK/by-hand")"
is "samba-tool gives the same directory" "$(diff <(directory) "$WORK/directory")" ""
is "and smbcacls the same permissions" "$(diff <(permissions) "$WORK/permissions")" ""
mv "${A^^}.keytab" "$A.keytab" && mv "${B^^}.keytab" "$B.keytab"
works "$WORK/keys"
need "then the command" setup
is "has nothing to do" "$(changes)" 0
test_result
