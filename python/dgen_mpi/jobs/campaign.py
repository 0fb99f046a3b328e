# SPDX-License-Identifier: MIT OR Apache-2.0
"""A campaign: jobs for every combination of the values that are swept."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgen_mpi._arguments import in_one_line, refusal
from dgen_mpi.jobs import files, options, places
from dgen_mpi.jobs.files import JobError
from dgen_mpi.jobs.model import ON_FILES, Job, canonical, shown

CASES_MAX = 10_000
"""The most cases of one campaign."""

COMBINATIONS_MAX = 1_000_000
"""The most combinations that are compared with a rule, rules of the same fields being one."""

JOBS_MAX = 100_000
"""The most steps of all cases of one campaign."""

NOT_SWEPT = frozenset({"report", "csv"})
"""The fields of a job that a campaign decides by itself."""

OWN_KEYS = ("steps", "include", "exclude", "runs", "remove_data")
"""The keys of a campaign file that are no fields of a job."""


@dataclass(frozen=True)
class Case:
    """One combination of values: jobs that are run one after the other."""

    name: str
    """Its name: the same for the same values, whatever else is swept."""
    values: dict[str, Any]
    """What is swept, as it stands in the file; under ``runs`` the number of the run."""
    steps: tuple[Job, ...]
    """The jobs; one that does not end well is the last."""
    remove_data: bool = False
    """Whether the files that it wrote are removed once all steps have ended well."""
    origin: str = dataclasses.field(default="", compare=False)
    """`jobs_digest` of the case that this one was made of, with paths as the file has them."""

    @functools.cached_property
    def jobs_digest(self) -> str:
        """A digest of what its jobs are: results are of the jobs that made them."""
        return digest_of(self.step_fields)

    @functools.cached_property
    def step_fields(self) -> list[dict[str, Any]]:
        """The fields of each step, as JSON has them."""
        return [job.model_dump(mode="json", exclude_none=True) for job in self.steps]

    @property
    def origin_digest(self) -> str:
        """A digest of its jobs that does not depend on where relative paths begin."""
        return self.origin or self.jobs_digest

    @property
    def step_names(self) -> list[str]:
        """Names of the steps: ``1-generate``, ``2-verify``."""
        return [f"{number}-{job.operation}" for number, job in enumerate(self.steps, 1)]

    @property
    def outputs(self) -> list[str]:
        """The files that it writes."""
        return list(dict.fromkeys(job.output for job in self.steps if job.writes and job.output))

    @property
    def bytes_written(self) -> int:
        """What all steps write together."""
        return sum(
            (job.size or 0) * job.rounds * job.phase_names.count("write") for job in self.steps
        )

    @property
    def bytes_moved(self) -> int:
        """What all steps write and read; of a step without size as much as the one before."""
        return sum(self.step_bytes)

    @property
    def step_bytes(self) -> list[int]:
        """What each step writes and reads."""
        found, last = [], 0
        for job in self.steps:
            last = job.size or last
            found.append(last * job.rounds * len(job.phase_names))
        return found

    @property
    def expected_stored_bytes(self) -> int:
        """What a store that deduplicates and compresses is expected to keep of what is written."""
        return sum(job.expected_stored_bytes or 0 for job in self.steps)


@dataclass(frozen=True)
class Campaign:
    """Jobs for every combination of the values that are swept.

    A campaign file is a job file in which fields may have lists of values; `cases` has a case for
    every combination. Besides, it may have

    - ``steps``: a list of mappings: jobs that each case runs one after the other, each with the
      fields of the file and its own over them; one step if it is not there
    - ``exclude``: a list of mappings: combinations that have all values of one are left out
    - ``include``: a list of mappings: further cases, with the first value of each list that they
      do not name
    - ``runs``: how often each case is run, 1 to 1000
    - ``remove_data``: whether files are removed once all steps of their case have ended well

    In ``output``, ``{name}`` stands for the name of the case and ``{campaign}`` for that of the
    campaign.
    """

    name: str
    cases: tuple[Case, ...]
    text: str = ""
    """The file."""

    @classmethod
    def load(cls, path: str | Path) -> Campaign:
        """Return the campaign of a file; raises `JobError` with one line for what is wrong."""
        path = Path(path)
        taken = [(str(path), "the campaign file")]
        return cls._from_yaml(files.read(path), str(path), path.stem, taken)

    @classmethod
    def from_yaml(
        cls, text: str, name: str = "campaign", default_name: str = "campaign"
    ) -> Campaign:
        """Return the campaign of a text, which is called `name` in errors.

        `default_name` is the name of a campaign that has none. Raises `JobError` for the first
        thing that is not accepted.
        """
        return cls._from_yaml(text, name, default_name, [])

    @classmethod
    def _from_yaml(
        cls, text: str, name: str, default_name: str, taken: list[tuple[str, str]]
    ) -> Campaign:
        content = files.parse(text, name)
        files.refuse_unknown(content, [*Job.model_fields, *OWN_KEYS], name)
        own = {key: content.pop(key) for key in OWN_KEYS if key in content}
        default_name = re.sub(r"[^A-Za-z0-9._-]+", "-", default_name).strip("._-") or "campaign"
        title = options.value("name", content.pop("name", default_name), f"{name}: name")
        for key in content.keys() & NOT_SWEPT:
            raise JobError(f"{name}: {key}: a campaign keeps the reports in its folder")
        axes = {key: value for key, value in content.items() if is_axis(key, value)}
        for key, several in axes.items():
            if not several:
                raise JobError(f"{name}: {key}: a list of values is empty")
            known = set()
            for value in several:
                if (same := canonical(key, value)) in known:
                    twice = in_one_line(shown(value))
                    raise JobError(f"{name}: {key}: '{twice}' is there twice")
                known.add(same)
        fixed = {key: value for key, value in content.items() if key not in axes}
        runs = _runs(name, str(own.get("runs", 1)))
        # As every flag is read.
        removes = options.value("overwrite", own.get("remove_data", False), f"{name}: remove_data")
        steps = _mappings(own.get("steps", [{}]), f"{name}: steps") or [{}]
        combinations = _combinations(axes, own, name, runs)
        count = len(combinations) * runs
        if not 1 <= count <= CASES_MAX:
            raise JobError(f"{name}: {count} cases; give 1 to {CASES_MAX}")
        if count * len(steps) > JOBS_MAX:
            raise JobError(
                f"{name}: steps: {count} cases of {len(steps)} steps; give {JOBS_MAX} steps at "
                "most in all cases together"
            )
        cases = []
        names: dict[str, dict[str, Any]] = {}
        for swept in combinations:
            for number in range(1, runs + 1):
                chosen = {**swept, "runs": number} if runs > 1 else swept
                case_name = _name_of(chosen, names)
                names[case_name] = chosen
                jobs = []
                for index, step in enumerate(steps, 1):
                    where = name if len(steps) == 1 else f"{name}: steps[{index}]"
                    if step.keys() & {"name", *NOT_SWEPT}:
                        raise JobError(f"{where}: a step has no name and no report of its own")
                    fields = {**fixed, **swept, **step}
                    for key in ("output", "manifest"):
                        path = fields.get(key)
                        if isinstance(path, str):
                            path = path.replace("{name}", case_name)
                            fields[key] = path.replace("{campaign}", title)
                    jobs.append(_job({"name": case_name, **fields}, where))
                cases.append(Case(case_name, chosen, tuple(jobs), removes))
        places.refuse_clashes(((case.name, case.steps) for case in cases), name, taken)
        return cls(title, tuple(cases), text)

    @property
    def bytes_written(self) -> int:
        """What all cases write together."""
        return sum(case.bytes_written for case in self.cases)


def digest_of(fields: list[dict[str, Any]]) -> str:
    """Return a digest of the fields of jobs."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]


