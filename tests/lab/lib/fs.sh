# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# The file server: smbd and winbindd as domain member, share VM.

fs_prepare() {
    mkdir -p "$LAB"/fs/{etc,private,state,cache,lock,share}
    render fs.smb.conf >"$LAB/fs/etc/smb.conf"
    # `net ads join` would create these two with a message; the share's owner is set in fs_owner.
    chmod 0777 "$LAB/fs/share"
}

fs_join() {
    # NTLM is off in the lab's Samba, so the join has to be told to use Kerberos.
    node_run fs net ads join -s "$LAB/fs/etc/smb.conf" -U "Administrator%$LAB_PASSWORD" \
        --use-kerberos=required --no-dns-updates >"$LAB/log/join.log" 2>&1 ||
        die "net ads join: $(tail -3 "$LAB/log/join.log")"
}

start_winbindd() {
    svc_spawn fs winbindd winbindd -s "$LAB/fs/etc/smb.conf" -F --no-process-group
    wait_for 20 node_run fs wbinfo -t
}

start_smbd() {
    svc_spawn fs smbd smbd -s "$LAB/fs/etc/smb.conf" -F --no-process-group
    wait_for 20 node_run fs bash -c "exec 3<>/dev/tcp/${LAN_IP[fs]}/445"
}

# fs_owner: whom the share's folder belongs to, who alone may set the first permissions: domain_setup does.
fs_owner() {
    local sid uid
    sid=$(node_run fs wbinfo -n "$WORKGROUP\\Administrator" | cut -d' ' -f1)
    uid=$(node_run fs wbinfo -S "$sid") || die "winbindd cannot map $sid"
    chown "$uid" "$LAB/fs/share"
}
