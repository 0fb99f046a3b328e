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

# dedup_ratio1-compress_ratio1
begin "$top"/reduction/dedup_ratio1-compress_ratio1 dab5cf05addea470 dab5cf05addea470
cd "$top" || unprepared "$top"
ready &&
step "$top"/reduction/dedup_ratio1-compress_ratio1/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=1 --compress-ratio=1 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio1-compress_ratio1.dat
end "$?"

# dedup_ratio1-compress_ratio1.5
begin "$top"/reduction/dedup_ratio1-compress_ratio1.5 639fee66812ec059 639fee66812ec059
ready &&
step "$top"/reduction/dedup_ratio1-compress_ratio1.5/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=1 --compress-ratio=1.5 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio1-compress_ratio1.5.dat
end "$?"

# dedup_ratio1-compress_ratio2
begin "$top"/reduction/dedup_ratio1-compress_ratio2 4651149806256207 4651149806256207
ready &&
step "$top"/reduction/dedup_ratio1-compress_ratio2/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=1 --compress-ratio=2 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio1-compress_ratio2.dat
end "$?"

# dedup_ratio1-compress_ratio4
begin "$top"/reduction/dedup_ratio1-compress_ratio4 160c762d3a703ea6 160c762d3a703ea6
ready &&
step "$top"/reduction/dedup_ratio1-compress_ratio4/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=1 --compress-ratio=4 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio1-compress_ratio4.dat
end "$?"

# dedup_ratio2-compress_ratio1
begin "$top"/reduction/dedup_ratio2-compress_ratio1 242af84e1f06df07 242af84e1f06df07
ready &&
step "$top"/reduction/dedup_ratio2-compress_ratio1/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=2 --compress-ratio=1 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio2-compress_ratio1.dat
end "$?"

# dedup_ratio2-compress_ratio1.5
begin "$top"/reduction/dedup_ratio2-compress_ratio1.5 e652571e0c3a29c2 e652571e0c3a29c2
ready &&
step "$top"/reduction/dedup_ratio2-compress_ratio1.5/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=2 --compress-ratio=1.5 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio2-compress_ratio1.5.dat
end "$?"

# dedup_ratio2-compress_ratio2
begin "$top"/reduction/dedup_ratio2-compress_ratio2 a54b3674863cc58b a54b3674863cc58b
ready &&
step "$top"/reduction/dedup_ratio2-compress_ratio2/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=2 --compress-ratio=2 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio2-compress_ratio2.dat
end "$?"

# dedup_ratio2-compress_ratio4
begin "$top"/reduction/dedup_ratio2-compress_ratio4 6349f9f1c2b358c7 6349f9f1c2b358c7
ready &&
step "$top"/reduction/dedup_ratio2-compress_ratio4/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=2 --compress-ratio=4 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio2-compress_ratio4.dat
end "$?"

# dedup_ratio4-compress_ratio1
begin "$top"/reduction/dedup_ratio4-compress_ratio1 d04facf0ae67fc40 d04facf0ae67fc40
ready &&
step "$top"/reduction/dedup_ratio4-compress_ratio1/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=4 --compress-ratio=1 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio4-compress_ratio1.dat
end "$?"

# dedup_ratio4-compress_ratio1.5
begin "$top"/reduction/dedup_ratio4-compress_ratio1.5 616f901e8089e39f 616f901e8089e39f
ready &&
step "$top"/reduction/dedup_ratio4-compress_ratio1.5/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=4 --compress-ratio=1.5 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio4-compress_ratio1.5.dat
end "$?"

# dedup_ratio4-compress_ratio2
begin "$top"/reduction/dedup_ratio4-compress_ratio2 c8aa1350615a4022 c8aa1350615a4022
ready &&
step "$top"/reduction/dedup_ratio4-compress_ratio2/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=4 --compress-ratio=2 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio4-compress_ratio2.dat
end "$?"

# dedup_ratio4-compress_ratio4
begin "$top"/reduction/dedup_ratio4-compress_ratio4 15a24903d35f545e 15a24903d35f545e
ready &&
step "$top"/reduction/dedup_ratio4-compress_ratio4/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=42 --dedup-ratio=4 --compress-ratio=4 --dedup-unit=128KiB --overwrite --time-limit=10m --output=reduction-dedup_ratio4-compress_ratio4.dat
end "$?"

exit "$worst"