def is_axis(key: str, value: Any) -> bool:
    """Return whether a value is a list of values rather than one."""
    if not isinstance(value, list):
        return False
    if options.shape_of(key) not in options.LISTS:
        return True
    return bool(value) and all(isinstance(element, list | dict) for element in value)


def _runs(name: str, text: str) -> int:
    if not re.fullmatch("[+]?[0-9]{1,4}", text, re.ASCII) or not 1 <= int(text) <= 1000:
        raise JobError(f"{name}: {refusal('runs', text, 'a whole number from 1 to 1000')}")
    return int(text)


def _mappings(value: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(element, dict) for element in value):
        raise JobError(f"{where}: give a list of mappings")
    for index, element in enumerate(value, 1):
        files.refuse_unknown(element, Job.model_fields, f"{where}[{index}]")
    return value


def _combinations(
    axes: dict[str, list[Any]], own: dict[str, Any], name: str, runs: int
) -> list[dict[str, Any]]:
    """Return the swept values of each case, in the order of the file.

    Linear in the combinations, whatever the rules; they are counted before the first is made.
    """
    excluded = _mappings(own.get("exclude", []), f"{name}: exclude")
    included = _mappings(own.get("include", []), f"{name}: include")
    # What is left out, by the fields that rules name together.
    rules: dict[tuple[str, ...], set[tuple[tuple[bool, str], ...]]] = {}
    for rule in excluded:
        for key in rule:
            if key not in axes:
                raise JobError(f"{name}: exclude: '{in_one_line(key)}' has no list of values")
        named = tuple(key for key in axes if key in rule)
        if named:
            rules.setdefault(named, set()).add(tuple(canonical(key, rule[key]) for key in named))
    count = math.prod(map(len, axes.values()))
    most = COMBINATIONS_MAX // len(rules) if rules else CASES_MAX
    if count > most:
        raise JobError(
            f"{name}: {count * runs} cases; give 1 to {CASES_MAX}"
            + (f", of {most} combinations at most with these rules" if rules else "")
        )
    keys = list(axes)
    looked_at = [(list(map(keys.index, named)), left_out) for named, left_out in rules.items()]
    values_of = [[(canonical(key, value), value) for value in axes[key]] for key in axes]
    found = []
    for chosen in itertools.product(*values_of):
        if any(
            tuple(chosen[place][0] for place in places_of) in left_out
            for places_of, left_out in looked_at
        ):
            continue
        found.append(dict(zip(axes, (value for _, value in chosen), strict=True)))
        if len(found) > CASES_MAX:
            raise JobError(f"{name}: more than {CASES_MAX} cases; give 1 to {CASES_MAX}")
    first = {key: several[0] for key, several in axes.items()}
    return [*found, *({**first, **rule} for rule in included)]


