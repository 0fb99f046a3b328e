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
unbegun=
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
    # A signal ends the wait, but not yet the command.
    while
        wait "$child"
        status=$?
        [ "$status" -gt 128 ] && kill -0 "$child" 2> /dev/null
    do :; done
    child=
    return "$status"
}

# lost FILE REPORT...: has a file written anew that is gone before all steps have ended well.
lost() {
    local first=$2 report
    [ ! -e "$1" ] && ended "$first" || return 0
    shift
    for report; do
        ended "$report" || { aside "$first" && return || return 3; }
    done
}

# A data set is NAME in FOLDER; RECORD says of each of its files what it is: kind, number, length,
# last change and name. Files that this tells are there are of this case; no others are removed.
marks() {
    tr '\n' '\0' | LC_ALL=C xargs -0 -r stat -c '%f %i %s %.9Y %n' -- 2> /dev/null
}
names() {
    cut -d ' ' -f 5- -- "$1"
}
same() {
    names "$1" | marks | LC_ALL=C grep -aFx -f "$1"
}
is_same() {
    [ -s "$1" ] && [ "$(same "$1" | wc -l)" -eq "$(wc -l < "$1")" ]
}
parts() {
    local manifest="./$1.dgen.json" ranks rank
    [ -f "$manifest" ] || return
    if [ "$(field layout "$manifest")" = '"per-rank"' ]; then
        ranks=$(field ranks "$manifest")
        [[ $ranks =~ ^[1-9][0-9]{0,8}$ ]] || return
        for ((rank = 0; rank < ranks; rank++)); do
            printf './%s.%08d\n' "$1" "$rank"
        done
    else
        printf './%s\n' "$1"
    fi
    printf '%s\n' "$manifest"
}

# written RECORD FOLDER NAME: records what the last step, if it has run, has written.
written() {
    [ -n "$has_run" ] || return 0
    (
        cd -P -- "$2" || exit 0
        found=$(parts "$3" 2> /dev/null | marks)
        # A link is not of this case, nor what it leads to.
        if grep -q '^[^8]' <<< "$found"; then exit 0; fi
        [ ! -e "$1" ] || found+=$'\n'$(same "$1")
        sed '/^$/d' <<< "$found" | LC_ALL=C sort -u > "$1.part" &&
            mv -f -- "$1.part" "$1"
    ) || true
}

# remove RECORD FOLDER NAME: removes a data set that is as this case has left it.
remove() {
    (
        cd -P -- "$2" || exit 0
        if is_same "$1"; then
            names "$1" | tr '\n' '\0' | xargs -0 rm -f --
            rm -f -- "$1"
        elif [ -e "./$3" ] || [ -e "./$3.dgen.json" ]; then
            printf 'dgen: %s/%s stays: not as this case has written it\n' "$2" "$3" >&2
        fi
    ) || true
}

