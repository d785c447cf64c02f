#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# plain.sh BUILD_DIR: the same wizard as lines: numbers choose, letters act; taken by itself where there is no
# terminal that can do more.
set -u -o pipefail

HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export DROVER_BUILD=${1:?usage: plain.sh BUILD_DIR}
# shellcheck source=tests/integration/lib.sh
. "$HERE/../lib.sh"

VM=wiz-$$ IP=10.83.0.143 AT=hv1

cleanup() {
    exec 7>&-
    vm_remove "$VM" "$AT"
}

printed() { grep -qF -- "$1" "$WORK/out"; }
expect() { # TEXT WORDS [SECONDS]
    if wait_until "${3:-15}" printed "$2"; then
        good "$1"
    else
        bad "$1: no \"$2\" in:"
        tail -n 25 "$WORK/out"
    fi
}
# choose WORDS: the number of the line that was printed last with them.
choose() { grep -F -- "$1" "$WORK/out" | sed -nE 's/^ *([0-9]+)\) .*/\1/p' | tail -n 1 >&7; }

# of INPUT: the exit status and the last line of a wizard that reads that.
of() {
    lab exec admin --user alice -- env HOME="$WORK" timeout 30 drover-wizard --plain -H "hv1.$DOMAIN" <"$1" >"$WORK/out" 2>&1
    echo "$? $(grep -c 'Enter Again' "$WORK/out")"
}

test_begin
echo q >"$WORK/script"
like "nobody there: it shows its page and ends" "$(of /dev/null)" "0 [1-9]*"
like "a file can be the input, too" "$(of "$WORK/script")" "0 [1-9]*"
need "VM made" vm_create "$VM" $IP hv1
need "VM started" vm_start "$VM" hv1 $IP
mkfifo "$WORK/in"
LC_ALL=C lab exec admin --user alice -- env HOME="$WORK" drover-wizard -H "hv1.$DOMAIN" <"$WORK/in" >"$WORK/out" 2>"$WORK/err" &
WIZARD=$!
exec 7>"$WORK/in"

expect "the VM is listed" ") " 20
wait_until 20 printed "$VM"
like "without a terminal, lines, and it says so" "$(cat "$WORK/err")" "*going on as with --plain"
choose "|> $VM"
expect "what" "(*) Move the virtual machine"
echo n >&7
expect "where" "To which host?"
choose ") hv2"
expect "chosen" "(*) hv2"
echo n >&7
expect "options" "as the host says"
echo n >&7
expect "check" "OK Nothing stands in the way." 30
echo n >&7
expect "summary" "drover -H hv1 move $VM --to hv2"
choose "Start the move"
expect "result" "OK $VM runs on hv2." 60
is "and it does" "$(vm_state "$VM" hv2)" running
AT=hv2
is "nothing but ASCII" "$(LC_ALL=C grep -c $'[^ -~\t]' "$WORK/out")" 0
echo q >&7
exec 7>&- # if it asks
wait $WIZARD
is "status" $? 0
test_result
