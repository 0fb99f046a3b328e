#!/bin/bash
#SBATCH --job-name=soak
#SBATCH --output=soak.log
#SBATCH --ntasks=4
#SBATCH --time=8:00:00
#SBATCH --signal=B:TERM@60
# soak: 4 cases of dgen-mpi; `dgen report soak` shows the results.
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

# seed1
begin "$top"/soak/seed1
cd "$top" || unprepared "$top"
step "$top"/soak/seed1/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=1 --dedup-ratio=1.5 --compress-ratio=1.333 --overwrite --time-limit=2h --output=soak-seed1.dat &&
step "$top"/soak/seed1/2-verify.report.json \
    mpirun -n 3 --oversubscribe \
    dgen-mpi verify --size=64MiB --seed=1 --dedup-ratio=1.5 --compress-ratio=1.333 --time-limit=2h soak-seed1.dat &&
step "$top"/soak/seed1/3-verify.report.json \
    mpirun -n 1 --oversubscribe \
    dgen-mpi verify --size=64MiB --seed=1 --dedup-ratio=1.5 --compress-ratio=1.333 --time-limit=2h soak-seed1.dat &&
rm -f -- soak-seed1.dat soak-seed1.dat.dgen.json
end "$?"

# seed2
begin "$top"/soak/seed2
step "$top"/soak/seed2/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=2 --dedup-ratio=1.5 --compress-ratio=1.333 --overwrite --time-limit=2h --output=soak-seed2.dat &&
step "$top"/soak/seed2/2-verify.report.json \
    mpirun -n 3 --oversubscribe \
    dgen-mpi verify --size=64MiB --seed=2 --dedup-ratio=1.5 --compress-ratio=1.333 --time-limit=2h soak-seed2.dat &&
step "$top"/soak/seed2/3-verify.report.json \
    mpirun -n 1 --oversubscribe \
    dgen-mpi verify --size=64MiB --seed=2 --dedup-ratio=1.5 --compress-ratio=1.333 --time-limit=2h soak-seed2.dat &&
rm -f -- soak-seed2.dat soak-seed2.dat.dgen.json
end "$?"

# seed3
begin "$top"/soak/seed3
step "$top"/soak/seed3/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=3 --dedup-ratio=1.5 --compress-ratio=1.333 --overwrite --time-limit=2h --output=soak-seed3.dat &&
step "$top"/soak/seed3/2-verify.report.json \
    mpirun -n 3 --oversubscribe \
    dgen-mpi verify --size=64MiB --seed=3 --dedup-ratio=1.5 --compress-ratio=1.333 --time-limit=2h soak-seed3.dat &&
step "$top"/soak/seed3/3-verify.report.json \
    mpirun -n 1 --oversubscribe \
    dgen-mpi verify --size=64MiB --seed=3 --dedup-ratio=1.5 --compress-ratio=1.333 --time-limit=2h soak-seed3.dat &&
rm -f -- soak-seed3.dat soak-seed3.dat.dgen.json
end "$?"

# seed4
begin "$top"/soak/seed4
step "$top"/soak/seed4/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=4 --dedup-ratio=1.5 --compress-ratio=1.333 --overwrite --time-limit=2h --output=soak-seed4.dat &&
step "$top"/soak/seed4/2-verify.report.json \
    mpirun -n 3 --oversubscribe \
    dgen-mpi verify --size=64MiB --seed=4 --dedup-ratio=1.5 --compress-ratio=1.333 --time-limit=2h soak-seed4.dat &&
step "$top"/soak/seed4/3-verify.report.json \
    mpirun -n 1 --oversubscribe \
    dgen-mpi verify --size=64MiB --seed=4 --dedup-ratio=1.5 --compress-ratio=1.333 --time-limit=2h soak-seed4.dat &&
rm -f -- soak-seed4.dat soak-seed4.dat.dgen.json
end "$?"

exit "$worst"
