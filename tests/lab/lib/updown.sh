# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# up, down and status.

PROVISION_PID= # of the background job while it runs

# cmd_up [--no-agents]
cmd_up() {
    local agents=1
    case ${1:-} in
    '') ;;
    --no-agents) agents=0 ;;
    *) die "up: unknown option $1" ;;
    esac
    require_root
    check_free
    check_tools
    local t0=$EPOCHREALTIME
    mkdir -p "$LAB"/{etc,log}
    chmod 0755 "$LAB"
    echo $$ >"$LAB/.drover-lab"
    trap up_failed EXIT
    trap 'exit 130' INT TERM
    say "building in $LAB"
    trap 'echo "lab: $BASH_SOURCE:$LINENO: $BASH_COMMAND: failed" >&2' ERR
    set -eE
    up_steps "$agents"
    set +eE
    trap - EXIT INT TERM ERR
    printf 'lab: up after %.1f s; try: %s exec admin --user alice -- klist\n' \
        "$(bc_sub "$EPOCHREALTIME" "$t0")" "$LAB_DIR_SELF/lab"
}

bc_sub() { awk -v a="$1" -v b="$2" 'BEGIN { print a - b }'; }

up_steps() {
    local node
    # The provisioning is two thirds of the time, and needs nothing of what is built meanwhile.
    dc_provision &
    PROVISION_PID=$!
    shared_files
    net_up
    for node in "${NODES[@]}"; do
        node_up "$node"
    done
    fs_prepare
    hv_prepare
    wait "$PROVISION_PID"
    PROVISION_PID=
    dc_objects
    svc_start dc samba
    user_ticket admin Administrator
    dc_keytabs
    fs_join
    svc_start fs winbindd
    svc_start fs smbd
    fs_owner
    domain_setup
    [[ $1 -eq 1 ]] || return 0
    if [[ -x $LAB_BUILD/bin/droverd ]]; then
        svc_start hv1 droverd
        svc_start hv2 droverd
    else
        say "no $LAB_BUILD/bin/droverd: up without agents"
    fi
}

# What all nodes read: /etc/hosts and its like, krb5.conf, the SMB client's settings.
shared_files() {
    # shellcheck disable=SC2034  # used by the template
    local DC_IP=${LAN_IP[dc]} node
    render krb5.conf >"$LAB/etc/krb5.conf"
    render smb-client.conf >"$LAB/etc/smb-client.conf"
    printf 'search %s\nnameserver %s\noptions timeout:1 attempts:1\n' "$DOMAIN" "$DC_IP" >"$LAB/etc/resolv.conf"
    # smbd refuses a domain user whose uid NSS does not know. On the other nodes winbind is not there
    # and finds nothing.
    printf '%s\n' 'passwd: files winbind' 'group: files winbind' 'hosts: files dns' >"$LAB/etc/nsswitch.conf"
    {
        echo "127.0.0.1 localhost"
        for node in "${NODES[@]}"; do
            echo "${LAN_IP[$node]} ${NODE_HOST[$node]}.$DOMAIN ${NODE_HOST[$node]}"
        done
        echo "$HV3_IP hv3.$DOMAIN hv3"
    } >"$LAB/etc/hosts"
}

# Refuse when any lab is up, or when the folder holds something else.
check_free() {
    local owner
    if ns_exists "$NS_SWITCH"; then
        owner=$(owner_folder)
        die "a lab is already up, in ${owner:-an unknown folder} (lab down removes it)"
    fi
    local node
    for node in "${NODES[@]}"; do
        ns_exists "$NS_PREFIX$node" && die "namespace $NS_PREFIX$node is left over: run lab down first"
    done
    [[ ! -e $LAB/.drover-lab ]] || die "$LAB is left over from a lab: run lab down first"
    [[ -z $(ls -A "$LAB" 2>/dev/null) ]] || die "$LAB is not empty and not a lab's"
}

check_tools() {
    local tool missing=()
    for tool in ip tc nft nsenter samba samba-tool smbd winbindd wbinfo net ldbmodify kinit ktutil ps; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    [[ ${#missing[@]} -eq 0 ]] || die "not installed: ${missing[*]} (packages: packaging/packages)"
}

# Runs on any end of `up` that is not success.
up_failed() {
    local status=$?
    trap - EXIT INT TERM ERR
    set +eE
    # Not all jobs: the nodes' holders are jobs too, and end with their namespaces.
    if [[ -n $PROVISION_PID ]]; then
        kill "$PROVISION_PID" 2>/dev/null
        wait "$PROVISION_PID" 2>/dev/null
    fi
    say "up failed, removing what was built; logs are kept in $LAB.logs" >&2
    remove_lab keep-logs
    exit $((status ? status : 1))
}

# cmd_down [--keep-logs]
cmd_down() {
    require_root
    local owner
    if ns_exists "$NS_SWITCH"; then
        owner=$(owner_folder)
        [[ -z $owner || $owner == "$LAB" ]] ||
            die "the lab that is up belongs to $owner; to remove it: DROVER_LAB_DIR=$owner lab down"
    fi
    case ${1:-} in
    '') remove_lab ;;
    --keep-logs) remove_lab keep-logs ;;
    *) die "down: unknown option $1" ;;
    esac
    say "down"
}

# remove_lab [keep-logs]: processes, namespaces (with their links and mounts), folder.
remove_lab() {
    kill_lab_processes
    net_down
    [[ -e $LAB/.drover-lab ]] || return 0
    if [[ ${1:-} == keep-logs ]]; then
        rm -rf "$LAB.logs"
        mv "$LAB/log" "$LAB.logs"
    fi
    rm -rf "$LAB"
}

# cmd_status: exit 0 only if everything that is not on demand is up.
cmd_status() {
    require_lab
    local node service state line all=0
    for node in "${NODES[@]}"; do
        line=$(printf '%-6s %-18s %-12s %-11s' "$node" "${NODE_HOST[$node]}.$DOMAIN" "${LAN_IP[$node]}" \
            "${MIG_IP[$node]:--}")
        holder_pid "$node" >/dev/null || { line+=" NODE DOWN" && all=1; }
        for service in ${NODE_SERVICES[$node]}; do
            state=$(svc_state "$node" "$service")
            [[ $ON_DEMAND == *" $service "* && $state == down ]] && continue
            line+=" $service:$state"
            [[ $state == up ]] || all=1
        done
        [[ $(clock_offset "$node") -eq 0 ]] || line+=" clock:$(clock_offset "$node")s"
        echo "$line"
    done
    return $all
}
