#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# outage.sh BUILD_DIR: a guest that writes checksummed records to its disk on the share, while smbd is killed
# and restarted, the link to the file server is cut, its services restart, the host's password changes,
# tickets end and drover-store itself is killed. The guest may stall, but sees no I/O error and loses
# nothing. MINUTES=60 goes on for so long (at least 10 kills and 10 cuts of 1 to 40 s; tickets of three
# minutes, of which one ends while nothing else happens); not said: each once. Build with sanitizers to have them watch.
# shellcheck disable=SC2317  # functions are called through event and wait_until
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: outage.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

VM=outage-$$ IP=10.83.0.115
MINUTES=${MINUTES:-0}
UUID=''
declare -A COUNT=()

cleanup() {
    lab link fs lan heal
    lab svc fs smbd status | grep -q up || lab svc fs smbd start
    lab svc fs winbindd status | grep -q up || lab svc fs winbindd start
    vm_remove "$VM" hv1
    [[ -f $WORK/krb5.conf ]] && cp "$WORK/krb5.conf" "$LAB/etc/krb5.conf"
    rm -f "$LAB"/admin/cc/* # tickets for hv1 from before its password changed
}

store_file() { echo "$LAB/hv1/run/drover/vm/$UUID/disk0.$1"; }
store_pid() { cut -d' ' -f1 "$(store_file pid)"; }
rss_kib() { awk '/^RssAnon/ {print $2}' "/proc/$(store_pid)/status"; }

# --- what happens to it ---

smbd_kill() {
    lab svc fs smbd kill
    sleep $((RANDOM % 5))
    lab svc fs smbd start
}

link_cut() { # SECONDS
    lab link fs lan cut
    sleep "$1"
    lab link fs lan heal
}

server_restart() {
    lab svc fs smbd stop
    lab svc fs winbindd stop
    sleep 2
    lab svc fs winbindd start
    lab svc fs smbd start
}

# rotate_to PASSWORD: in the directory, then as the newest key of the keytab.
rotate_to() {
    lab exec dc -- samba-tool user setpassword "HV1\$" --newpassword="$1" >/dev/null || return
    local kvno
    kvno=$(lab exec dc -- samba-tool computer show HV1 --attributes=msDS-KeyVersionNumber |
        sed -n 's/^msDS-KeyVersionNumber: //p')
    lab exec admin -- ktutil >/dev/null <<KTUTIL
addent -password -p HV1\$ -k ${kvno:?} -e aes256-cts-hmac-sha1-96 -f
$1
wkt $LAB/keytabs/hv1.keytab
q
KTUTIL
}

password_change() {
    rotate_to "Rotated-$RANDOM$RANDOM.x"
}

# ticket_end: the session is renewed twice by new tickets, so that it outlives the one that it began with.
ticket_end() {
    local before
    before=$(renewals)
    wait_until 280 renewed "$((before + 2))"
}
renewals() { grep -c smb2.session.renewed "$(store_file log)"; }
renewed() { (($(renewals) >= $1)); }

store_kill() {
    local old
    old=$(store_pid)
    kill -9 "$old"
    wait_until 15 other_store "$old"
}
other_store() { [[ $(store_pid) != "$1" ]]; }

# event NAME CMD...: and the guest goes on within 20 s of its end.
event() {
    local name=$1 before
    shift
    "$@" || bad "$name: $*"
    before=$(watched_acks)
    if wait_until 30 more_acks "$before"; then
        COUNT[$name]=$((${COUNT[$name]:-0} + 1))
    else
        bad "$name: no record was written for 30 s"
    fi
}
watched_acks() { wc -l <"$WORK/watch.acks"; }
more_acks() { (($(watched_acks) > $1 + 5)); }

once() {
    event "smbd killed" smbd_kill
    event "link cut for 7 s" link_cut 7
    event "drover-store killed" store_kill
    event "server restarted" server_restart
    event "password changed" password_change
    event "smbd killed" smbd_kill
}

# for_minutes N: kills and cuts in turn, evenly spread, the rest now and then.
for_minutes() {
    local end=$((SECONDS + $1 * 60)) pause=$(($1 * 60 / 32)) n=0
    while ((SECONDS < end)); do
        if ((n % 2)); then
            event "link cut" link_cut $((1 + (n * 37) % 40))
        else
            event "smbd killed" smbd_kill
        fi
        ((n % 8 == 2)) && event "ticket ended" ticket_end
        ((n % 8 == 3)) && event "server restarted" server_restart
        ((n % 8 == 5)) && event "password changed" password_change
        ((n % 8 == 7)) && event "drover-store killed" store_kill
        n=$((n + 1))
        printf '%5d s  %d records, %d KiB, %s\n' $SECONDS "$(watched_acks)" "$(rss_kib)" \
            "$(drover_on hv1 --json vm list | jq -r --arg vm "$VM" 'select(.name == $vm) | .state + " " + .why')"
        sleep $((pause < end - SECONDS ? pause : end > SECONDS ? end - SECONDS : 0))
    done
}

# The replay log goes with its process: nobody can tell any more what the disk lacks.
log_lost() {
    kill -9 "$(store_pid)"
    rm -f "$(store_file replay)"
    why() { drover_on hv1 --json vm list | jq -r --arg vm "$VM" 'select(.name == $vm) | .state + " " + .why'; }
    said() { [[ $(why) == "paused "*S23* ]]; }
    wait_until 30 said || bad "a lost log: $(why)"
    drover_on hv1 --quiet vm stop "$VM" --force
    need "a VM whose log was lost starts again" vm_start "$VM" hv1 $IP
}

test_begin
if ((MINUTES)); then
    cp "$LAB/etc/krb5.conf" "$WORK/krb5.conf"
    sed -i '/^\[libdefaults\]/a\    ticket_lifetime = 3m' "$LAB/etc/krb5.conf"
fi
need "VM made" vm_create "$VM" $IP hv1
UUID=$(vm_uuid "$VM" hv1)
need "VM started" vm_start "$VM" hv1 $IP
need "guest busy" vm_busy $IP 16 1 25
need "watched" watch_begin $IP "$WORK/watch"
sleep 5
RSS=$(rss_kib)
if ((MINUTES)); then
    for_minutes "$MINUTES"
else
    once
fi
for name in "${!COUNT[@]}"; do good "$name: ${COUNT[$name]} times"; done
is "the VM runs" "$(vm_state "$VM" hv1)" running
if ldd "$DROVER_BUILD/bin/drover-store" | grep -q 'lib.san'; then # keeps what was freed
    good "memory of drover-store, KiB: $(rss_kib), was $RSS"
else
    below "memory of drover-store, KiB (was $RSS)" "$(rss_kib)" $((RSS + 8192))
fi
sleep 2
watch_end
is "broken connections" "$(watched tcp_broken)" 0
is "acknowledgements lost" "$(watched acks_lost)" 0
is "acknowledgements reordered" "$(watched acks_reordered)" 0
like "records, by the guest" "$(guest_ctl $IP verify vda)" "ok * lost=0 corrupt=0 *"
is "no sanitizer had a word" "$(grep -c Sanitizer "$(store_file log)")" 0
is "QEMU never paused it" "$(grep -c "vm=\"$VM\" event=\"STOP\"" "$LAB/log/hv1-droverd.log")" 0
need "VM stopped" drover_as alice hv1 vm stop "$VM" --timeout 60s
is "acknowledged records that the image lacks" "$(writes_lost "$(vm_image "$VM" hv1)" "$WORK/watch.acks")" 0
like "records were written" "$(watched acks)" "[1-9]*"
((MINUTES)) || { need "VM started again" vm_start "$VM" hv1 $IP && log_lost; }
good "longest gap for the client, ms: $(watched udp_gap_ms)"
test_result
