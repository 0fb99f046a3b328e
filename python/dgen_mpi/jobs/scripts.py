# SPDX-License-Identifier: MIT OR Apache-2.0
"""The shell scripts that cases are: what `run`, `submit` and `render` start, and people read."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath

from dgen_mpi._text import counted
from dgen_mpi.jobs import options, shell
from dgen_mpi.jobs.campaign import Case
from dgen_mpi.jobs.files import JobError
from dgen_mpi.jobs.model import IN_PLACE, Job
from dgen_mpi.manifest import PER_RANK_DIGITS

_DIRECTIVES = {
    # The signal goes to the script alone, which hands it on.
    "slurm": """\
#SBATCH --job-name={name}
#SBATCH --output={log}
#SBATCH --ntasks={ranks}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node={ranks_per_node}
#SBATCH --time={time}
#SBATCH --signal=B:TERM@{stop_before}
#SBATCH --account={account}
#SBATCH --partition={partition}""",
    "pbs": """\
#PBS -N {name:.15}
#PBS -o {log}
#PBS -j oe
#PBS -l select={nodes_or_one}:ncpus={most_on_node}:mpiprocs={most_on_node}
#PBS -l walltime={time}
#PBS -A {account}
#PBS -q {partition}""",
    "lsf": """\
#BSUB -J {name}
#BSUB -o {log}
#BSUB -n {ranks}
#BSUB -R "span[ptile={ranks_per_node}]"
#BSUB -W {time_in_minutes}
#BSUB -wt {stop_minutes} -wa TERM
#BSUB -P {account}
#BSUB -q {partition}""",
    "flux": """\
#flux: --job-name={name}
#flux: --output={log}
#flux: --ntasks={ranks}
#flux: --nodes={nodes}
#flux: --time-limit={seconds}s
#flux: --signal=SIGTERM@{stop_before}s
#flux: --bank={account}
#flux: --queue={partition}""",
}
"""What batch systems read of a script; lines are left out for which nothing is asked."""

SCHEDULERS = tuple(_DIRECTIVES)
"""The batch systems that scripts are written for."""

STOP_BEFORE = 60
"""Seconds before the limit at which a job is told to stop, if nothing else is asked for."""

_FUNCTIONS = r"""
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

# before REPORT OUTPUT: notes that nothing is there before a write begins, or is only of this write.
before() {
    local path
    ended "$1" || [ -n "$(again "$1" "$2")" ] && return 0
    rm -f -- "${1%.report.json}.new"
    for path in "$2" "$2.00000000" "$2.dgen.json"; do
        [ ! -e "$path" ] && [ ! -L "$path" ] || return 0
    done
    : > "${1%.report.json}.new" || return 3
}

# again REPORT OUTPUT: lets a write that was cut off begin again; no other file is replaced.
again() {
    [ -e "${1%.report.json}.new" ] && [[ $(field exit_status "$1") == [345] ]] &&
        [ "$(field status "$2.dgen.json")" = '"writing"' ] &&
        [ "$(field spec "$1")" = "$(field spec "$2.dgen.json")" ] &&
        printf '%s\n' --overwrite
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

# mended RECORD FOLDER NAME COMMAND...: `written` for a step that mends what is recorded.
mended() {
    local was_same=
    (cd -P -- "$2" && is_same "$1") 2> /dev/null && was_same=1
    "${@:4}" || return
    [ -z "$was_same" ] || written "$1" "$2" "$3"
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
"""

_CALLED_BY = {
    "lost": ["lost"],
    "before": ["before", "again"],
    "mended": ["mended"],
    "remove": ["A data set", "written", "remove"],
}
"""Functions that only those scripts have in which a command stands."""


