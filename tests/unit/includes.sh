#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# No module includes what lies above it: base <- db <- {authz, delegation, smbstore} <- mover <- hostagent,
# wizard-tui sees base alone, the command line delegation and smbstore as well. The mover knows no QMP, SMB, krb5 or SQLite.
set -u -o pipefail

cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1
FAILED=0

declare -A MAY=(
    [base]="base" [db]="base db"
    [authz]="base db authz" [delegation]="base db delegation" [smbstore]="base db smbstore"
    [mover]="base db authz delegation smbstore mover"
    [hostagent/src]="base db authz delegation smbstore mover hostagent"
    [hostagent/droverd]="base db authz delegation smbstore mover hostagent"
    [hostagent/cli]="base delegation smbstore" [wizard-tui]="base"
)
# Libraries that a module must not know, as a pattern of their headers.
declare -A FOREIGN=(
    [base]='sqlite3|libsmbclient|ldap|ncurses' [db]='libsmbclient|ldap|gssapi|krb5|event2|ncurses'
    [authz]='sqlite3|libsmbclient|ldap|ncurses' [delegation]='sqlite3|libsmbclient|ncurses'
    [smbstore]='sqlite3|ldap|ncurses'
    [mover]='sqlite3|libsmbclient|nbdkit|ldap|gssapi|krb5|qmp|event2|ncurses'
    [hostagent/src]='libsmbclient|sqlite3|ncurses' [hostagent/cli]='libsmbclient|sqlite3|ldap|ncurses|event2'
    [wizard-tui]='libsmbclient|sqlite3|ldap|nbdkit|qmp'
)

# owner HEADER: the module that has it, nothing for a header of none.
owner() {
    local path
    for path in */include/"$1"; do
        [[ -e $path ]] && echo "${path%%/*}" && return
    done
}

say() {
    echo "$*"
    FAILED=1
}

for folder in "${!MAY[@]}"; do
    [[ -d $folder ]] || continue
    while IFS=: read -r file line text; do
        header=$(sed -n 's/^#include *[<"]\([^>"]*\)[>"].*/\1/p' <<<"$text")
        module=$(owner "$header")
        [[ -z $module || " ${MAY[$folder]} " == *" $module "* ]] ||
            say "$file:$line: $folder may not include $header of $module"
        if [[ -n ${FOREIGN[$folder]:-} && $header =~ (^|/)(${FOREIGN[$folder]})[./_-] ]]; then
            say "$file:$line: $folder must not know $header"
        fi
        # Another module's private header, by a path with dots.
        [[ $header == *../*/src/* ]] && say "$file:$line: $header is private"
    done < <(grep -rn '^#include' --include='*.[ch]' "$folder")
done
exit $FAILED