def _name_of(swept: dict[str, Any], taken: dict[str, dict[str, Any]]) -> str:
    """Return the name of a case: what is swept, in words that are good for folders."""
    parts = []
    for key, value in swept.items():
        text = re.sub(r"[^A-Za-z0-9.]+", "_", shown(value)).strip("_.")
        # The number of a run; `run` itself is an option.
        word = "run" if key == "runs" else key
        parts.append(f"{word}{text}" if text[:1].isdigit() else f"{word}_{text}")
    name = "-".join(parts) or "all"
    if taken.get(name) == swept:
        raise JobError(f"two cases have the same values: {name}")
    if len(name) > 80 or name in taken:
        digest = hashlib.sha256(repr(sorted(swept.items(), key=str)).encode()).hexdigest()[:8]
        name = f"{name[:71]}-{digest}"
    return name


def _job(fields: dict[str, Any], where: str) -> Job:
    job = Job.from_mapping(fields, where)
    if job.output is None:
        raise JobError(f"{where}: output: missing; give the file to {job.operation}")
    if job.output == "-":
        raise JobError(f"{where}: output: '-' is not accepted; a job has stdout for its log")
    if job.size is None and job.operation not in ON_FILES:
        raise JobError(f"{where}: size: missing; give bytes as 4096, 64KiB, 1.5GiB or 10GB")
    try:
        job.command()
    except JobError as error:
        raise JobError(f"{where}: {error}") from error
    return job


def campaign_schema() -> dict[str, Any]:
    """Return the JSON Schema of campaign files: fields of a job or lists of their values."""
    schema = job_schema()
    fields = schema["properties"]
    job_fields = {"type": "object", "properties": fields, "additionalProperties": False}
    several = {"type": "array", "minItems": 1}
    mappings = {"type": "array", "items": {"$ref": "#/$defs/fields"}}
    own: dict[str, Any] = {
        "steps": {**mappings, "minItems": 1},
        "include": mappings,
        "exclude": mappings,
        "runs": {"type": "integer", "minimum": 1, "maximum": 1000},
        "remove_data": {"type": "boolean"},
    }
    swept = {
        key: {"anyOf": [{"$ref": f"#/$defs/fields/properties/{key}"}, several]}
        for key in fields
        if key not in ("name", *NOT_SWEPT)
    }
    return {
        **schema,
        "title": "Campaign",
        "description": "Jobs of dgen-mpi for every combination of the values that are swept.",
        "properties": {"name": fields["name"], **swept, **own},
        "$defs": {"fields": job_fields},
    }


def job_schema() -> dict[str, Any]:
    """Return the JSON Schema of job files."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Job",
        "description": "One run of dgen-mpi, and how it is launched.",
        "type": "object",
        "properties": {name: options.schema(row) for name, row in options.ROWS.items()},
        "additionalProperties": False,
    }
