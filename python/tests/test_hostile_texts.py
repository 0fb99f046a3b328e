# SPDX-License-Identifier: MIT OR Apache-2.0
"""Texts of users in scripts: whatever they are, they are words, and bash runs none of them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import IS_WHOLE

from dgen_mpi.jobs import (
    SCHEDULERS,
    BatchSystem,
    Campaign,
    CampaignFolder,
    Case,
    Job,
    JobError,
    script,
    shell,
)

TEXTS = [
    "a\ntouch pwned\n",
    "a'\ntouch pwned\n'",
    "$(touch pwned)",
    "`touch pwned`",
    "'; touch pwned; '",
    '"; touch pwned; "',
    "a\rtouch pwned",
    "a # touch pwned",
    "a\u2028touch pwned\u2029\x85",
    "a\0touch pwned",
    "-x --touch=pwned",
    "--",
    "-",
    "a\\",
    "a & touch pwned &",
    "a\x1b]0;touch pwned\x07",
    "${IFS}*?[a-z]{1,2}~ !x",
    "x=() { :; }; touch pwned",
    "\u202ea\u0301 \u00e9\U0001f600",
]
"""Each would make a file `pwned` if bash took a part of it for a command."""

FIELDS = [
    *("name", "output", "hint", "hints_file", "launcher", "launcher_arguments", "environment"),
    *("environment_name", "modules", "program", "working_directory", "account", "partition"),
    *("directives", "folder", "current"),
]

RECORD = """#!/bin/bash
printf '%s\\0' "${0##*/}" "$@" "Y=${Y-}" "in=$PWD" >> "$RECORD"
"""


def fields_of(field: str, text: str) -> dict[str, Any]:
    """Return a campaign in which a text stands beside a field."""
    base: dict[str, Any] = {"name": "c", "output": "out", "size": "1", "account": "a"}
    if field in ("launcher_arguments", "modules", "directives"):
        return base | {field: [text, "b"]}
    if field == "hint":
        return base | {"hint": {"k": text}}
    if field == "launcher":
        return base | {"launcher": "mpirun {ranks} " + text}
    if field == "environment":
        return base | {"environment": {"Y": text}}
    if field == "environment_name":
        return base | {"environment": {text: "1"}}
    return base if field in ("folder", "current") else base | {field: text}


@pytest.mark.parametrize("field", FIELDS)
def test_no_text_becomes_a_command(field: str, tmp_path: Path) -> None:
    """In any field, for any batch system: it is refused in one line, or arrives whole."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("mpirun", "module", "program"):
        (tools / name).write_text(RECORD)
        (tools / name).chmod(0o755)
    ran = 0
    for number, text in enumerate(TEXTS):
        place = tmp_path / str(number)
        place.mkdir()
        current, folder = place, place / "c"
        if field in ("current", "folder") and "\0" not in text:
            current = place / text.replace("/", "_") if field == "current" else place
            folder = place / text.replace("/", "_") / "c"
            folder.parent.mkdir(exist_ok=True)
        content = fields_of(field, text)
        if field == "working_directory" and "\0" not in text:
            (place / text).mkdir()
        systems = [None, *SCHEDULERS] if IS_WHOLE else [None, SCHEDULERS[number % 4]]
        for system in systems:
            try:
                campaign = Campaign.from_yaml(yaml.safe_dump(content))
                path = folder if system is None or number % 2 else "c"
                made = script(campaign.cases, path, scheduler=system, name=campaign.name)
            except JobError as refused:
                said = str(refused)
            else:
                said = ""
            assert "\n" not in said
            if said:
                continue
            assert not {character for character in made if character < " "} - {"\n", "\t"}
            # What stands between the first line and the first command is comments.
            head = made.split("\nset -u\n")[0].split("\n")
            assert all(line.startswith("#") for line in head)
            record = place / "record"
            record.write_bytes(b"")
            done = subprocess.run(
                ["bash", "-c", 'cd -- "$1" && exec bash', "bash", current],
                input=made.encode(),
                env={
                    "PATH": f"{tools}:/usr/bin:/bin",
                    "RECORD": str(record),
                    "BASH_ENV": "",
                    "PBS_O_WORKDIR": str(current),
                },
                capture_output=True,
                timeout=30,
                check=False,
            )
            assert b"syntax" not in done.stderr, (text, done.stderr)
            words = record.read_bytes().decode().split("\0")
            assert not list(tmp_path.rglob("pwned")), (field, text)
            job = campaign.cases[0].steps[0]
            assert job.arguments()[1:] == [word for word in words if word in job.arguments()[1:]], (
                text,
                done.stderr,
            )
            if field in ("launcher_arguments", "modules", "environment", "working_directory"):
                assert any(text in word for word in words), (text, words, done.stderr)
            ran += 1
    assert ran or field in ("name", "environment_name")


