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
worst=0

# A batch system that ends the job says so first: dgen-mpi then stops at the next transfer, and
# its report is valid.
# shellcheck disable=SC2317 # Called by the trap.
stop() {
    stopped=1
    [ -z "$child" ] || kill -TERM "$child" 2> /dev/null
}
trap stop TERM INT
# Where the batch system is not asked to, see `dgen submit`.
if [ -n "${dgen_stop_after:-}" ]; then
    { sleep "$dgen_stop_after" && kill -TERM $$; } 2> /dev/null &
    timer=$!
    trap 'kill "$timer" 2> /dev/null' EXIT
fi

# step REPORT COMMAND...: runs a command, unless its report says that it is done.
step() {
    local report=$1 status
    shift
    [ -z "$stopped" ] || return 5
    grep -qs '"exit_status" : 0,' "$report" && return 0
    printf 'dgen-step %s\n' "$report" >&2
    "$@" "--report=$report" < /dev/null &
    child=$!
    wait "$child"
    status=$?
    # A signal ends the wait, but not yet the command.
    while kill -0 "$child" 2> /dev/null; do
        wait "$child"
        status=$?
    done
    child=
    return "$status"
}

# begin FOLDER, end FOLDER STATUS: what a case did is in its folder.
begin() {
    mkdir -p "$1" && rm -f "$1/exit_status"
}
end() {
    [ "$2" = 0 ] || [ -z "$stopped" ] || set -- "$1" 5
    printf '%s\n' "$2" > "$1/exit_status"
    [ "$2" = 0 ] || worst=$2
}

# all
cd "$top" || exit 2
begin "$top"/smoke/all
step "$top"/smoke/all/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=2 --compress-ratio=1.5 --overwrite --time-limit=5m --output=smoke.dat
end "$top"/smoke/all "$?"

exit "$worst"
