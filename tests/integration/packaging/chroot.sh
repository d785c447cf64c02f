#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# chroot.sh BUILD_DIR: the Debian packages are clean to lintian, and in a clean Debian 12 with its own systemd
# they install, run and move VMs; no restart, kill, hang, upgrade, removal or purge of the agent touches QEMU or
# drover-store, and an agent that is installed again has them all. A shutdown of the host asks the guests, and its
# boot starts the VM that shall.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: chroot.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"
# shellcheck source=tests/integration/packaging/machine.sh
. "$HERE/machine.sh"

# What `systemd-analyze security` may say at most, tenths. What it counts and is not set, and why, stands in the unit.
EXPOSURE_MAX=20
VM_EXPOSURE_MAX=20
STORE_EXPOSURE_MAX=17
UNIT=drover-agent.service
VM=packaged-$$ IP=10.83.0.151 # its disk on the share
LOCAL_VM=onlocal-$$           # and one in a folder of the machine
export DEB_BUILD_OPTIONS="nocheck noautodbgsym"

for program in debootstrap dpkg-buildpackage dh lintian systemd-nspawn; do
    command -v "$program" >/dev/null || { echo "$program is not installed" && exit 77; }
done

cleanup() {
    machine drover --yes vm stop "$VM" --force
    machine drover --yes vm delete "$VM"
    machine_off
    rm -rf "$PACKAGES"
    lab svc hv1 droverd start
    vm_remove "$VM" hv2
}

# --- packages ---

# packages VERSION: into the machine's /packages.
packages() {
    "$LAB_CHECKOUT/packaging/build-packages" "$PACKAGES" "$1" && mkdir -p "$ROOT/packages" &&
        rm -f "$ROOT"/packages/* && cp "$PACKAGES"/*.deb "$ROOT/packages"
}

clean_to_lintian() { lintian --allow-root --fail-on error,warning "$PACKAGES"/*.changes; }

# exposure UNIT: its score.
exposure() {
    systemd-analyze security --offline=true --no-pager "$ROOT/lib/systemd/system/$1" |
        sed -n 's/.*exposure level for .*: \([0-9]*\)\.\([0-9]\) .*/\1\2/p'
}

# --- the machine in the place of hv1 ---

configure() {
    cp "$LAB"/etc/{hosts,krb5.conf,nsswitch.conf,resolv.conf} "$ROOT/etc/" &&
        install -m 0600 "$LAB/keytabs/hv1.keytab" "$ROOT/etc/krb5.keytab" &&
        printf '%s\n' "host = hv1.$DOMAIN" "listen = ${LAN_IP[hv1]}" "dc = dc1.$DOMAIN" "boot_id_file = /etc/boot-id" \
            >"$ROOT/etc/drover/drover.conf.d/10-lab.conf" &&
        echo hv1 >"$ROOT/etc/hostname" && mkdir "$ROOT/srv/vm" || return
    # The lab has configured the network.
    ln -s /dev/null "$ROOT/etc/systemd/system/systemd-networkd.service"
    ln -s /dev/null "$ROOT/etc/systemd/system/systemd-networkd.socket"
    "$LAB_CHECKOUT/tests/guest/mkimage" "$ROOT/srv/import.raw" 128M --ip "$IP" --artefacts "$DROVER_BUILD/guest"
}

settings() {
    machine drover store add VM "smb://fs.$DOMAIN/$SHARE" && machine drover store add local local:/srv/vm &&
        machine drover host set arbiter=VM move_networks="$MIG_NET" data_ports="$DROVER_DATA_PORTS" \
            roles="admin=VM Admins,operator=VM Operators,viewer=VM Viewers,hosts=VM Hosts"
}

create() {
    local guest=(--memory 128M --cpu qemu64 --accel tcg --graphics none --network "$BRIDGE")
    machine drover vm create "$VM" --store VM --import /srv/import.raw "${guest[@]}" &&
        machine drover vm create "$LOCAL_VM" --store local --disk 64M "${guest[@]}" &&
        machine drover vm start "$VM" && machine drover vm start "$LOCAL_VM" &&
        lab exec admin -- guest-client wait "$IP" 60
}

# --- what must stay ---

