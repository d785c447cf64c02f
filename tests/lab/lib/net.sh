# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# Namespaces, the two bridges and the cables between them. All links are created inside namespaces.

# net_up: build the network; nothing of it may exist yet.
net_up() {
    [[ -d /run/netns ]] || touch "$LAB/.made-run-netns"
    ip netns add "$NS_SWITCH"
    ip -n "$NS_SWITCH" link set lo up
    ip -n "$NS_SWITCH" link add name lan type bridge stp_state 0 forward_delay 0
    ip -n "$NS_SWITCH" link set lan alias "$LAB"
    ip -n "$NS_SWITCH" link add name mig type bridge stp_state 0 forward_delay 0
    no_ipv6 "$NS_SWITCH"
    ip -n "$NS_SWITCH" link set lan up
    ip -n "$NS_SWITCH" link set mig up
    cut_table
    local node
    for node in "${NODES[@]}"; do
        node_net "$node"
    done
}

node_net() {
    local node=$1 ns=$NS_PREFIX$1 lan_if=eth0
    ip netns add "$ns"
    no_ipv6 "$ns"
    ip -n "$ns" link set lo up
    cable "$node" eth0 "$node" lan
    if [[ -n ${MIG_IP[$node]:-} ]]; then
        # The uplink is a port of br0, where VM taps join it; the host's own address sits on br0.
        # br0 gets a fixed MAC: a bridge without one changes it when a tap joins.
        ip -n "$ns" link add name br0 type bridge stp_state 0 forward_delay 0
        ip -n "$ns" link set br0 address "$(mac_of "$node" 0)"
        ip -n "$ns" link set eth0 master br0
        ip -n "$ns" link set br0 up
        lan_if=br0
        cable "$node" mig0 "${node}m" mig
        ip -n "$ns" address add "${MIG_IP[$node]}/$MIG_PREFIX" dev mig0
    fi
    ip -n "$ns" address add "${LAN_IP[$node]}/$LAN_PREFIX" dev "$lan_if"
    if [[ $node == hv1 ]]; then
        ip -n "$ns" address add "$HV3_IP/$LAN_PREFIX" dev "$lan_if"
    fi
}

# cable NODE IF PORT BRIDGE: veth from the node's IF to the switch's PORT.
cable() {
    ip -n "$NS_SWITCH" link add name "$3" type veth peer name "$2" netns "$NS_PREFIX$1"
    ip -n "$NS_SWITCH" link set "$3" master "$4"
    ip -n "$NS_SWITCH" link set "$3" up
    ip -n "$NS_PREFIX$1" link set "$2" up
}

# mac_of NODE N: a locally administered address that ends in the node's last address byte.
mac_of() { printf '02:83:00:00:%02x:%02x' "$2" "${LAN_IP[$1]##*.}"; }

# IPv6 stays on lo only: link-local addresses would give the daemons a second way to each other.
no_ipv6() {
    ip netns exec "$1" sh -c 'cd /proc/sys/net/ipv6/conf 2>/dev/null || exit 0
        echo 1 >all/disable_ipv6; echo 1 >default/disable_ipv6; echo 0 >lo/disable_ipv6'
}

# net_down: remove all namespaces of the lab; with them go their links.
net_down() {
    local ns
    for ns in "${NODES[@]/#/$NS_PREFIX}" "$NS_SWITCH"; do
        ns_exists "$ns" && ip netns del "$ns"
    done
    if [[ -f $LAB/.made-run-netns && -z $(ls -A /run/netns 2>/dev/null) ]]; then
        # `ip netns add` bind-mounts this folder on itself; it was not there before the lab.
        umount /run/netns 2>/dev/null
        rmdir /run/netns
    fi
    return 0
}

# Every process inside the lab's namespaces.
lab_pids() {
    local ns
    for ns in "${NODES[@]/#/$NS_PREFIX}" "$NS_SWITCH"; do
        ns_exists "$ns" && ip netns pids "$ns"
    done
    return 0
}

# kill_lab_processes: TERM, up to 3 s, KILL.
kill_lab_processes() {
    local pids
    pids=$(lab_pids)
    [[ -n $pids ]] || return 0
    # shellcheck disable=SC2086  # a list of pids
    kill -CONT $pids 2>/dev/null
    # shellcheck disable=SC2086
    kill -TERM $pids 2>/dev/null
    wait_for 3 no_lab_processes && return 0
    # shellcheck disable=SC2046
    kill -KILL $(lab_pids) 2>/dev/null
    wait_for 5 no_lab_processes || die "processes that do not die: $(lab_pids | tr '\n' ' ')"
}

no_lab_processes() { [[ -z $(lab_pids) ]]; }
