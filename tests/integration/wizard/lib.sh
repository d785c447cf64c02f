# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# The wizard in a terminal that a script holds: tmux on a socket of its own. Sourced after ../lib.sh.

TERMINAL=              # socket, see wizard_begin
WIZARD=drover-wizard   # the program, with its path if it is not that of the build

# wizard_begin: after test_begin.
wizard_begin() {
    command -v tmux >/dev/null || exit 77
    TERMINAL=$WORK/tmux
    mkdir -p "$WORK/home"
}

terminal() { tmux -S "$TERMINAL" -f /dev/null "$@"; }

# wizard_open PANE COLUMNSxROWS USER ["NAME=VALUE..." [OPTION...]]: in a new terminal of that name.
wizard_open() {
    local pane=$1 size=$2 user=$3 env=${4:-}
    shift $(($# < 4 ? $# : 4))
    terminal new-session -d -s "$pane" -x "${size%x*}" -y "${size#*x}" \
        env LC_ALL=C.UTF-8 DROVER_BUILD="$DROVER_BUILD" DROVER_LAB_DIR="$LAB" DROVER_LAB_PREFIX="$NS_PREFIX" \
        bash -c "before=\$(stty -g); '$LAB_CHECKOUT/tests/lab/lab' exec admin --user '$user' -- env HOME='$WORK/home' $env \
            $WIZARD -H hv1.$DOMAIN $*; echo \"status \$?\"
            [[ \$(stty -g) == \"\$before\" ]] && echo the terminal is as before; sleep 600"
}

wizard_close() { terminal kill-session -t "$1"; }

wizard_cleanup() { terminal kill-server 2>/dev/null; }

resize() { terminal resize-window -t "$1" -x "${2%x*}" -y "${2#*x}"; } # PANE COLUMNSxROWS

pid_of() { # PANE
    ps -t "$(terminal display-message -p -t "$1" '#{pane_tty}')" -o pid=,args= |
        awk '$2 ~ /drover-wizard$/ {print $1}' | tail -n 1
}

keys() { # PANE KEY...: each is acted on before the next
    local pane=$1 key
    shift
    for key in "$@"; do
        terminal send-keys -t "$pane" "$key"
        sleep 0.3
    done
}

screen() { terminal capture-pane -p -t "$1"; }
shows() { screen "$1" | grep -qF -- "$2"; }

# sees TEXT PANE WORDS [SECONDS]: an expectation.
sees() {
    if wait_until "${4:-15}" shows "$2" "$3"; then
        good "$1"
    else
        bad "$1: no \"$3\" on:"
        screen "$2" | sed 's/^/    |/'
    fi
}

lacks() { # TEXT PANE WORDS
    if shows "$2" "$3"; then
        bad "$1: \"$3\" is on the screen"
    else
        good "$1"
    fi
}

# shape PANE: the screen without what changes between two looks, figures and lines that are not known at first.
shape() {
    screen "$1" | sed -E '/Time left:|Expected pause/d; s/[0-9.]+ ([KMG]i)?B?(\/s)?|[0-9.]+ (m?s|min)\b|[0-9]+%//g
        s/[█·▁▂▃▄▅▆▇ #._:=+*-]+/ /g'
}

# colours PANE: lines in which something is coloured.
colours() { terminal capture-pane -pe -t "$1" | grep -cE $'\e\\[([0-9]+;)*(3[0-7]|4[0-7]|9[0-7])(;[0-9]+)*m'; }

# bytes PANE SECONDS: sent to the terminal per second, which is per update of a move's progress.
bytes() {
    terminal pipe-pane -t "$1" "cat >'$WORK/bytes'"
    sleep "$2"
    terminal pipe-pane -t "$1"
    echo $(($(wc -c <"$WORK/bytes") / $2))
}

# row PANE WORDS: of the first line with them, from 1.
row() { screen "$1" | grep -nF -- "$2" | head -n 1 | cut -d: -f1; }

# focus PANE WORDS: with the arrow keys, as the cursor tells.
focus() {
    local i row
    keys "$1" Home
    for ((i = 0; i < 40; i++)); do
        row=$(terminal display-message -p -t "$1" '#{cursor_y}')
        [[ $(screen "$1" | sed -n "$((row + 1))p") == *"$2"* ]] && return
        keys "$1" Down
    done
    bad "no line with $2 to go to:"
    screen "$1" | sed 's/^/    |/'
    return 1
}

# pointer PANE ROW BUTTON...: pressed and let go, as a terminal says it in the mode that the program asked for.
pointer() {
    local pane=$1 row=$2 sgr button text=''
    shift 2
    sgr=$(terminal display-message -p -t "$pane" '#{mouse_sgr_flag}')
    for button in "$@"; do
        if ((sgr)); then
            text+=$'\e'"[<$button;20;${row}M"$'\e'"[<$button;20;${row}m"
        else
            text+=$'\e[M'$(character $((32 + button)))4$(character $((32 + row)))$'\e[M#4'$(character $((32 + row)))
        fi
    done
    terminal send-keys -t "$pane" -l "$text"
    sleep 0.5 # two clicks that are further apart are two
}
# shellcheck disable=SC2059 # by its number
character() { printf "\\$(printf %o "$1")"; }
click() { pointer "$1" "$(row "$1" "$2")" 0; }          # PANE WORDS
double_click() { pointer "$1" "$(row "$1" "$2")" 0 0; } # PANE WORDS
