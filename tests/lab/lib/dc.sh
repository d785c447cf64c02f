# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# The domain controller: a real Samba AD DC, and everything the lab has in its directory.

# dc_provision: the slow part (8 to 11 s), needs no network.
dc_provision() {
    mkdir -p "$LAB/dc/etc"
    # With -s /dev/null provision does not copy Debian's smb.conf into the new one.
    if ! env -u SMB_CONF_PATH samba-tool domain provision -s /dev/null --realm="$REALM" \
        --domain="$WORKGROUP" --server-role=dc --dns-backend=SAMBA_INTERNAL \
        --adminpass="$LAB_PASSWORD" --host-name="${NODE_HOST[dc]}" --host-ip="${LAN_IP[dc]}" \
        --targetdir="$LAB/dc" >"$LAB/log/provision.log" 2>&1; then
        tail -5 "$LAB/log/provision.log" >&2
        die "samba-tool domain provision failed; see $LAB/log/provision.log"
    fi
    render dc.smb.conf >"$LAB/dc/etc/smb.conf"
}

# dc_objects: accounts and groups, written straight into the database before Samba runs on it.
dc_objects() {
    directory_ldif >"$LAB/dc/lab.ldif"
    node_run dc ldbmodify -H "$LAB/dc/private/sam.ldb" "$LAB/dc/lab.ldif" \
        >"$LAB/log/objects.log" 2>&1 || die "directory objects: $(tail -3 "$LAB/log/objects.log")"
}

start_samba() {
    svc_spawn dc samba samba -s "$LAB/dc/etc/smb.conf" -F --no-process-group
    wait_for 20 dc_answers
}

# KDC, LDAP and, for the join, SMB: three of Samba's processes, ready at different times.
dc_answers() {
    node_run dc bash -c "exec 3<>/dev/tcp/${LAN_IP[dc]}/445 4<>/dev/tcp/${LAN_IP[dc]}/389" &&
        node_run dc kinit -c "FILE:$LAB/dc/cc/Administrator" Administrator <<<"$LAB_PASSWORD"
}

directory_ldif() {
    local name
    echo "dn: CN=DC1,OU=Domain Controllers,$BASE_DN"
    echo "changetype: modify"
    echo "add: servicePrincipalName"
    # Normally registered by the dnsupdate service, which the lab leaves out. LDAP needs it.
    printf 'servicePrincipalName: ldap/%s\n' "dc1.$DOMAIN" "dc1.$DOMAIN/$DOMAIN" DC1
    echo
    for name in "${LAB_USERS[@]}"; do
        ldif_user "$name"
    done
    for name in HV1 HV2 HV3; do
        ldif_host "$name"
    done
    ldif_group "VM Hosts" HV1,CN=Computers HV2,CN=Computers
    ldif_group "VM Admins" erin,CN=Users
    ldif_group "VM Operators" alice,CN=Users carol,CN=Users dave,CN=Users
    ldif_group "VM Viewers" val,CN=Users
    ldif_member "Protected Users" dave
}

# unicodePwd is the password in quotes, UTF-16LE, base64.
ldif_password() { printf 'unicodePwd:: %s\n' "$(printf '"%s"' "$1" | iconv -t UTF-16LE | base64 -w0)"; }

ldif_user() {
    local flags=512 # NORMAL_ACCOUNT
    [[ $1 == carol ]] && flags=$((512 + 0x100000)) # NOT_DELEGATED: sensitive, cannot be delegated
    cat <<LDIF
dn: CN=$1,CN=Users,$BASE_DN
changetype: add
objectClass: user
sAMAccountName: $1
userPrincipalName: $1@$DOMAIN
userAccountControl: $flags
$(ldif_password "$LAB_PASSWORD")

LDIF
}

# A host account: what `delegation setup` makes, classic constrained delegation, Kerberos only
# (userAccountControl stays 4096). The second migration SPN, with backslashes, is for Samba's KDC,
# which escapes blanks before it looks a name up.
ldif_host() {
    local fqdn=${1,,}.$DOMAIN peer
    case $1 in
    HV1) peer=hv2.$DOMAIN ;;
    HV2) peer=hv1.$DOMAIN ;;
    HV3) peer=hv2.$DOMAIN ;;
    esac
    cat <<LDIF
dn: CN=$1,CN=Computers,$BASE_DN
changetype: add
objectClass: computer
sAMAccountName: $1\$
userAccountControl: 4096
dNSHostName: $fqdn
$(ldif_password "$HOST_PASSWORD")
msDS-SupportedEncryptionTypes: 24
servicePrincipalName: host/$fqdn
servicePrincipalName: drover/$fqdn
servicePrincipalName: Microsoft Virtual System Migration Service/$fqdn
servicePrincipalName: Microsoft\\ Virtual\\ System\\ Migration\\ Service/$fqdn
msDS-AllowedToDelegateTo: cifs/fs.$DOMAIN
msDS-AllowedToDelegateTo: drover/$peer

LDIF
}

# ldif_group NAME [RDN,CONTAINER...]
ldif_group() {
    local name=$1
    shift
    cat <<LDIF
dn: CN=$name,CN=Users,$BASE_DN
changetype: add
objectClass: group
sAMAccountName: $name
LDIF
    printf "member: CN=%s,$BASE_DN\n" "$@"
    echo
}

ldif_member() {
    cat <<LDIF
dn: CN=$1,CN=Users,$BASE_DN
changetype: modify
add: member
member: CN=$2,CN=Users,$BASE_DN

LDIF
}

# dc_keytabs: one per host account, mode 0600. A keytab with only HV1$ accepts tickets for each of its
# service names. ktutil fetches the salt from the KDC (-f).
dc_keytabs() {
    local name keytab
    mkdir -p "$LAB/keytabs"
    for name in HV1 HV2 HV3; do
        keytab=$LAB/keytabs/${name,,}.keytab
        (
            umask 077
            node_run admin ktutil >/dev/null <<KTUTIL
addent -password -p $name\$ -k 1 -e aes256-cts-hmac-sha1-96 -f
$HOST_PASSWORD
wkt $keytab
q
KTUTIL
        )
        [[ -s $keytab ]] || die "no keytab for $name"
    done
}
