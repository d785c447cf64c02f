#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Every finding of the table is explained in docs/FINDINGS.md, is said by some code, and is provoked by some
# test: named by a unit or integration test other than those of the table itself. And code says none that
# the table lacks.
set -u -o pipefail

cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1
TABLE=base/src/finding.c
FAILED=0

say() {
    echo "$*"
    FAILED=1
}

mapfile -t ids < <(sed -n 's/^ *\(ERR\|WARN\|INFO\)("\([A-Z][0-9][0-9]\)".*/\2/p' $TABLE)
((${#ids[@]} > 40)) || say "$TABLE: only ${#ids[@]} findings were recognised"

# Ids that code and tests name, one a line. Comments do not count.
said=$(grep -rhoE '^[^/]*"[A-Z][0-9]{2}"' --include='*.c' base/src authz delegation smbstore mover hostagent \
    --exclude=finding.c | grep -oE '[A-Z][0-9]{2}"' | tr -d '"' | sort -u)
provoked=$(grep -rhvE '^ *(//|#)' --include='*.c' --include='*.sh' tests/unit tests/integration \
    --exclude=test_finding.c --exclude=findings.sh | grep -oE '\<[A-Z][0-9]{2}\>' | sort -u)

for id in "${ids[@]}"; do
    grep -qx "### $id: ..*" docs/FINDINGS.md || say "$id has no heading in docs/FINDINGS.md"
    grep -qx "$id" <<<"$said" || say "$id is said by nobody: retire it in $TABLE"
    grep -qx "$id" <<<"$provoked" || say "$id is provoked by no test"
done
for id in $said; do
    [[ " ${ids[*]} " == *" $id "* ]] || say "$id is said but not in $TABLE"
done
exit $FAILED
