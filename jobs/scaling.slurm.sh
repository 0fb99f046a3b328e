#!/bin/bash
#SBATCH --job-name=scaling
#SBATCH --output=scaling.log
#SBATCH --ntasks=8
#SBATCH --time=2:00:00
#SBATCH --signal=B:TERM@60
# scaling: 4 cases of dgen-mpi; `dgen report scaling` shows the results.
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

# ranks1
begin "$top"/scaling/ranks1
cd "$top" || unprepared "$top"
step "$top"/scaling/ranks1/1-test.report.json \
    mpirun -n 1 --oversubscribe \
    dgen-mpi test --size=64MiB --seed=42 --transfer-size=4MiB --overwrite --repeat=3 --warm-up=1 --time-limit=30m --output=scaling-ranks1.dat
end "$?"

# ranks2
begin "$top"/scaling/ranks2
step "$top"/scaling/ranks2/1-test.report.json \
    mpirun -n 2 --oversubscribe \
    dgen-mpi test --size=64MiB --seed=42 --transfer-size=4MiB --overwrite --repeat=3 --warm-up=1 --time-limit=30m --output=scaling-ranks2.dat
end "$?"

# ranks4
begin "$top"/scaling/ranks4
step "$top"/scaling/ranks4/1-test.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi test --size=64MiB --seed=42 --transfer-size=4MiB --overwrite --repeat=3 --warm-up=1 --time-limit=30m --output=scaling-ranks4.dat
end "$?"

# ranks8
begin "$top"/scaling/ranks8
step "$top"/scaling/ranks8/1-test.report.json \
    mpirun -n 8 --oversubscribe \
    dgen-mpi test --size=64MiB --seed=42 --transfer-size=4MiB --overwrite --repeat=3 --warm-up=1 --time-limit=30m --output=scaling-ranks8.dat
end "$?"

exit "$worst"
