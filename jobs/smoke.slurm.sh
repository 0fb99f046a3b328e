#!/bin/bash
#SBATCH --job-name=smoke
#SBATCH --output=smoke.log
#SBATCH --ntasks=4
#SBATCH --time=0:05:00
#SBATCH --signal=B:TERM@60
# smoke: 1 case of dgen-mpi; `dgen report smoke` shows the results.
set -u
top=$PWD

stopped=
child=
place=
unbegun=
unprepared=
worst=0
has_run=

# A batch system that ends the job says so first: dgen-mpi then stops at the next transfer, and
# its report is valid.
# shellcheck disable=SC2317 # Called by the trap.
stop() {
    stopped=1
    [ -z "$child" ] || kill -TERM "$child" 2> /dev/null
}
trap stop TERM INT HUP USR2
# Where the batch system is not asked to, see `dgen submit`.
if [ -n "${dgen_stop_after:-}" ]; then
    # A script that is killed takes its number with it: no other process is told to stop.
    while sleep 1 && read -r _ _ _ parent _ < "/proc/$BASHPID/stat" && [ "$parent" = "$$" ]; do
        [ "$SECONDS" -lt "$dgen_stop_after" ] || { kill -TERM "$$" && break; }
    done 2> /dev/null &
    timer=$!
fi

# However the script ends, the case that it was at has a status.
# shellcheck disable=SC2317 # Called by the trap.
leave() {
    local status=$?
    [ -z "${timer:-}" ] || kill "$timer" 2> /dev/null
    [ "$status" != 0 ] || status=3
    [ -z "$place" ] || end "$status"
}
trap leave EXIT

# unprepared LINE: what a case needs could not be had, so its steps are not run.
unprepared() {
    local status=$?
    [ -z "$unprepared" ] || return 0
    unprepared=3
    printf 'dgen: error: %s: ended with status %s\n' "$1" "$status" >&2
}

# field NAME FILE: a field of a JSON object, whatever spaces are in the file, and none that is
# deeper; a pipe is not waited for.
field() {
    [ -f "$2" ] || return 0
    LC_ALL=C grep -aoEs '"([^"\\]|\\.)*"|[][{},:]|[^][{},:"[:space:]]+' -- "$2" |
        LC_ALL=C awk -v "name=\"$1\"" '
            /^[]}]$/ { depth-- }
            !depth || (depth == 1 && $0 == ",") { is_found = 0 }
            is_found { printf "%s", $0 }
            depth == 1 && $0 == ":" && before == name { is_found = 1 }
            /^[[{]$/ { depth++ }
            { before = $0 }'
}

# ended REPORT: whether the step with this report ended well.
ended() {
    [ "$(field exit_status "$1")" = 0 ]
}

# step REPORT COMMAND...: runs a command, unless its report says that it is done.
# shellcheck disable=SC2034 # Not all scripts ask whether it has run.
step() {
    local report=$1 status
    shift
    has_run=
    [ -z "$stopped" ] || return 5
    ended "$report" && return 0
    has_run=1
    printf 'dgen-step %s\n' "${report##*/}" >&2
    "$@" "--report=$report" < /dev/null &
    child=$!
    wait "$child"
    status=$?
    # A signal ends the wait, but not yet the command.
    while [ "$status" -gt 128 ] && kill -0 "$child" 2> /dev/null; do
        wait "$child"
        status=$?
    done
    child=
    return "$status"
}

# aside FILE...: keeps files under names with a number.
aside() {
    local path number
    for path; do
        [ -e "$path" ] || continue
        number=1
        while [ -e "$path.~$number~" ]; do
            number=$((number + 1))
        done
        mv -n -- "$path" "$path.~$number~" || return
    done
}

# begin FOLDER JOBS ORIGIN, end STATUS: what a case did is in its folder. What other jobs of its
# name did is kept aside; ORIGIN is the same for jobs whose paths were not yet absolute.
begin() {
    local jobs='' origin=''
    place=$1
    unbegun=3
    mkdir -p -- "$1" || return 3
    if [ -f "$1/jobs" ] && read -r jobs origin < "$1/jobs" && [ "$jobs" != "$2" ] &&
        { [ "$origin" != "$3" ] || { [ "$jobs" != "$origin" ] && [ "$2" != "$3" ]; }; }; then
        aside "$1"/*.report.json "$1"/*.new "$1"/*.record "$1"/submission.json \
            "$1/exit_status" || return 3
        jobs=
    fi
    rm -f -- "$1/exit_status"
    [ -n "$jobs" ] || printf '%s %s\n' "$2" "$3" > "$1/jobs" || return 3
    unbegun=
}
# ready: whether the steps of the case may begin.
ready() {
    [ -z "$unbegun$unprepared" ] || return 3
}
end() {
    [ "$1" = 0 ] || [ -z "$stopped" ] || set -- 5
    printf '%s\n' "$1" > "$place/exit_status" || set -- 3
    [ "$1" = 0 ] || worst=$1
    place=
}

# all
begin "$top"/smoke/all 99e632fec8443e02 99e632fec8443e02
cd "$top" || unprepared "$top"
ready &&
step "$top"/smoke/all/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=2 --compress-ratio=1.5 --overwrite --time-limit=5m --output=smoke.dat
end "$?"

exit "$worst"
