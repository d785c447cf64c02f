# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# Wrong clocks: libfaketime, preloaded into a node's services and into its `lab exec` commands, and
# only while an offset is set. The monotonic clock stays true, as on a host with a wrong time of day.

FAKETIME_LIB=/usr/lib/$(uname -m)-linux-gnu/faketime/libfaketimeMT.so.1

clock_offset() {
    local offset=0
    [[ -r $LAB/$1/clock ]] && read -r offset <"$LAB/$1/clock"
    echo "$offset"
}

# cmd_clock NODE [±SECONDS]
cmd_clock() {
    require_root
    require_lab
    require_node "${1:-}"
    local node=$1 offset=${2:-} service
    if [[ -z $offset ]]; then
        echo "$node $(clock_offset "$node") s"
        return
    fi
    [[ $offset =~ ^[+-]?[0-9]+$ ]] || die "clock: '$offset' is no number of seconds"
    [[ -r $FAKETIME_LIB ]] || die "clock: $FAKETIME_LIB is missing (package libfaketime)"
    [[ $offset =~ ^[0-9] ]] && offset=+$offset
    if ((10#${offset#[+-]} == 0)); then
        rm -f "$LAB/$node/clock"
    else
        echo "$offset" >"$LAB/$node/clock"
    fi
    # MIT krb5 keeps the KDC's time offset in the ccache: a ticket from before would hide the new one.
    rm -f "$LAB/$node"/cc/*
    # VMs are not the agent's children in this sense: they keep the clock they were started with.
    for service in ${NODE_SERVICES[$node]}; do
        if svc_pid "$node" "$service" >/dev/null; then
            svc_stop "$node" "$service"
            svc_start "$node" "$service"
        fi
    done
}
