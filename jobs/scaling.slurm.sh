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

# ranks1
cd "$top" || exit 2
begin "$top"/scaling/ranks1
step "$top"/scaling/ranks1/1-test.report.json \
    mpirun -n 1 --oversubscribe \
    dgen-mpi test --size=64MiB --seed=42 --transfer-size=4MiB --overwrite --repeat=3 --warm-up=1 --time-limit=30m --output=scaling-ranks1.dat
end "$top"/scaling/ranks1 "$?"

# ranks2
begin "$top"/scaling/ranks2
step "$top"/scaling/ranks2/1-test.report.json \
    mpirun -n 2 --oversubscribe \
    dgen-mpi test --size=64MiB --seed=42 --transfer-size=4MiB --overwrite --repeat=3 --warm-up=1 --time-limit=30m --output=scaling-ranks2.dat
end "$top"/scaling/ranks2 "$?"

# ranks4
begin "$top"/scaling/ranks4
step "$top"/scaling/ranks4/1-test.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi test --size=64MiB --seed=42 --transfer-size=4MiB --overwrite --repeat=3 --warm-up=1 --time-limit=30m --output=scaling-ranks4.dat
end "$top"/scaling/ranks4 "$?"

# ranks8
begin "$top"/scaling/ranks8
step "$top"/scaling/ranks8/1-test.report.json \
    mpirun -n 8 --oversubscribe \
    dgen-mpi test --size=64MiB --seed=42 --transfer-size=4MiB --overwrite --repeat=3 --warm-up=1 --time-limit=30m --output=scaling-ranks8.dat
end "$top"/scaling/ranks8 "$?"

exit "$worst"
