#!/bin/bash
#SBATCH --job-name=striping
#SBATCH --output=striping.log
#SBATCH --ntasks=4
#SBATCH --time=4:30:00
#SBATCH --signal=B:TERM@60
# striping: 9 cases of dgen-mpi; `dgen report striping` shows the results.
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

# hint_striping_factor1_striping_unit4194304-transfer_size1MiB
cd "$top" || exit 2
begin "$top"/striping/hint_striping_factor1_striping_unit4194304-transfer_size1MiB
step "$top"/striping/hint_striping_factor1_striping_unit4194304-transfer_size1MiB/1-test.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi test --size=64MiB --seed=42 --transfer-size=1MiB --align=4MiB --hint=striping_factor=1 --hint=striping_unit=4194304 --overwrite --phases=write,read --repeat=3 --time-limit=30m --output=striping-hint_striping_factor1_striping_unit4194304-transfer_size1MiB.dat
end "$top"/striping/hint_striping_factor1_striping_unit4194304-transfer_size1MiB "$?"

# hint_striping_factor1_striping_unit4194304-transfer_size4MiB
begin "$top"/striping/hint_striping_factor1_striping_unit4194304-transfer_size4MiB
step "$top"/striping/hint_striping_factor1_striping_unit4194304-transfer_size4MiB/1-test.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi test --size=64MiB --seed=42 --transfer-size=4MiB --align=4MiB --hint=striping_factor=1 --hint=striping_unit=4194304 --overwrite --phases=write,read --repeat=3 --time-limit=30m --output=striping-hint_striping_factor1_striping_unit4194304-transfer_size4MiB.dat
end "$top"/striping/hint_striping_factor1_striping_unit4194304-transfer_size4MiB "$?"

# hint_striping_factor1_striping_unit4194304-transfer_size16MiB
begin "$top"/striping/hint_striping_factor1_striping_unit4194304-transfer_size16MiB
step "$top"/striping/hint_striping_factor1_striping_unit4194304-transfer_size16MiB/1-test.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi test --size=64MiB --seed=42 --transfer-size=16MiB --align=4MiB --hint=striping_factor=1 --hint=striping_unit=4194304 --overwrite --phases=write,read --repeat=3 --time-limit=30m --output=striping-hint_striping_factor1_striping_unit4194304-transfer_size16MiB.dat
end "$top"/striping/hint_striping_factor1_striping_unit4194304-transfer_size16MiB "$?"

# hint_striping_factor4_striping_unit4194304-transfer_size1MiB
begin "$top"/striping/hint_striping_factor4_striping_unit4194304-transfer_size1MiB
step "$top"/striping/hint_striping_factor4_striping_unit4194304-transfer_size1MiB/1-test.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi test --size=64MiB --seed=42 --transfer-size=1MiB --align=4MiB --hint=striping_factor=4 --hint=striping_unit=4194304 --overwrite --phases=write,read --repeat=3 --time-limit=30m --output=striping-hint_striping_factor4_striping_unit4194304-transfer_size1MiB.dat
end "$top"/striping/hint_striping_factor4_striping_unit4194304-transfer_size1MiB "$?"

# hint_striping_factor4_striping_unit4194304-transfer_size4MiB
begin "$top"/striping/hint_striping_factor4_striping_unit4194304-transfer_size4MiB
step "$top"/striping/hint_striping_factor4_striping_unit4194304-transfer_size4MiB/1-test.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi test --size=64MiB --seed=42 --transfer-size=4MiB --align=4MiB --hint=striping_factor=4 --hint=striping_unit=4194304 --overwrite --phases=write,read --repeat=3 --time-limit=30m --output=striping-hint_striping_factor4_striping_unit4194304-transfer_size4MiB.dat
end "$top"/striping/hint_striping_factor4_striping_unit4194304-transfer_size4MiB "$?"

# hint_striping_factor4_striping_unit4194304-transfer_size16MiB
begin "$top"/striping/hint_striping_factor4_striping_unit4194304-transfer_size16MiB
step "$top"/striping/hint_striping_factor4_striping_unit4194304-transfer_size16MiB/1-test.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi test --size=64MiB --seed=42 --transfer-size=16MiB --align=4MiB --hint=striping_factor=4 --hint=striping_unit=4194304 --overwrite --phases=write,read --repeat=3 --time-limit=30m --output=striping-hint_striping_factor4_striping_unit4194304-transfer_size16MiB.dat
end "$top"/striping/hint_striping_factor4_striping_unit4194304-transfer_size16MiB "$?"

# hint_striping_factor8_striping_unit4194304-transfer_size1MiB
begin "$top"/striping/hint_striping_factor8_striping_unit4194304-transfer_size1MiB
step "$top"/striping/hint_striping_factor8_striping_unit4194304-transfer_size1MiB/1-test.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi test --size=64MiB --seed=42 --transfer-size=1MiB --align=4MiB --hint=striping_factor=8 --hint=striping_unit=4194304 --overwrite --phases=write,read --repeat=3 --time-limit=30m --output=striping-hint_striping_factor8_striping_unit4194304-transfer_size1MiB.dat
end "$top"/striping/hint_striping_factor8_striping_unit4194304-transfer_size1MiB "$?"

# hint_striping_factor8_striping_unit4194304-transfer_size4MiB
begin "$top"/striping/hint_striping_factor8_striping_unit4194304-transfer_size4MiB
step "$top"/striping/hint_striping_factor8_striping_unit4194304-transfer_size4MiB/1-test.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi test --size=64MiB --seed=42 --transfer-size=4MiB --align=4MiB --hint=striping_factor=8 --hint=striping_unit=4194304 --overwrite --phases=write,read --repeat=3 --time-limit=30m --output=striping-hint_striping_factor8_striping_unit4194304-transfer_size4MiB.dat
end "$top"/striping/hint_striping_factor8_striping_unit4194304-transfer_size4MiB "$?"

# hint_striping_factor8_striping_unit4194304-transfer_size16MiB
begin "$top"/striping/hint_striping_factor8_striping_unit4194304-transfer_size16MiB
step "$top"/striping/hint_striping_factor8_striping_unit4194304-transfer_size16MiB/1-test.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi test --size=64MiB --seed=42 --transfer-size=16MiB --align=4MiB --hint=striping_factor=8 --hint=striping_unit=4194304 --overwrite --phases=write,read --repeat=3 --time-limit=30m --output=striping-hint_striping_factor8_striping_unit4194304-transfer_size16MiB.dat
end "$top"/striping/hint_striping_factor8_striping_unit4194304-transfer_size16MiB "$?"

exit "$worst"
