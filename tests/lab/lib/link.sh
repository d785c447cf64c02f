# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# Slow and broken cables. Rates are token buckets at both ends of a node's cable. Cuts are drops in
# the switch, so that carrier stays up and nobody is told, as with a dead switch in between.

# Two sets of switch ports; VM traffic passes its host's port and is cut with it.
cut_table() {
    ip netns exec "$NS_SWITCH" nft -f - <<'NFT'
table bridge drover {
    set cut_in { type ifname; }
    set cut_out { type ifname; }
    chain forward {
        type filter hook forward priority 0; policy accept;
        oifname @cut_in drop
        iifname @cut_out drop
    }
}
NFT
}

# cut_change add|delete SET PORT: idempotent.
cut_change() {
    local nft=(ip netns exec "$NS_SWITCH" nft)
    if "${nft[@]}" get element bridge drover "$2" "{ \"$3\" }" >/dev/null 2>&1; then
        [[ $1 == add ]] && return 0
    else
        [[ $1 == delete ]] && return 0
    fi
    "${nft[@]}" "$1" element bridge drover "$2" "{ \"$3\" }"
}

# bytes_per_second RATE (10kbit, 100mbit, 1gbit)
rate_bytes() {
    [[ $1 =~ ^([0-9]+)(k|m|g)bit$ ]] || die "link: '$1' is no rate (500kbit, 100mbit, 1gbit)"
    local -A unit=([k]=1000 [m]=1000000 [g]=1000000000)
    echo $((BASH_REMATCH[1] * unit[${BASH_REMATCH[2]}] / 8))
}

# link_shape NAMESPACE IF RATE|off
link_shape() {
    ip netns exec "$1" tc qdisc del dev "$2" root 2>/dev/null
    [[ $3 == off ]] && return
    local burst
    burst=$(($(rate_bytes "$3") / 200)) # 5 ms, and room for one full-sized GSO packet
    ((burst >= 65536)) || burst=65536
    ip netns exec "$1" tc qdisc add dev "$2" root tbf rate "$3" burst "$burst" latency 50ms
}

# cmd_link NODE lan|mig RATE|off|cut [in|out]|heal
cmd_link() {
    require_root
    require_lab
    require_node "${1:-}"
    local node=$1 lan=${2:-} what=${3:-} port interface=eth0
    case $lan in
    lan) port=$node ;;
    mig)
        [[ -n ${MIG_IP[$node]:-} ]] || die "link: $node is not on the migration LAN"
        port=${node}m interface=mig0
        ;;
    *) die "link: '$lan' is neither lan nor mig" ;;
    esac
    case $what in
    cut)
        case ${4:-both} in
        in | out) cut_change add "cut_$4" "$port" ;;
        both) cut_change add cut_in "$port" && cut_change add cut_out "$port" ;;
        *) die "link: cut '$4'? (in: what the node receives, out: what it sends)" ;;
        esac
        ;;
    heal)
        cut_change delete cut_in "$port" && cut_change delete cut_out "$port"
        ;;
    '') die "link: RATE, off, cut [in|out] or heal?" ;;
    *)
        [[ $what == off ]] || rate_bytes "$what" >/dev/null
        link_shape "$NS_PREFIX$node" "$interface" "$what"
        link_shape "$NS_SWITCH" "$port" "$what"
        ;;
    esac
}
