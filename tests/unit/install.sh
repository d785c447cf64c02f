#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# install.sh BUILD_DIR: `cmake --install` puts everything in its place, the installed droverd finds its
# helpers there, and the man pages name every option that the programs have.
set -u -o pipefail

BUILD=$(readlink -f "${1:?usage: install.sh BUILD_DIR}")
STAGE=$(mktemp -d)
trap 'rm -rf "$STAGE"' EXIT
FAILED=0

say() {
    echo "$*"
    FAILED=1
}

DESTDIR=$STAGE cmake --install "$BUILD" >"$STAGE/log" || {
    cat "$STAGE/log"
    exit 1
}
PREFIX=$STAGE$(sed -n 's/^CMAKE_INSTALL_PREFIX:PATH=//p' "$BUILD/CMakeCache.txt")

# one NAME: the installed file of that name.
one() { find "$PREFIX" -name "$1" -type f; }
for name in drover drover-wizard drover-wizard.1 droverd drover-smb drover-store drover-launch drover.1 drover-vm-set.1 drover.conf.5 \
    drover-troubleshooting.7 droverd.8 drover-store.8 \
    drover-agent.service drover-vm.socket drover-vm@.service drover-vms.target drover-store.socket drover-store@.service \
    drover-metrics.service drover-metrics.timer drover-check-health.1 drover-metrics.1 \
    drover-global.conf drover-share.conf; do
    [[ -n $(one "$name") ]] || say "$name is not installed"
done

# Helpers are looked for before anything is made.
DROVERD=$(one droverd)
printf 'state_dir = /nonexistent/drover\nhost = hv1.example.lan\n' >"$STAGE/drover.conf"
out=$("$DROVERD" --config="$STAGE/drover.conf" 2>&1) && say "droverd started without its folder"
[[ $out == *state_dir* ]] || say "the installed droverd does not find its helpers: $out"
STORE=$STAGE/drover-store
mv "$(one drover-store)" "$STORE"
out=$("$DROVERD" --config="$STAGE/drover.conf" 2>&1)
[[ $out == *"drover-store is neither"* ]] || say "a missing helper is not told: $out"

# named PAGE NAME...: as an item of a list.
named() {
    local page=$1 name
    shift
    (($#)) || say "$page: nothing to look for"
    for name in "$@"; do
        grep -qE "^\.It (Va|Fl Fl|Cm|.*, Fl Fl) $name( |$)" "$(one "$page")" || say "$page does not name $name"
    done
}
mapfile -t options < <("$DROVERD" --show-config | sed -nE 's/^#?([a-z_]+) *=.*/\1/p')
named drover.conf.5 "${options[@]}"

if command -v groff >/dev/null; then
    while read -r page; do
        warnings=$(groff -mdoc -ww -z -Tutf8 "$page" 2>&1)
        [[ -z $warnings ]] || say "$page: $warnings"
    done < <(find "$PREFIX" -path '*/man/*' -type f)
fi
if command -v mandoc >/dev/null; then
    while read -r page; do
        warnings=$(mandoc -T lint -W warning "$page" 2>&1) || say "$warnings"
    done < <(find "$PREFIX" -path '*/man/*' -type f)
fi
exit $FAILED
