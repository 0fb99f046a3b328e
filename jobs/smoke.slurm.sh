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
unprepared=
worst=0

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
    { sleep "$dgen_stop_after" && kill -TERM $$; } 2> /dev/null &
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

# step REPORT COMMAND...: runs a command, unless its report says that it is done.
step() {
    local report=$1 status
    shift
    [ -z "$stopped" ] || return 5
    [ -z "$unprepared" ] || return "$unprepared"
    grep -qs '"exit_status" : 0,' -- "$report" && return 0
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

# begin FOLDER, end STATUS: what a case did is in its folder.
begin() {
    place=$1
    mkdir -p "$place" && rm -f "$place/exit_status"
}
end() {
    [ "$1" = 0 ] || [ -z "$stopped" ] || set -- 5
    printf '%s\n' "$1" > "$place/exit_status" || set -- 3
    [ "$1" = 0 ] || worst=$1
    place=
}

# all
begin "$top"/smoke/all
cd "$top" || unprepared "$top"
step "$top"/smoke/all/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=2 --compress-ratio=1.5 --overwrite --time-limit=5m --output=smoke.dat
end "$?"

exit "$worst"