def script(
    cases: Sequence[Case],
    folder: str | PurePath,
    *,
    scheduler: str | None = None,
    name: str = "dgen",
) -> str:
    """Return a shell script that runs cases one after the other, a batch script for a scheduler.

    A batch script asks for what the largest job of the cases needs, for the time that all of them
    need together. `folder` is that of the campaign, where reports go; `scheduler` one of
    `SCHEDULERS`, or None for a script of no batch system; `name` that of the job.

    Raises `JobError` for a scheduler that is not known, a name that is no word, and for what cannot
    stand in a script.
    """
    for field, text in [("name", name), *(("case", case.name) for case in cases)]:
        options.value("name", text, field)
    lines = ["#!/bin/bash"]
    if scheduler is not None:
        lines += map(shell.comment, _directives(cases, scheduler, name, folder))
    shown = f"`dgen report {shell.word(str(folder))}` shows the results."
    told = f"# {name}: {counted(len(cases), 'case')} of dgen-mpi; {shown}"
    lines += [shell.comment(told), "set -u"]
    if scheduler == "pbs":
        lines.append('cd "${PBS_O_WORKDIR:-.}" || exit 2')
    body: list[str] = []
    before: list[str] = []
    for case in cases:
        path = PurePath(folder) / case.name
        place = shell.word(str(path)) if path.is_absolute() else f'"$top"/{shell.word(str(path))}'
        begin = f"begin {place} {case.jobs_digest} {case.origin_digest}"
        body += ["", f"# {case.name}", begin]
        prepared = _preparation(case.steps[0])
        if prepared != before:
            body += [*(["unprepared="] if before else []), *prepared]
            before = prepared
        body += _steps(case, place)
    functions = _functions("\n".join(body))
    return "\n".join([*lines, "top=$PWD", functions, *body, "", 'exit "$worst"', ""])


def _functions(commands: str) -> str:
    parts = _FUNCTIONS.rstrip().split("\n\n")
    for command, names in _CALLED_BY.items():
        if f"\n{command} " not in commands:
            left_out = tuple(f"# {name} " for name in names)
            parts = [part for part in parts if not part.startswith(left_out)]
    return "\n\n".join(parts)


def _preparation(job: Job) -> list[str]:
    """Return what all steps of a case need; the first one says it."""
    work = job.working_directory
    lines = ['cd "$top" || unprepared "$top"']
    if work is not None:
        # No option, and nothing that `cd` looks for elsewhere.
        folder = shell.word(work if work.startswith("/") else f"./{work}")
        lines.append(f"cd {folder} || unprepared {shell.word(f'working_directory: {work}')}")
    if job.modules:
        load = f"module load {shell.words(job.modules)}"
        lines.append(f"{load} || unprepared {shell.word(load)}")
    for command in shell.commands(tuple(job.setup or [])):
        # As it stands, and yet no part of what stands around it.
        lines.append(f"eval {shell.word(command)} || unprepared {shell.word(f'setup: {command}')}")
    return lines


def _steps(case: Case, place: str) -> list[str]:
    reports = [f"{place}/{name}.report.json" for name in case.step_names]
    commands = ["ready"]
    if len(case.steps) > 1:
        for job, report in zip(case.steps, reports, strict=True):
            if job.operation == "generate" and job.output is not None:
                first = f"{job.output}.{0:0{PER_RANK_DIGITS}}"
                file = first if job.layout == "per-rank" else str(job.output)
                others = " ".join(other for other in reports if other != report)
                commands.append(f"lost {shell.word(file)} {report} {others}")
    records = {}
    if case.remove_data:
        for number, output in enumerate(case.outputs, 1):
            head, name = os.path.split(output)
            where = f"{shell.word(head or '.')} {shell.word(name)}"
            records[output] = f"{place}/data-{number}.record {where}"
    for report, job in zip(reports, case.steps, strict=True):
        output = job.output or ""
        # A write notes whether anything was there before.
        if job.writes and (job.resume or job.overwrite is None):
            commands.append(f"before {report} {shell.word(output)}")
        variables = [f"{key}={text}" for key, text in (job.environment or {}).items()]
        parts = [f"step {report}"]
        if job.operation in IN_PLACE and output in records:
            parts.insert(0, f"mended {records[output]}")
        parts += [f"env {shell.words(variables)}"] if variables else []
        words = shell.words(job.arguments())
        if job.writes and job.overwrite is None and not job.resume:
            words += f" \\\n    $(again {report} {shell.word(output)})"
        commands.append(" \\\n    ".join([*parts, job.launch(), words]))
        if job.writes and output in records:
            record = f"written {records[output]}"
            if job.resume:
                # What was there before is not of this case, though it has finished it.
                record = f"{{ [ ! -e {report.removesuffix('.report.json')}.new ] || {record}; }}"
            commands.append(record)
    commands += [f"remove {record}" for record in records.values()]
    whole = " &&\n".join(commands)
    note = ["# shellcheck disable=SC2046 # One word, or none."] if "$(again " in whole else []
    return [*note, whole, 'end "$?"']


