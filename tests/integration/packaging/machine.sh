# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# A clean Debian 12 in a folder, and booted there with its own systemd in the network of the lab's hv1. Sourced
# after tests/integration/lib.sh. What debootstrap and apt load is kept in the build folder.

CACHE=$DROVER_BUILD/packaging-test
ROOT=$CACHE/root-$$      # the machine's files
MACHINE=drovertest-$$    # its name, and that of its control group
NSPAWN=                  # pid of systemd-nspawn
LEADER=                  # and of the machine's systemd

# machine_make: ROOT is a minimal system.
machine_make() {
    mkdir -p "$CACHE/apt/partial"
    if [[ ! -d $CACHE/base ]]; then
        rm -rf "$CACHE/base.new"
        debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,libpam-systemd bookworm "$CACHE/base.new" &&
            mv "$CACHE/base.new" "$CACHE/base" || return
    fi
    cp -a "$CACHE/base" "$ROOT"
}

# machine_offline CMD...: in ROOT while it is not booted, with the network of this machine.
machine_offline() {
    # shellcheck disable=SC2016 # for the inner shell
    unshare --mount bash -c '
        set -e
        root=$1 apt=$2
        shift 2
        mount -t proc proc "$root/proc"
        mount --bind "$apt" "$root/var/cache/apt/archives"
        cp -L /etc/resolv.conf "$root/etc/resolv.conf"
        DEBIAN_FRONTEND=noninteractive exec chroot "$root" "$@"' machine "$ROOT" "$CACHE/apt" "$@"
}

# control_groups: folders in which this machine's control groups can be made, whatever their version.
control_groups() {
    local folder
    for folder in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
        [[ -e $folder/cgroup.procs ]] && echo "$folder"
    done
}

# machine_boot: until its systemd has started everything. It has hv1's network; nothing else of the lab is seen.
machine_boot() {
    # nspawn's own boot id is not seen in a unit's sandbox.
    cat /proc/sys/kernel/random/uuid >"$ROOT/etc/boot-id" || return
    # With the mode that udev's rules give it, wherever this runs.
    [[ -e $CACHE/tun ]] || { mknod "$CACHE/tun" c 10 200 && chmod 0666 "$CACHE/tun"; } || return
    # shellcheck disable=SC2016 # for the inner shell
    setsid bash -c '
        for folder in $1; do
            mkdir -p "$folder/$2" && echo $$ >"$folder/$2/cgroup.procs" || exit 1
        done
        export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
        exec systemd-nspawn --quiet --boot --directory="$3" --machine="$2" --register=no --keep-unit \
            --network-namespace-path="/run/netns/$4" --capability=CAP_NET_ADMIN --bind="$5:/dev/net/tun" \
            --system-call-filter=@known --console=read-only' machine \
        "$(control_groups | paste -sd' ')" "$MACHINE" "$ROOT" "${NS_PREFIX}hv1" "$CACHE/tun" </dev/null >"$WORK/boot.log" 2>&1 &
    NSPAWN=$!
    wait_until 30 machine_leader && wait_until 90 machine_settled && return
    cat "$WORK/boot.log"
    return 1
}

machine_leader() { LEADER=$(pgrep -P "$NSPAWN" -x systemd) && machine systemctl is-system-running; }
machine_settled() { [[ $(machine systemctl is-system-running) =~ ^(running|degraded)$ ]]; }

# machine CMD...: as root in the booted machine.
machine() {
    [[ -n $LEADER ]] || return
    DEBIAN_FRONTEND=noninteractive timeout 120 nsenter -t "$LEADER" --mount --uts --ipc --net --pid -- "$@" </dev/null
}

# machine_shutdown: its systemd shuts down in order.
machine_shutdown() {
    kill -TERM "$NSPAWN" && wait_until 120 machine_gone
    local status=$?
    wait "$NSPAWN"
    NSPAWN='' LEADER=''
    return $status
}

machine_off() {
    local folder
    if [[ -n $NSPAWN ]]; then
        kill -TERM "$NSPAWN"
        wait_until 60 machine_gone || kill -KILL "$NSPAWN"
        wait "$NSPAWN"
    fi
    for folder in $(control_groups); do
        [[ ! -d $folder/$MACHINE ]] || find "$folder/$MACHINE" -depth -type d -exec rmdir {} \;
    done
    rm -rf "$ROOT"
}

machine_gone() { ! kill -0 "$NSPAWN" 2>/dev/null; }