# vm_processes: unit and process of all that is outside the agent, one a line.
vm_processes() {
    # shellcheck disable=SC2016 # for the inner shell
    machine sh -c 'for s in /sys/fs/cgroup/drover.slice/*.service; do echo "${s##*/} $(tr "\n" " " <"$s/cgroup.procs")"; done'
}
kinds() { vm_processes | sed 's/^drover-\([a-z]*\)@.*/\1/' | sort | paste -sd' '; }
qemu_capabilities() {
    # shellcheck disable=SC2016 # for the inner shell
    machine sh -c 'for p in $(cat /sys/fs/cgroup/drover.slice/drover-vm@*/cgroup.procs); do sed -n "s/^CapPrm:\t//p" /proc/$p/status; done' | paste -sd' '
}
agent_pid() { machine systemctl show -P MainPID "$UNIT"; }
agent_new() { [[ $(agent_pid) -gt 0 && $(agent_pid) != "$1" ]] && [[ $(machine systemctl is-active "$UNIT") == active ]]; }
running() { [[ $(machine drover --json vm list | jq -r "select(.state == \"running\").name" | sort | paste -sd' ') == "$LOCAL_VM $VM" ]]; }

# unharmed TEXT: the same processes, the guest answers, and the agent has both VMs.
unharmed() {
    is "$1: QEMU and drover-store are the same processes" "$(vm_processes)" "$PROCESSES"
    need "$1: the guest answers" lab exec admin -- guest-client wait "$IP" 20
    need "$1: the agent has both VMs" wait_until 60 running
}

# anew TEXT CMD...: another agent after it, the same VMs.
anew() {
    local text=$1 pid
    shift
    pid=$(agent_pid)
    need "$text" "$@"
    need "$text: an agent runs again" wait_until 60 agent_new "$pid"
    unharmed "$text"
}

# started: the guest answers, or what the agent knows of its VM is shown.
started() {
    lab exec admin -- guest-client wait "$IP" 90 && return
    machine drover vm list
    machine drover vm log "$VM" | tail -n 20
    machine journalctl --unit "$UNIT" --no-pager --lines 20
    return 1
}

hang() {
    machine mkdir -p "/run/systemd/system/$UNIT.d" &&
        machine sh -c "printf '[Service]\nWatchdogSec=3s\n' >/run/systemd/system/$UNIT.d/short.conf" &&
        machine systemctl daemon-reload && machine systemctl restart "$UNIT" && wait_until 60 running &&
        machine systemctl kill --kill-whom=main --signal=STOP "$UNIT"
}

installed() { machine dpkg -s "$1" | sed -n 's/^Version: //p'; }

# --- the test ---

test_begin
PACKAGES=$(mktemp -d "$DROVER_BUILD/packages-XXXXXX")
need "the test guest" "$LAB_CHECKOUT/tests/guest/build-guest" "$DROVER_BUILD"
need "a clean system" machine_make
need "packages" packages 1.0-1
need "lintian finds nothing" clean_to_lintian
need "apt's lists" machine_offline apt-get -q update
need "installed" machine_offline sh -c 'apt-get -q -y --no-install-recommends install /packages/*.deb'
need "systemd-analyze verify finds nothing" machine_offline systemd-analyze verify --man=no \
    "$UNIT" drover-agent.socket drover-vm.socket drover-store.socket drover-vm@1.service drover-store@1.service drover-vms.target drover.slice
below "exposure of the agent, tenths" "$(exposure "$UNIT")" $((EXPOSURE_MAX + 1))
below "exposure of a VM, tenths" "$(exposure drover-vm@.service)" $((VM_EXPOSURE_MAX + 1))
below "exposure of a drover-store, tenths" "$(exposure drover-store@.service)" $((STORE_EXPOSURE_MAX + 1))
is "QEMU's user is of the group of /dev/kvm" "$(machine_offline id -Gn drover-qemu)" "drover-qemu kvm"

need "configured" configure
lab svc hv1 droverd stop
need "booted" machine_boot
is "the agent is started at boot" "$(machine systemctl is-active "$UNIT")" active
is "nothing is received or sent before it is enabled" \
    "$(machine drover --json host show | jq -c '[.settings.receive, .settings.send]')" '["off","off"]'
need "settings" settings
need "a folder that gives files its own group" machine install -d -m 2775 -g users /srv/users
need "as a store" machine drover store add users local:/srv/users
like "is told to be none for QEMU" "$(machine drover store check users)" "*S12*get the folder's group*chmod g-s /srv/users*"
need "it goes again" machine drover --yes store remove users
need "two VMs are created and started" create
is "each process of a VM has its own unit" "$(kinds)" "store store vm vm"
PROCESSES=$(vm_processes)
is "the agent is not root" "$(machine sed -n 's/^Uid:\t\([0-9]*\).*/\1/p' "/proc/$(agent_pid)/status")" \
    "$(machine id -u drover)"
