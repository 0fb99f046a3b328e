# SPDX-License-Identifier: MIT OR Apache-2.0
"""Commands that take a job or campaign file, or the folder of a campaign."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dgen_mpi import _native, jobs
from dgen_mpi._files import replace
from dgen_mpi._text import cell, counted, new_table, plain
from dgen_mpi.cli.display import Display
from dgen_mpi.cli.estimates import duration, expected_rate
from dgen_mpi.cli.output import Status, new_console, print_json, require_output, say
from dgen_mpi.jobs import Campaign, CampaignFolder, Case, Ended, JobError, State, logs, shell
from dgen_mpi.jobs.folder import keep_and_replace
from dgen_mpi.jobs.places import needed_files, refuse_clashes

STATUS_OF = {
    State.MISMATCH: Status.DIFFERS,
    State.INTERRUPTED: Status.INTERRUPTED,
    State.CANCELLED: Status.INTERRUPTED,
}


def check(options: argparse.Namespace) -> None:
    """Check a job or campaign file, and show what it would do."""
    campaign = Campaign.load(options.file)
    if options.json:
        print_json(_plan(campaign))
        return
    table = new_table(("case", "steps"), ("writes", "expected stored"))
    for case in campaign.cases:
        table.add_row(
            cell(case.name),
            ", ".join(
                f"{job.operation} with {counted(job.rank_count, 'rank')}" for job in case.steps
            ),
            _native.format_size(case.bytes_written),
            _native.format_size(case.expected_stored_bytes),
        )
    new_console().print(table)
    say(_total(campaign))


def _total(campaign: Campaign) -> str:
    count = counted(len(campaign.cases), "case")
    return f"{campaign.name}: {count}, {_amounts(campaign.cases)}"


def _amounts(cases: Sequence[Case]) -> str:
    """Return what cases write, and what a store is expected to keep of it."""
    written = _native.format_size(sum(case.bytes_written for case in cases))
    stored = _native.format_size(sum(case.expected_stored_bytes for case in cases))
    return f"{written} written, {stored} expected to be stored"


def _plan(campaign: Campaign, seconds: dict[str, float] | None = None) -> dict[str, Any]:
    return {
        "name": campaign.name,
        "bytes_written": campaign.bytes_written,
        "expected_stored_bytes": sum(case.expected_stored_bytes for case in campaign.cases),
        "cases": [
            {
                "name": case.name,
                "values": case.values,
                "bytes_written": case.bytes_written,
                "expected_stored_bytes": case.expected_stored_bytes,
                "commands": [job.command() for job in case.steps],
                **({"seconds": seconds[case.name]} if seconds else {}),
            }
            for case in campaign.cases
        ],
    }


def schema(options: argparse.Namespace) -> None:
    """Print the JSON Schema of job or campaign files, for editors."""
    print_json(jobs.job_schema() if options.kind == "job" else jobs.campaign_schema())


def _open(options: argparse.Namespace) -> CampaignFolder:
    campaign = Campaign.load(options.file)
    return CampaignFolder.create(campaign, options.folder or Path(campaign.name))


def render(options: argparse.Namespace) -> None:
    """Write batch scripts, to be read before they are submitted."""
    campaign = Campaign.load(options.file)
    scheduler = options.scheduler
    if options.single:
        folder = options.folder or campaign.name
        text = jobs.script(campaign.cases, folder, scheduler=scheduler, name=campaign.name)
        if options.single == "-":
            print(text, end="")
            return
        steps = [(case.name, case.steps) for case in campaign.cases]
        inputs = [(options.file, "the campaign file"), *needed_files(steps)]
        require_output("single", options.single, inputs)
        refuse_clashes(steps, "single", [(options.single, "the script")])
        replace(options.single, text)
        written = [options.single]
    else:
        folder = CampaignFolder.create(campaign, options.folder or Path(campaign.name))
        written = []
        for case in folder.campaign.cases:
            path = folder.place(case) / f"{scheduler}.sh"
            name = folder.title(case)
            text = jobs.script([case], folder.path, scheduler=scheduler, name=name)
            keep_and_replace(path, text)
            written.append(str(path))
    if options.json:
        print_json({"scheduler": scheduler, "scripts": written})
    else:
        # Programs read them as they are.
        print("\n".join(map(plain, written) if sys.stdout.isatty() else written))


def run(options: argparse.Namespace) -> int:
    """Run a campaign on this machine; what was done is not done again."""
    if options.dry_run:
        return _dry_run(options)
    folder = _open(options)
    cases = folder.campaign.cases
    ended: list[Ended] = []
    with Display(folder, is_quiet=options.json) as display:
        for event in jobs.run(folder, stop_at_failure=options.stop_at_failure):
            display.show(event)
            if isinstance(event, Ended):
                ended.append(event)
    if options.json:
        print_json(_states(folder, {case.name: folder.state(case) for case in cases}, ended))
    else:
        say(f"results: dgen report {shell.word(os.path.relpath(folder.path))}")
    return _worst([event.state for event in ended])


def _worst(states: Sequence[State]) -> int:
    """Return the exit status of several cases: that of the first that did not end well."""
    bad = [state for state in states if state is not State.DONE]
    return STATUS_OF.get(bad[0], Status.FAILED) if bad else Status.DONE


def _dry_run(options: argparse.Namespace) -> int:
    campaign = Campaign.load(options.file)
    place = options.folder or Path(campaign.name)
    rate, source = expected_rate(options, campaign, place)
    seconds = {case.name: case.bytes_moved / rate for case in campaign.cases} if rate else None
    if options.json:
        plan = _plan(campaign, seconds)
        print_json(plan | {"bytes_per_second": rate, "rate_source": source})
        return Status.DONE
    for case in campaign.cases:
        time_text = f", about {duration(seconds[case.name])}" if seconds else ""
        say(f"{case.name}: {_amounts([case])}{time_text}")
        for job in case.steps:
            say(f"    {job.command()}")
    say(_total(campaign))
    if seconds and rate:
        whole, speed = duration(sum(seconds.values())), _native.format_size(int(rate))
        say(f"about {whole} at {speed}/s, {source}")
    else:
        say("time: unknown; give --rate, or --measure to measure one")
    return Status.DONE


def submit(options: argparse.Namespace) -> int:
    """Give a campaign to a batch system."""
    folder = _open(options)
    system = jobs.BatchSystem(options.executor)
    with folder.locked():
        folder.require_unchanged()
        states = system.states(folder, folder.campaign.cases)
        # What is done, or is with the batch system already, is not given to it again.
        given = (State.DONE, State.QUEUED, State.RUNNING)
        wanted = [case for case in folder.campaign.cases if states[case.name] not in given]
        names = system.submit(folder, wanted)
    if options.wait:
        return _show_states(options, folder, system.wait(folder, folder.campaign.cases))
    if options.json:
        print_json({"folder": str(folder.path), "executor": options.executor, "jobs": names})
    else:
        for case, native in names.items():
            say(f"{case}: {options.executor} job {native}")
        say(f"next: dgen status {shell.word(os.path.relpath(folder.path))}")
    return Status.DONE


def _systems(folder: CampaignFolder) -> dict[jobs.BatchSystem, list[Case]]:
    """Return the batch systems that have cases which have not ended, and these cases."""
    cases: dict[str, list[Case]] = {}
    for case in folder.campaign.cases:
        submission = folder.submission(case)
        if submission is not None and not folder.state(case).is_final:
            cases.setdefault(submission["executor"], []).append(case)
    return {jobs.BatchSystem(name): cases[name] for name in sorted(cases)}


def status(options: argparse.Namespace) -> int:
    """Show how far the cases of a campaign are."""
    folder = CampaignFolder.open(options.folder)
    states = {case.name: folder.state(case) for case in folder.campaign.cases}
    for system, cases in _systems(folder).items():
        states |= system.wait(folder, cases) if options.wait else system.states(folder, cases)
    if folder.is_running():
        for case in folder.campaign.cases:
            is_open = folder.exit_status(case) is None and folder.submission(case) is None
            if states[case.name] is State.INTERRUPTED and is_open:
                states[case.name] = State.RUNNING
    return _show_states(options, folder, states)


def _show_states(
    options: argparse.Namespace, folder: CampaignFolder, states: dict[str, State]
) -> int:
    if options.json:
        print_json(_states(folder, states))
    else:
        table = new_table(("case", "state", "job", "what went wrong"))
        for case in folder.campaign.cases:
            submission = folder.submission(case) or {}
            table.add_row(
                cell(case.name),
                str(states[case.name]),
                cell(submission.get("native_id", "")),
                cell(reason_of(folder, case, states[case.name])),
            )
        new_console().print(table)
    # Cases that go on are no failures.
    return _worst([state for state in states.values() if state.is_final])


def reason_of(folder: CampaignFolder, case: Case, state: State) -> str:
    """Return in one line why a case did not end well."""
    if state is State.DONE or not state.is_final:
        return ""
    for step in folder.results(case):
        if step.problem:
            return f"{step.name}: {step.problem}"
        if step.report is not None and not step.is_done:
            error = str(step.report.get("error") or step.report.get("status"))
            said = logs.reason(folder.log(case))
            # What the launcher said of a run that was killed; its report cannot know.
            more = f"; {said}" if state is State.INTERRUPTED and said and error not in said else ""
            return f"{step.name}: {error}{more}"
    status = folder.exit_status(case)
    ended = "ended without a report" if status is None else f"ended with status {status}"
    said = logs.reason(folder.log(case))
    return f"{ended}: {said}" if said else ended


def _states(
    folder: CampaignFolder, states: dict[str, State], ended: Sequence[Ended] = ()
) -> dict[str, Any]:
    earlier = {event.case.name for event in ended if event.was_done}
    return {
        "folder": str(folder.path),
        "cases": [
            {
                "name": case.name,
                "state": str(states[case.name]),
                "was_done": case.name in earlier,
                "reason": reason_of(folder, case, states[case.name]),
                "submission": folder.submission(case),
            }
            for case in folder.campaign.cases
        ],
    }


def cancel(options: argparse.Namespace) -> None:
    """Cancel the jobs of a campaign."""
    folder = CampaignFolder.open(options.folder)
    known = {case.name: case for case in folder.campaign.cases}
    for name in options.cases:
        if name not in known:
            raise JobError(f"case: '{name}' is not accepted; give one of {' '.join(known)}")
    cases = [known[name] for name in options.cases] or list(known.values())
    cancelled: list[str] = []
    for system in _systems(folder):
        cancelled += system.cancel(folder, cases)
    if options.json:
        print_json({"cancelled": cancelled})
    else:
        for line in [f"{name}: cancelled" for name in cancelled] or ["nothing to cancel"]:
            say(line)
