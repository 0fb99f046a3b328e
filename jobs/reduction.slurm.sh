#!/bin/bash
#SBATCH --job-name=reduction
#SBATCH --output=reduction.log
#SBATCH --ntasks=4
#SBATCH --time=2:00:00
#SBATCH --signal=B:TERM@60
# reduction: 12 cases of dgen-mpi; `dgen report reduction` shows the results.
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

# dedup_ratio1-compress_ratio1
cd "$top" || exit 2
begin "$top"/reduction/dedup_ratio1-compress_ratio1
step "$top"/reduction/dedup_ratio1-compress_ratio1/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=1 --compress-ratio=1 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio1-compress_ratio1.dat
end "$top"/reduction/dedup_ratio1-compress_ratio1 "$?"

# dedup_ratio1-compress_ratio1.5
begin "$top"/reduction/dedup_ratio1-compress_ratio1.5
step "$top"/reduction/dedup_ratio1-compress_ratio1.5/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=1 --compress-ratio=1.5 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio1-compress_ratio1.5.dat
end "$top"/reduction/dedup_ratio1-compress_ratio1.5 "$?"

# dedup_ratio1-compress_ratio2
begin "$top"/reduction/dedup_ratio1-compress_ratio2
step "$top"/reduction/dedup_ratio1-compress_ratio2/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=1 --compress-ratio=2 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio1-compress_ratio2.dat
end "$top"/reduction/dedup_ratio1-compress_ratio2 "$?"

# dedup_ratio1-compress_ratio4
begin "$top"/reduction/dedup_ratio1-compress_ratio4
step "$top"/reduction/dedup_ratio1-compress_ratio4/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=1 --compress-ratio=4 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio1-compress_ratio4.dat
end "$top"/reduction/dedup_ratio1-compress_ratio4 "$?"

# dedup_ratio2-compress_ratio1
begin "$top"/reduction/dedup_ratio2-compress_ratio1
step "$top"/reduction/dedup_ratio2-compress_ratio1/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=2 --compress-ratio=1 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio2-compress_ratio1.dat
end "$top"/reduction/dedup_ratio2-compress_ratio1 "$?"

# dedup_ratio2-compress_ratio1.5
begin "$top"/reduction/dedup_ratio2-compress_ratio1.5
step "$top"/reduction/dedup_ratio2-compress_ratio1.5/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=2 --compress-ratio=1.5 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio2-compress_ratio1.5.dat
end "$top"/reduction/dedup_ratio2-compress_ratio1.5 "$?"

# dedup_ratio2-compress_ratio2
begin "$top"/reduction/dedup_ratio2-compress_ratio2
step "$top"/reduction/dedup_ratio2-compress_ratio2/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=2 --compress-ratio=2 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio2-compress_ratio2.dat
end "$top"/reduction/dedup_ratio2-compress_ratio2 "$?"

# dedup_ratio2-compress_ratio4
begin "$top"/reduction/dedup_ratio2-compress_ratio4
step "$top"/reduction/dedup_ratio2-compress_ratio4/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=2 --compress-ratio=4 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio2-compress_ratio4.dat
end "$top"/reduction/dedup_ratio2-compress_ratio4 "$?"

# dedup_ratio4-compress_ratio1
begin "$top"/reduction/dedup_ratio4-compress_ratio1
step "$top"/reduction/dedup_ratio4-compress_ratio1/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=4 --compress-ratio=1 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio4-compress_ratio1.dat
end "$top"/reduction/dedup_ratio4-compress_ratio1 "$?"

# dedup_ratio4-compress_ratio1.5
begin "$top"/reduction/dedup_ratio4-compress_ratio1.5
step "$top"/reduction/dedup_ratio4-compress_ratio1.5/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=4 --compress-ratio=1.5 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio4-compress_ratio1.5.dat
end "$top"/reduction/dedup_ratio4-compress_ratio1.5 "$?"

# dedup_ratio4-compress_ratio2
begin "$top"/reduction/dedup_ratio4-compress_ratio2
step "$top"/reduction/dedup_ratio4-compress_ratio2/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=4 --compress-ratio=2 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio4-compress_ratio2.dat
end "$top"/reduction/dedup_ratio4-compress_ratio2 "$?"

# dedup_ratio4-compress_ratio4
begin "$top"/reduction/dedup_ratio4-compress_ratio4
step "$top"/reduction/dedup_ratio4-compress_ratio4/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=4 --compress-ratio=4 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio4-compress_ratio4.dat
end "$top"/reduction/dedup_ratio4-compress_ratio4 "$?"

exit "$worst"