is "QEMU has no capability" "$(qemu_capabilities)" "0000000000000000 0000000000000000"

anew "the sockets are stopped and started" machine systemctl restart drover-vm.socket drover-store.socket "$UNIT"
anew "the agent is restarted" machine systemctl restart "$UNIT"
anew "the agent is killed" machine systemctl kill --kill-whom=main --signal=KILL "$UNIT"
need "the watchdog has a short limit" hang
like "the watchdog kills a hanging agent" \
    "$(wait_until 60 machine sh -c "journalctl -u $UNIT | grep -q 'Watchdog timeout'" && echo killed)" killed
need "an agent runs again" wait_until 60 agent_new 0
unharmed "the watchdog killed the agent"
need "packages of a later version" packages 1.0-2
anew "the packages are upgraded" machine sh -c 'apt-get -q -y install /packages/*.deb'
is "the later version is installed" "$(installed drover-agent)" 1.0-2

need "sending and receiving are enabled" machine drover host set send=on receive=on
move "$VM" hv1 hv2
is "a move to another host" "$(result state)" "done"
move "$VM" hv2 hv1
is "and back" "$(result state)" "done"
need "the agent has both VMs" wait_until 60 running
PROCESSES=$(vm_processes)
is "each process of a VM that came has its own unit" "$(kinds)" "store store vm vm"
need "numbers are written by their unit" machine sh -c \
    'mkdir -p /var/lib/prometheus/node-exporter && systemctl start drover-metrics.service'
is "of a host that is up, with both VMs" \
    "$(machine sh -c 'grep -c -e "^drover_up 1" -e "^drover_vm_state.*running" /var/lib/prometheus/node-exporter/drover.prom')" 3

# The other one has no system that would answer: it runs until the host ends it.
need "one VM starts with its host" machine drover vm set "$VM" autostart=on
need "the other is left alone" machine drover vm set "$LOCAL_VM" on_host_shutdown=leave
need "the host shuts down" machine_shutdown
need "the host boots" machine_boot
need "the VM has started" started
like "its guest was asked" "$(machine drover vm log "$VM")" "*shutdown, as its host shuts down*QEMU has ended*"
is "the other has not" "$(machine drover --json vm list | jq -r --arg vm "$LOCAL_VM" 'select(.name == $vm).state')" stopped
is "nor was it asked" "$(machine drover vm log "$LOCAL_VM" | grep -c 'as its host')" 0
need "it is started" machine drover vm start "$LOCAL_VM"
need "both run" wait_until 60 running
PROCESSES=$(vm_processes)

like "removing names the VMs that go on" "$(machine apt-get -q -y remove drover-agent 2>&1)" "*$VM goes on*"
is "removed: the same processes" "$(vm_processes)" "$PROCESSES"
like "purging says what stays" "$(machine apt-get -q -y purge drover-agent 2>&1)" "*virtual machines still run*"
is "purged: the same processes" "$(vm_processes)" "$PROCESSES"
need "purged: the guest answers" lab exec admin -- guest-client wait "$IP" 20
is "purged: no configuration is left" "$(machine ls -d /etc/drover 2>/dev/null)" ""
need "installed again" machine sh -c 'mkdir -p /etc/drover/drover.conf.d &&
    printf "%s\n" "host = hv1.'"$DOMAIN"'" "listen = '"${LAN_IP[hv1]}"'" "dc = dc1.'"$DOMAIN"'" >/etc/drover/drover.conf.d/10-lab.conf &&
    apt-get -q -y install /packages/drover-agent_*.deb'
unharmed "installed again"

need "VMs are stopped" machine sh -c "drover --yes vm stop $VM --force && drover --yes vm stop $LOCAL_VM --force"
need "purged again" machine apt-get -q -y purge drover-agent drover drover-wizard drover-doc
is "nothing is left of the packages" \
    "$(machine sh -c 'ls -d /etc/drover /var/lib/drover /run/drover /usr/share/drover /usr/libexec/drover' 2>/dev/null)" ""
is "images in a local store are left" "$(machine ls "/srv/vm/$LOCAL_VM/disk0.qcow2")" "/srv/vm/$LOCAL_VM/disk0.qcow2"
need "images on the share are left" test -e "$LAB/fs/share/$VM/disk0.qcow2"
test_result