# aside FILE...: keeps files under names with a number.
aside() {
    local path number
    for path; do
        [ -e "$path" ] || continue
        number=1
        while [ -e "$path.~$number~" ]; do ((number++)); done
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

# seed1
begin "$top"/soak/seed1 1b1d2669313d14d7 1b1d2669313d14d7
cd "$top" || unprepared "$top"
ready &&
lost soak-seed1.dat "$top"/soak/seed1/1-generate.report.json "$top"/soak/seed1/2-verify.report.json "$top"/soak/seed1/3-verify.report.json &&
step "$top"/soak/seed1/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=1 --dedup-ratio=1.5 --compress-ratio=1.333 --output=soak-seed1.dat --overwrite --time-limit=2h &&
written "$top"/soak/seed1/data-1.record . soak-seed1.dat &&
step "$top"/soak/seed1/2-verify.report.json \
    mpirun -n 3 --oversubscribe \
    dgen-mpi verify --size=64MiB --seed=1 --dedup-ratio=1.5 --compress-ratio=1.333 soak-seed1.dat --time-limit=2h &&
step "$top"/soak/seed1/3-verify.report.json \
    mpirun -n 1 --oversubscribe \
    dgen-mpi verify --size=64MiB --seed=1 --dedup-ratio=1.5 --compress-ratio=1.333 soak-seed1.dat --time-limit=2h &&
remove "$top"/soak/seed1/data-1.record . soak-seed1.dat
end "$?"

# seed2
begin "$top"/soak/seed2 c6f79ba2b842304b c6f79ba2b842304b
ready &&
lost soak-seed2.dat "$top"/soak/seed2/1-generate.report.json "$top"/soak/seed2/2-verify.report.json "$top"/soak/seed2/3-verify.report.json &&
step "$top"/soak/seed2/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=2 --dedup-ratio=1.5 --compress-ratio=1.333 --output=soak-seed2.dat --overwrite --time-limit=2h &&
written "$top"/soak/seed2/data-1.record . soak-seed2.dat &&
step "$top"/soak/seed2/2-verify.report.json \
    mpirun -n 3 --oversubscribe \
    dgen-mpi verify --size=64MiB --seed=2 --dedup-ratio=1.5 --compress-ratio=1.333 soak-seed2.dat --time-limit=2h &&
step "$top"/soak/seed2/3-verify.report.json \
    mpirun -n 1 --oversubscribe \
    dgen-mpi verify --size=64MiB --seed=2 --dedup-ratio=1.5 --compress-ratio=1.333 soak-seed2.dat --time-limit=2h &&
remove "$top"/soak/seed2/data-1.record . soak-seed2.dat
end "$?"

# seed3
begin "$top"/soak/seed3 413e9e2755cefc8a 413e9e2755cefc8a
ready &&
lost soak-seed3.dat "$top"/soak/seed3/1-generate.report.json "$top"/soak/seed3/2-verify.report.json "$top"/soak/seed3/3-verify.report.json &&
step "$top"/soak/seed3/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=3 --dedup-ratio=1.5 --compress-ratio=1.333 --output=soak-seed3.dat --overwrite --time-limit=2h &&
written "$top"/soak/seed3/data-1.record . soak-seed3.dat &&
step "$top"/soak/seed3/2-verify.report.json \
    mpirun -n 3 --oversubscribe \
    dgen-mpi verify --size=64MiB --seed=3 --dedup-ratio=1.5 --compress-ratio=1.333 soak-seed3.dat --time-limit=2h &&
step "$top"/soak/seed3/3-verify.report.json \
    mpirun -n 1 --oversubscribe \
    dgen-mpi verify --size=64MiB --seed=3 --dedup-ratio=1.5 --compress-ratio=1.333 soak-seed3.dat --time-limit=2h &&
remove "$top"/soak/seed3/data-1.record . soak-seed3.dat
end "$?"

# seed4
begin "$top"/soak/seed4 b3a59cc0c292d19a b3a59cc0c292d19a
ready &&
lost soak-seed4.dat "$top"/soak/seed4/1-generate.report.json "$top"/soak/seed4/2-verify.report.json "$top"/soak/seed4/3-verify.report.json &&
step "$top"/soak/seed4/1-generate.report.json \
    mpirun -n 4 --oversubscribe \
    dgen-mpi generate --size=64MiB --seed=4 --dedup-ratio=1.5 --compress-ratio=1.333 --output=soak-seed4.dat --overwrite --time-limit=2h &&
written "$top"/soak/seed4/data-1.record . soak-seed4.dat &&
step "$top"/soak/seed4/2-verify.report.json \
    mpirun -n 3 --oversubscribe \
    dgen-mpi verify --size=64MiB --seed=4 --dedup-ratio=1.5 --compress-ratio=1.333 soak-seed4.dat --time-limit=2h &&
step "$top"/soak/seed4/3-verify.report.json \
    mpirun -n 1 --oversubscribe \
    dgen-mpi verify --size=64MiB --seed=4 --dedup-ratio=1.5 --compress-ratio=1.333 soak-seed4.dat --time-limit=2h &&
remove "$top"/soak/seed4/data-1.record . soak-seed4.dat
end "$?"

exit "$worst"
