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
    ldif_hv3
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

# A host that somebody set up by hand, and in no group. domain_setup makes the others.
ldif_hv3() {
    cat <<LDIF
dn: CN=HV3,CN=Computers,$BASE_DN
changetype: add
objectClass: computer
sAMAccountName: HV3\$
userAccountControl: 4096
dNSHostName: hv3.$DOMAIN
$(ldif_password "$HOST_PASSWORD")
msDS-SupportedEncryptionTypes: 28
servicePrincipalName: host/hv3.$DOMAIN
servicePrincipalName: drover/hv3.$DOMAIN
msDS-AllowedToDelegateTo: cifs/fs.$DOMAIN
msDS-AllowedToDelegateTo: drover/hv2.$DOMAIN

LDIF
}

# domain_setup: all that drover needs of a domain and a share, from accounts of the hosts to permissions. Nothing
# else in the lab does any of it.
domain_setup() {
    [[ -x $LAB_BUILD/bin/drover ]] || die "$LAB_BUILD/bin/drover is not built (DROVER_BUILD says where)"
    node_run admin env KRB5CCNAME="FILE:$LAB/admin/cc/Administrator" "$LAB_BUILD/bin/drover" --yes \
        delegation setup hv1 hv2 --create --keytab-dir "$LAB/keytabs" --store "smb://fs.$DOMAIN/$SHARE" \
        --admin erin --operator alice --operator carol --operator dave --viewer val \
        >"$LAB/log/delegation.log" 2>&1 || die "delegation: $(tail -3 "$LAB/log/delegation.log")"
}

ldif_member() {
    cat <<LDIF
dn: CN=$1,CN=Users,$BASE_DN
changetype: modify
add: member
member: CN=$2,CN=Users,$BASE_DN

LDIF
}

# dc_keytabs: HV3's, mode 0600. A keytab with only HV3$ accepts tickets for each of its service names. ktutil fetches
# the salt from the KDC (-f).
dc_keytabs() {
    mkdir -p "$LAB/keytabs"
    chmod 0700 "$LAB/keytabs"
    (
        umask 077
        node_run admin ktutil >/dev/null <<KTUTIL
addent -password -p HV3\$ -k 1 -e aes256-cts-hmac-sha1-96 -f
$HOST_PASSWORD
wkt $LAB/keytabs/hv3.keytab
q
KTUTIL
    )
    [[ -s $LAB/keytabs/hv3.keytab ]] || die "no keytab for HV3"
}
