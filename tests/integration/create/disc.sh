#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# disc.sh BUILD_DIR: a VM boots from an ISO file on a store; the disc moves with it; a drover-store of a disc that dies is
# replaced; a disc that the other host cannot reach, or QEMU cannot read, is told before anything happens.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: disc.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"
# shellcheck source=tests/integration/create/lib.sh
. "$HERE/lib.sh"

VM=disc-$$
ISOS=isos-$$ # a folder in each store

cleanup() {
    vm_remove "$VM" hv1 || vm_remove "$VM" hv2
    rm -rf "${LAB:?}/fs/share/$ISOS" "$LAB/hv1/images/$ISOS"
}

create() {
    drover_as erin hv1 vm create "$VM" --store "$STORE" --memory 64M --accel tcg --graphics none --disk 8M "$@" 2>&1
}

# The process that serves the disc on hv2.
server() { cut -d' ' -f1 "$LAB/hv2/run/drover/vm/$UUID/disc-cd0.pid"; }
another_serves() { [[ $(server) != "$FIRST" ]] && kill -0 "$(server)"; }

test_begin
need "two discs on each store" discs_on_stores "$ISOS" one="disc one" two="disc two"

like "a disc that is not there is refused" "$(create --cdrom "$STORE/$ISOS/three.iso")" "*CD-ROM cd0: *three.iso*"
like "so is one on no store" "$(create --cdrom "nowhere:a.iso")" "*nowhere*S01*"
chmod o-r "$LAB/hv1/images/$ISOS/two.iso"
like "and one that QEMU may not read" "$(create --cdrom "$LOCAL/$ISOS/two.iso")" "*may not read*chmod o+r*"
chmod o+r "$LAB/hv1/images/$ISOS/two.iso"

need "a VM with a disc and an empty drive" create --cdrom "$STORE/$ISOS/one.iso" --cdrom empty
need "it starts" drover_on hv1 --quiet vm start "$VM"
UUID=$(vm_uuid "$VM" hv1)
says hv1 "disc one"
need "it moves with its disc" move "$VM" hv1 hv2
says hv2 "disc one"
is "nothing is left of it on hv1" "$(traces hv1 "$UUID" "$VM")" ""

FIRST=$(server)
kill -9 "$FIRST"
need "a drover-store that died is replaced" wait_until 10 another_serves
says hv2 "disc one"
lab svc hv2 droverd kill
lab svc hv2 droverd start
says hv2 "disc one"
need "it moves back after the agent was killed" move "$VM" hv2 hv1
says hv1 "disc one"
need "it stops" drover_on hv1 --quiet vm stop "$VM" --force
is "no process is left" "$(pgrep -f "drover-store.*$UUID")" ""
need "it goes" vm_remove "$VM" hv1

need "a VM with a disc in a folder of hv1" create --cdrom "$LOCAL:$ISOS/two.iso"
need "it starts" drover_on hv1 --quiet vm start "$VM"
UUID=$(vm_uuid "$VM" hv1)
says hv1 "disc two"
move "$VM" hv1 hv2
is "hv2 cannot have it" $? 3
like "and says so" "$(cat "$WORK/move.events" "$WORK/move.err")" "*S13*"
need "it stops" drover_on hv1 --quiet vm stop "$VM" --force

test_result