def _directives(
    cases: Sequence[Case], scheduler: str, name: str, folder: str | PurePath
) -> list[str]:
    wanted = Resources.of(cases)
    # A relative folder is not there yet, and a batch system makes none.
    is_there = PurePath(folder).is_absolute() and len(cases) == 1
    log = shell.word(f"{folder}/{cases[0].name}/log.txt" if is_there else f"{name}.log")
    if log.startswith("$"):
        raise JobError(
            f"folder: {str(folder)!a} is not accepted; give a batch system a path without "
            "control characters"
        )
    if scheduler not in _DIRECTIVES:
        raise JobError(f"scheduler: '{scheduler}' is not accepted; give {' or '.join(SCHEDULERS)}")
    seconds, stop = wanted.seconds or 0, wanted.stop_before or 0
    minutes = -(-seconds // 60)
    asked = {
        **asdict(wanted),
        "name": name,
        "log": log,
        "nodes_or_one": wanted.nodes or 1,
        "most_on_node": wanted.ranks_per_node or wanted.ranks,
        "time": seconds and f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}",
        "time_in_minutes": seconds and f"{minutes // 60}:{minutes % 60:02}",
        "stop_minutes": -(-stop // 60),
        "account": wanted.account and shell.word(wanted.account),
        "partition": wanted.partition and shell.word(wanted.partition),
    }
    lines = _DIRECTIVES[scheduler].splitlines()
    mark = lines[0].split()[0]
    found = [
        line.format_map(asked)
        for line in lines
        if all(asked[field] for field in re.findall(r"{(\w+)", line))
    ]
    more = dict.fromkeys(
        line for case in cases for job in case.steps for line in job.directives or [] if line
    )
    return [*found, *(f"{mark} {line}" for line in more)]


@dataclass(frozen=True)
class Resources:
    """What a batch system is asked for."""

    ranks: int
    nodes: int | None
    ranks_per_node: int | None
    seconds: int | None
    """The time for all; None where a case does not say."""
    stop_before: int | None
    account: str | None
    partition: str | None

    @classmethod
    def of(cls, cases: Sequence[Case]) -> Resources:
        """Return what cases that run one after the other need."""
        jobs = [job for case in cases for job in case.steps]
        limits = [max((job.time_limit or 0 for job in case.steps), default=0) for case in cases]
        seconds = sum(limits) if all(limits) else None
        stop = next((job.stop_before for job in jobs if job.stop_before), STOP_BEFORE)
        return cls(
            ranks=max(job.rank_count for job in jobs),
            nodes=max((job.nodes or 0 for job in jobs), default=0) or None,
            ranks_per_node=max((job.ranks_on_node or 0 for job in jobs), default=0) or None,
            seconds=seconds,
            stop_before=min(stop, seconds // 2) if seconds is not None else None,
            account=next((job.account for job in jobs if job.account), None),
            partition=next((job.partition for job in jobs if job.partition), None),
        )
