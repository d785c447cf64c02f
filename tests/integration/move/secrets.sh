#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# secrets.sh BUILD_DIR: a move, a refusal and a restart with log_level=debug leave no key in anything that
# is written for reading: logs of the agents, stores and QEMUs, databases, what the CLI prints. Looked for
# are the hosts' keytab keys and the keys of the move's streams, as hex, base64 and bytes; and the files
# that hold them are their owner's alone.
# shellcheck disable=SC2317  # functions are called by name
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: secrets.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

VM=secrets-$$ IP=10.83.0.119
SEEN=() # places where a stream's key may be while the move lasts

cleanup() {
    local host
    lab link hv1 mig off
    for host in hv1 hv2; do
        sed -i '/^log_level = debug$/d' "$LAB/$host/drover.conf"
        lab svc "$host" droverd stop
        lab svc "$host" droverd start
    done
    vm_remove "$VM" hv1 || vm_remove "$VM" hv2
}

# add_secret HEX: to $WORK/secrets, with its base64.
add_secret() {
    echo "${1,,} $(basenc -d --base16 <<<"${1^^}" | base64 -w 0 | tr -d =)" >>"$WORK/secrets"
}

# stream_keys: those of the move under way, and who may read the files.
stream_keys() {
    local file
    for file in "$LAB"/hv[12]/run/drover/vm/*/*/keys.psk; do
        [[ -f $file ]] || continue
        add_secret "$(sed 's/^qemu://' "$file")"
        SEEN+=("$(stat -c '%a %U %g' "$file") $(stat -c '%a %U %g' "$(dirname "$file")")")
    done
}

# leaks PATH...: the files in which a secret stands.
leaks() {
    find "$@" -type f ! -name keys.psk -print0 | perl -e '
        open my $secrets, "<", shift or die;
        my @secrets = map { [split] } <$secrets>;
        local $/;
        my @files = split /\0/, <STDIN>;
        for my $file (@files) {
            open my $in, "<:raw", $file or next;
            my $text = <$in> // "";
            my $lower = lc $text;
            print "$file\n" if grep {
                index($lower, $_->[0]) >= 0 || index($text, $_->[1]) >= 0 || index($text, pack "H*", $_->[0]) >= 0
            } @secrets;
        }' "$WORK/secrets"
}

test_begin
need "VM made" vm_create "$VM" $IP hv1
for host in hv1 hv2; do
    for key in $(lab exec "$host" -- klist -k -K "$LAB/keytabs/$host.keytab" | sed -n 's/.*(0x\([0-9a-f]*\)).*/\1/p'); do
        add_secret "$key"
    done
    sed -i '1i log_level = debug' "$LAB/$host/drover.conf"
    lab svc "$host" droverd stop
    lab svc "$host" droverd start
done
below "keys of keytabs are known" 1 "$(wc -l <"$WORK/secrets")"
like "the look finds what is there" "$(leaks "$LAB/keytabs" | sort | tr '\n' ' ')" "*hv1.keytab*hv2.keytab*"

need "VM started" vm_start "$VM" hv1 $IP
lab link hv1 mig 30mbit
drover_as bob hv1 move "$VM" --to hv2 >"$WORK/printed" 2>&1
ID=$(drover_as alice hv1 move "$VM" --to hv2 --storage "$LOCAL" --detach)
ID=${ID##*$'\n'}
for phase in copy memory; do
    wait_until 60 sh -c "'$LAB_CHECKOUT/tests/lab/lab' exec hv1 -- drover --plain jobs --active | grep -q $phase"
    stream_keys
done
lab link hv1 mig off
drover_as alice hv1 --json attach "$ID" >>"$WORK/printed" 2>&1
like "it moved" "$(tail -n 1 "$WORK/printed" | jq -r .state)" "done"
is "keys of both streams were seen, for root and QEMU alone" "$(printf '%s\n' "${SEEN[@]}" | sort | uniq -c | awk '$1 >= 4 { $1 = ""; print }')" \
    " 640 root $LAB_QEMU_ID 710 root $LAB_QEMU_ID"
is "none of these files is left" "$(find "$LAB"/hv[12]/run -name keys.psk)" ""
is "tickets of hosts are root's alone" "$(find "$LAB"/hv[12]/run/drover -name '*ccache*' -printf '%m %u\n' | sort -u)" "600 root"

drover_as erin hv1 --json audit >>"$WORK/printed" 2>&1
drover_as alice hv1 --json doctor >>"$WORK/printed" 2>&1
below "the agents did log in detail" 20 "$(grep -c '^<7>' "$LAB/log/hv1-droverd.log")"
is "files with a key in them" "$(leaks "$LAB/log" "$LAB"/hv[12]/state "$LAB"/hv[12]/run/drover/vm "$WORK/printed")" ""
is "core files" "$(find "$LAB/log/cores" "$LAB"/hv[12]/run -name 'core*' -type f 2>/dev/null)" ""
test_result
