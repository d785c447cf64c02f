# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# A node beyond its network: one mount and UTS namespace, held by a `sleep`. Services and `lab exec`
# of a node enter the same one, so they see the same /run, /etc/hosts and host name.

# node_up NODE: start the holder.
node_up() {
    local node=$1 dir=$LAB/$1 path
    mkdir -p "$dir"/{run/samba,cc,log,rcache}
    chmod 0700 "$dir/cc" "$dir/rcache"
    for path in /var/lib/samba /var/cache/samba /var/log/samba; do
        [[ -d $path ]] && mkdir -p "$dir/private$path"
    done
    mkdir -p "$dir/private/var/lib/samba/private" "$dir/private/var/lib/samba/winbindd_privileged"
    # Samba insists on the permissions of these two.
    chmod 0755 "$dir/run/samba"
    chmod 0750 "$dir/private/var/lib/samba/winbindd_privileged"
    setsid ip netns exec "$NS_PREFIX$node" unshare --mount --uts --propagation private \
        bash -c "$(declare -f node_inside); node_inside \"\$@\"" node \
        "$dir" "${NODE_HOST[$node]}" "$LAB/etc" \
        </dev/null >"$dir/log/holder.log" 2>&1 &
    pidfile_write "$dir/holder.pid" $!
    wait_for 5 test -e "$dir/run/.ready" ||
        die "node $node did not come up: $(cat "$dir/log/holder.log")"
    rm -f "$dir/run/.ready"
}

# Runs inside the new namespaces. /run is the node's own: the path of winbindd's socket is compiled
# into Samba, and droverd's default socket lives there too.
node_inside() {
    set -e
    local dir=$1 host=$2 etc=$3 path
    hostname "$host"
    mount --bind "$dir/run" /run
    mount -t tmpfs tmpfs /dev/shm # libfaketime leaves files there
    path=$(readlink -m /etc/resolv.conf)
    case $path in
    /run/*) mkdir -p "${path%/*}" && touch "$path" ;;
    esac
    mount --bind "$etc/resolv.conf" /etc/resolv.conf
    mount --bind "$etc/hosts" /etc/hosts
    mount --bind "$etc/nsswitch.conf" /etc/nsswitch.conf
    for path in /var/lib/samba /var/cache/samba /var/log/samba; do
        if [[ -d $path ]]; then
            mount --bind "$dir/private$path" "$path"
        fi
    done
    touch /run/.ready
    exec sleep infinity
}

holder_pid() { pidfile_pid "$LAB/$1/holder.pid"; }

# node_enter NODE [NAME=VALUE...] CMD...: replace this shell by CMD inside the node.
node_enter() {
    local node=$1 holder
    shift
    holder=$(holder_pid "$node") || die "node $node has no holder process; run: lab down"
    node_env "$node"
    node_clock "$node"
    exec nsenter -t "$holder" --mount --uts --net --wdns="$PWD" env "${FAKE[@]}" "$@"
}

# node_run NODE CMD...: the same in a child.
node_run() { (node_enter "$@"); }

# Environment of everything that runs in a node. Must run in a subshell or before exec.
node_env() {
    local node=$1
    export KRB5_CONFIG=$LAB/etc/krb5.conf
    export KRB5CCNAME=FILE:$LAB/$node/cc/none    # never the machine's own tickets
    export KRB5RCACHEDIR=$LAB/$node/rcache       # nor one replay cache for all nodes
    export DROVER_LAB_DIR=$LAB DROVER_NODE=$node
    export PATH=$LAB_BUILD/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    unset SMB_CONF_PATH KRB5_KTNAME KRB5_CLIENT_KTNAME XDG_RUNTIME_DIR
    case $node in
    # Not on hv1 and hv2: drover has to bring its own SMB settings.
    dc | fs) export SMB_CONF_PATH=$LAB/$node/etc/smb.conf ;;
    admin) export SMB_CONF_PATH=$LAB/etc/smb-client.conf ;;
    esac
}

# Sets FAKE to the assignments that a node with a wrong clock needs. They are given to the command by
# `env` inside the node: libfaketime in nsenter already would leave files in the machine's /dev/shm.
node_clock() {
    local offset
    offset=$(clock_offset "$1")
    FAKE=()
    [[ $offset -ne 0 ]] || return 0
    # The fix that is forced off makes waits on the monotonic clock end at once (libfaketime 0.9.10).
    FAKE=(FAKETIME="$offset" FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1 FAKETIME_FORCE_MONOTONIC_FIX=0
        LD_PRELOAD="$FAKETIME_LIB${LD_PRELOAD:+:$LD_PRELOAD}"
        ASAN_OPTIONS="verify_asan_link_order=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}")
}

# cmd_exec NODE [--user USER] [--] CMD...
cmd_exec() {
    require_root
    local node=${1:-} user=
    require_lab
    require_node "$node"
    shift
    while [[ ${1:-} == --* ]]; do
        case $1 in
        --user) user=${2:?--user wants a name} && shift 2 ;;
        --) shift && break ;;
        *) die "exec: unknown option $1" ;;
        esac
    done
    [[ $# -gt 0 ]] || die "exec: no command"
    if [[ -n $user ]]; then
        user_ticket "$node" "$user"
        node_enter "$node" KRB5CCNAME="FILE:$LAB/$node/cc/$user" "$@"
    fi
    rm -f "$LAB/$node/cc/none"
    node_enter "$node" "$@"
}

# user_ticket NODE USER: a forwardable TGT good for at least five more minutes. Users log in with the
# lab's password, hosts (HV1$, HV2$, HV3$) with their keytab.
user_ticket() {
    local node=$1 user=$2 cc=FILE:$LAB/$1/cc/$2 keytab text
    (($(ticket_seconds "$node" "$cc") > 300)) && return
    keytab=$(keytab_of "$user")
    if [[ -n $keytab ]]; then
        text=$(node_run "$node" kinit -f -c "$cc" -k -t "$keytab" "$user" 2>&1)
    else
        text=$(node_run "$node" kinit -f -c "$cc" "$user" <<<"$LAB_PASSWORD" 2>&1)
    fi || die "no ticket for $user on $node: ${text##*$'\n'}"
}

# ticket_seconds NODE CCACHE: what is left of its TGT by the node's clock, 0 without one.
ticket_seconds() {
    local end
    end=$(LC_ALL=C node_run "$1" klist -c "$2" 2>/dev/null |
        awk -v tgt="krbtgt/$REALM@$REALM" '$5 == tgt { print $3, $4; exit }') || true
    [[ -n $end ]] || { echo 0 && return; }
    echo $(($(date -d "$end" +%s) - $(date +%s) - $(clock_offset "$1")))
}

# keytab_of USER: the keytab of a host account, nothing for a person.
keytab_of() {
    local name=${1%\$}
    [[ $name == "$1" ]] || echo "$LAB/keytabs/${name,,}.keytab"
}
