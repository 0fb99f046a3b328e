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

# dedup_ratio1-compress_ratio1
begin "$top"/reduction/dedup_ratio1-compress_ratio1
cd "$top" || unprepared "$top"
step "$top"/reduction/dedup_ratio1-compress_ratio1/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=1 --compress-ratio=1 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio1-compress_ratio1.dat
end "$?"

# dedup_ratio1-compress_ratio1.5
begin "$top"/reduction/dedup_ratio1-compress_ratio1.5
step "$top"/reduction/dedup_ratio1-compress_ratio1.5/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=1 --compress-ratio=1.5 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio1-compress_ratio1.5.dat
end "$?"

# dedup_ratio1-compress_ratio2
begin "$top"/reduction/dedup_ratio1-compress_ratio2
step "$top"/reduction/dedup_ratio1-compress_ratio2/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=1 --compress-ratio=2 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio1-compress_ratio2.dat
end "$?"

# dedup_ratio1-compress_ratio4
begin "$top"/reduction/dedup_ratio1-compress_ratio4
step "$top"/reduction/dedup_ratio1-compress_ratio4/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=1 --compress-ratio=4 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio1-compress_ratio4.dat
end "$?"

# dedup_ratio2-compress_ratio1
begin "$top"/reduction/dedup_ratio2-compress_ratio1
step "$top"/reduction/dedup_ratio2-compress_ratio1/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=2 --compress-ratio=1 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio2-compress_ratio1.dat
end "$?"

# dedup_ratio2-compress_ratio1.5
begin "$top"/reduction/dedup_ratio2-compress_ratio1.5
step "$top"/reduction/dedup_ratio2-compress_ratio1.5/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=2 --compress-ratio=1.5 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio2-compress_ratio1.5.dat
end "$?"

# dedup_ratio2-compress_ratio2
begin "$top"/reduction/dedup_ratio2-compress_ratio2
step "$top"/reduction/dedup_ratio2-compress_ratio2/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=2 --compress-ratio=2 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio2-compress_ratio2.dat
end "$?"

# dedup_ratio2-compress_ratio4
begin "$top"/reduction/dedup_ratio2-compress_ratio4
step "$top"/reduction/dedup_ratio2-compress_ratio4/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=2 --compress-ratio=4 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio2-compress_ratio4.dat
end "$?"

# dedup_ratio4-compress_ratio1
begin "$top"/reduction/dedup_ratio4-compress_ratio1
step "$top"/reduction/dedup_ratio4-compress_ratio1/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=4 --compress-ratio=1 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio4-compress_ratio1.dat
end "$?"

# dedup_ratio4-compress_ratio1.5
begin "$top"/reduction/dedup_ratio4-compress_ratio1.5
step "$top"/reduction/dedup_ratio4-compress_ratio1.5/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=4 --compress-ratio=1.5 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio4-compress_ratio1.5.dat
end "$?"

# dedup_ratio4-compress_ratio2
begin "$top"/reduction/dedup_ratio4-compress_ratio2
step "$top"/reduction/dedup_ratio4-compress_ratio2/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=4 --compress-ratio=2 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio4-compress_ratio2.dat
end "$?"

# dedup_ratio4-compress_ratio4
begin "$top"/reduction/dedup_ratio4-compress_ratio4
step "$top"/reduction/dedup_ratio4-compress_ratio4/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=4 --compress-ratio=4 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio4-compress_ratio4.dat
end "$?"

exit "$worst"
