# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# The hosts: folders, configuration and start of droverd.

# host_config NODE NAME ADDRESS: write NAME's folders and drover.conf. Keys and paths of
# droverd's configuration are known in this function and in conf/drover.conf alone.
host_config() {
    local node=$1 name=$2 dir=$LAB/$2
    # shellcheck disable=SC2034  # all used by the template
    local LISTEN=$3 KEYTAB=$LAB/keytabs/$2.keytab HOST=$2.$DOMAIN STATE_DIR=$dir/state RUN_DIR=/run/drover
    # shellcheck disable=SC2034
    local PORT=$DROVER_PORT QEMU_ID=$LAB_QEMU_ID BOOT_ID=$dir/boot_id
    [[ $node == "$name" ]] || RUN_DIR=/run/drover-$name
    mkdir -p "$dir/state" "$dir/images" "$LAB/$node$RUN_DIR"
    # Another one and an empty run folder are what a boot leaves: see host_boot in tests/integration/lib.sh.
    [[ -e $BOOT_ID ]] || cp /proc/sys/kernel/random/boot_id "$BOOT_ID"
    chmod 0700 "$dir/state"
    render drover.conf >"$dir/drover.conf"
}

hv_prepare() {
    host_config hv1 hv1 "${LAN_IP[hv1]}"
    host_config hv2 hv2 "${LAN_IP[hv2]}"
    host_config hv1 hv3 "$HV3_IP"
}

start_droverd() { start_agent "$1" droverd "$1" "${LAN_IP[$1]}"; }

# The host HV3$, which is not in `VM Hosts`, lives in node hv1 under an address of its own.
start_droverd3() { start_agent "$1" droverd3 hv3 "$HV3_IP"; }

# start_agent NODE SERVICE NAME ADDRESS
start_agent() {
    [[ -x $LAB_BUILD/bin/droverd ]] || die "$LAB_BUILD/bin/droverd is not built (DROVER_BUILD says where)"
    svc_spawn "$1" "$2" "$LAB_BUILD/bin/droverd" --config "$LAB/$3/drover.conf"
    wait_for 30 agent_settled "$1" "$2" "$4" && svc_pid "$1" "$2" >/dev/null || return 1
    [[ -e $LAB/$3/state/lab-set ]] || agent_settings "$1" "$3"
}

# agent_settings NODE NAME: what an administrator sets once, as root on the host itself.
agent_settings() {
    local socket=/run/drover/drover.sock drover
    [[ $1 == "$2" ]] || socket=/run/drover-$2/drover.sock
    drover=(node_run "$1" env DROVER_SOCKET="$socket" "$LAB_BUILD/bin/drover" --quiet)
    "${drover[@]}" store add VM "smb://fs.$DOMAIN/$SHARE" &&
        "${drover[@]}" store add local "local:$LAB/$2/images" &&
        "${drover[@]}" host set receive=on send=on arbiter=VM move_networks="$MIG_NET" \
            data_ports="$DROVER_DATA_PORTS" \
            roles="admin=VM Admins,operator=VM Operators,viewer=VM Viewers,hosts=VM Hosts" &&
        touch "$LAB/$2/state/lab-set"
}

# Listening, or dead: no need to wait longer.
agent_settled() {
    svc_pid "$1" "$2" >/dev/null || return 0
    node_run "$1" bash -c "exec 3<>/dev/tcp/$3/$DROVER_PORT"
}
