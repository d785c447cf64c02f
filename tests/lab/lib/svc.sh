# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# Services. Each is started as leader of a session; a signal goes to its whole session and to the
# descendants that made sessions of their own (Samba's DC does). Of droverd only the agent itself is
# meant: its VMs are to outlive it.

svc_file() { echo "$LAB/$1/$2.pid"; }

svc_pid() { pidfile_pid "$(svc_file "$1" "$2")"; }

# svc_pids NODE NAME: processes that a signal to the service goes to, also when the leader is gone.
svc_pids() {
    local node=$1 name=$2 leader pids
    case $name in
    droverd*)
        svc_pid "$node" "$name"
        return 0
        ;;
    esac
    read -r leader _ 2>/dev/null <"$(svc_file "$node" "$name")" || return 0
    pids=$(ip netns pids "$NS_PREFIX$node" | paste -sd,)
    [[ -n $pids ]] || return 0
    ps -o pid=,ppid=,sid= -p "$pids" | awk -v leader="$leader" '
        { parent[$1] = $2; session[$1] = $3 }
        END {
            ours[leader] = 1
            do {
                more = 0
                for (p in parent)
                    if (!(p in ours) && (session[p] in ours || parent[p] in ours))
                        more = ours[p] = 1
            } while (more)
            for (p in parent)
                if (p in ours)
                    print p
        }'
}

svc_signal() {
    local pids
    pids=$(svc_pids "$2" "$3")
    # shellcheck disable=SC2086  # a list of pids
    [[ -z $pids ]] || kill -s "$1" $pids 2>/dev/null
    return 0
}

svc_gone() { [[ -z $(svc_pids "$1" "$2") ]]; }

# svc_state NODE NAME: up, frozen or down.
svc_state() {
    local pid
    pid=$(svc_pid "$1" "$2") || { echo down && return; }
    case $(proc_state "$pid") in
    T) echo frozen ;;
    *) echo up ;;
    esac
}

# svc_spawn NODE NAME CMD...: run CMD in the node, detached, output to a log file.
svc_spawn() {
    local node=$1 name=$2
    shift 2
    # The subshell execs setsid, then nsenter, env and CMD in place: its pid is the service's.
    (
        local holder
        holder=$(holder_pid "$node") || die "node $node has no holder process"
        node_env "$node"
        node_clock "$node"
        exec setsid nsenter -t "$holder" --mount --uts --net --wdns=/ env "${FAKE[@]}" "$@"
    ) </dev/null >>"$LAB/log/$node-$name.log" 2>&1 &
    pidfile_write "$(svc_file "$node" "$name")" $!
}

# svc_start NODE NAME: start it and wait until it answers; a frozen one is continued.
svc_start() {
    local node=$1 name=$2
    case $(svc_state "$node" "$name") in
    frozen)
        svc_signal CONT "$node" "$name"
        return
        ;;
    up) return ;;
    esac
    "start_$name" "$node" || die "$name on $node does not answer; see $LAB/log/$node-$name.log"
}

svc_stop() {
    svc_signal CONT "$1" "$2"
    svc_signal TERM "$1" "$2"
    if ! wait_for 10 svc_gone "$1" "$2"; then
        say "$2 on $1 ignored SIGTERM for 10 s, killing it"
        svc_kill "$1" "$2"
    fi
    rm -f "$(svc_file "$1" "$2")"
}

# Frozen first, so that a parent cannot start a new child between the listing and the kill.
svc_kill() {
    svc_signal STOP "$1" "$2"
    svc_signal KILL "$1" "$2"
    wait_for 5 svc_gone "$1" "$2" || die "$2 on $1 survived SIGKILL"
    rm -f "$(svc_file "$1" "$2")"
}

# Twice, for the same reason.
svc_freeze() {
    svc_pid "$1" "$2" >/dev/null || die "$2 on $1 is not running"
    svc_signal STOP "$1" "$2"
    svc_signal STOP "$1" "$2"
}

# cmd_svc NODE NAME stop|kill|freeze|start|status
cmd_svc() {
    require_root
    require_lab
    require_node "${1:-}"
    local node=$1 name=${2:-} verb=${3:-status} state
    [[ " ${NODE_SERVICES[$node]} " == *" $name "* ]] ||
        die "svc: $node has no service '$name' (it has: ${NODE_SERVICES[$node]:-none})"
    case $verb in
    start) svc_start "$node" "$name" ;;
    stop) svc_stop "$node" "$name" ;;
    kill) svc_kill "$node" "$name" ;;
    freeze) svc_freeze "$node" "$name" ;;
    status)
        state=$(svc_state "$node" "$name")
        echo "$state"
        [[ $state == up ]]
        ;;
    *) die "svc: unknown verb '$verb' (stop, kill, freeze, start, status)" ;;
    esac
}