@pytest.mark.parametrize("text", TEXTS)
def test_names_are_words(text: str) -> None:
    """Of campaigns and cases that programs make; and the texts that no field refuses."""
    job = Job.from_mapping({"output": "o", "size": 1})
    for name, case in ((text, "a"), ("a", text)):
        with pytest.raises(JobError, match="is not accepted"):
            script([Case(case, {}, (job,))], "f", name=name)
    # What was not checked does not leave its comment either.
    for field in ("directives", "account", "partition"):
        given = [text] if field == "directives" else text
        unchecked = job.model_copy(update={field: given})
        for system in SCHEDULERS:
            try:
                made = script([Case("a", {}, (unchecked,))], "f", scheduler=system)
            except JobError:
                continue
            head = made.split("\nset -u\n")[0].split("\n")
            assert all(line.startswith("#") for line in head)


@pytest.mark.parametrize("text", [*TEXTS, "", "a b", "\udcffx", "it's \\n"])
def test_words_arrive_whole(text: str) -> None:
    """As bash reads them, from one line of printable characters."""
    if "\0" in text or "\udcff" in text:
        with pytest.raises(JobError, match=r"give text (without NUL|in UTF-8)"):
            shell.word(text)
        return
    word = shell.word(text)
    assert word.isprintable()
    for locale in ("C", "C.UTF-8"):
        done = subprocess.run(
            ["bash", "-c", f"printf %s {word}"],
            capture_output=True,
            check=True,
            timeout=30,
            env={**os.environ, "LC_ALL": locale},
        )
        assert done.stdout == text.encode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('launcher: "a \'b {ranks}"', 'launcher: "a \'b {ranks}" is not accepted; give a command'),
        ('hint: {k: "a\\0b"}', "a NUL in a text"),
        ('hints_file: "a\\0b"', "a NUL in a text"),
        ('working_directory: "a\\nb"', "working_directory: 'a\\nb' is not accepted"),
    ],
)
def test_what_no_word_can_be_is_refused_with_the_file(text: str, said: str) -> None:
    """Before anything is written, in one line."""
    with pytest.raises(JobError) as caught:
        Campaign.from_yaml(f"output: o\nsize: 1\n{text}\n", "c.yaml")
    assert str(caught.value).startswith("c.yaml:")
    assert said in str(caught.value)


def test_lines_of_set_up_are_whole_commands() -> None:
    """What belongs together stays together; what bash does not understand stands alone."""
    lines = ["a", "if b; then", "c", "fi", "cat <<E", "x", "E", "d \\", "e", "'", "f", "ls !(x)"]
    assert list(shell.commands(tuple(lines))) == [
        *("a", "if b; then\nc\nfi", "cat <<E\nx\nE", "d \\\ne", "'", "f", "ls !(x)")
    ]


def test_folders_of_any_name_hold_campaigns(tmp_path: Path) -> None:
    """Their scripts are bash; a case runs in them."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "mpirun").write_text(RECORD)
    (tools / "mpirun").chmod(0o755)
    for text in TEXTS:
        if "\0" in text:
            continue
        path = tmp_path / text / "c"
        path.parent.mkdir()
        text_of = f"output: {tmp_path}/o\nsize: 1\nworking_directory: {tmp_path}\n"
        folder = CampaignFolder.create(Campaign.from_yaml(text_of), path)
        (case,) = folder.campaign.cases
        subprocess.run(
            ["bash", folder.script(case)],
            cwd=tmp_path,
            env={"PATH": f"{tools}:/usr/bin:/bin", "RECORD": str(tmp_path / "record")},
            capture_output=True,
            check=True,
            timeout=30,
        )
        assert folder.exit_status(case) == 0
    assert not list(tmp_path.rglob("pwned"))
    with pytest.raises(JobError, match="UTF-8"):
        CampaignFolder.create(Campaign.from_yaml(text_of), tmp_path / "\udcff")
    assert not (tmp_path / "\udcff").exists()


@pytest.mark.parametrize("system", ["slurm", "pbs", "lsf"])
def test_scripts_of_psij_run_nothing_either(system: str, tmp_path: Path) -> None:
    """It puts the folder between double quotes, where a dollar is obeyed."""
    import io

    import psij

    batch = BatchSystem(system)
    batch._executor.work_directory = tmp_path / "work"
    (tmp_path / "work").mkdir()
    for number, text in enumerate(TEXTS):
        if "\0" in text or "/" in text:
            continue
        place = tmp_path / str(number) / text
        place.mkdir(parents=True)
        content = {
            **{"output": str(tmp_path / "o"), "size": "1", "program": "true"},
            **{"account": "a; touch pwned", "partition": "$(touch pwned)"},
            **{"directives": ["--x=$(touch pwned)`touch pwned`"], "time_limit": "1h"},
        }
        if not {"\n", "\r", "\u2028"} & set(text):
            content["working_directory"] = str(place)
        campaign = Campaign.from_yaml(yaml.safe_dump(content))
        folder = CampaignFolder.create(campaign, place / "c")
        (case,) = folder.campaign.cases
        job = psij.Job(batch._spec(folder, case))
        made = io.StringIO()
        batch._executor.generate_submit_script(
            job, batch._executor._create_script_context(job), made
        )
        subprocess.run(
            ["bash"],
            input=made.getvalue().encode(),
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "LSB_JOBID": "1", "SLURM_JOB_ID": "1", "PBS_JOBID": "1"},
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert folder.log(case).exists(), made.getvalue()
        assert not list(tmp_path.rglob("pwned")), made.getvalue()
