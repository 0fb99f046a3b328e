# SPDX-License-Identifier: MIT OR Apache-2.0
"""The table of options: what is made from it, and that a new row is seen everywhere."""

from __future__ import annotations

import importlib.util
import keyword
import typing
from decimal import Decimal
from types import ModuleType
from typing import Any

import jsonschema
import pytest
from conftest import ROOT

from dgen_mpi import _native
from dgen_mpi.cli import new
from dgen_mpi.jobs import Job, job_schema, options, texts
from dgen_mpi.jobs.fields import fields_of

COLOUR = {
    **options.ROWS["fill"],
    "name": "colour_of_bytes",
    "help": "Which colour the bytes have. Nobody sees it.",
    "example": "backref",
}


@pytest.fixture(scope="module")
def made() -> ModuleType:
    """Return the script that writes what is made from the table."""
    spec = importlib.util.spec_from_file_location("made", ROOT / "python/docs/options.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_files_that_are_made_from_the_table_are_those_it_makes(made: ModuleType) -> None:
    """`python python/docs/options.py` makes them anew."""
    for path, text in made.written().items():
        assert path.read_text(encoding="utf-8") == text, path


def test_fields_are_spelled_out_for_editors_as_they_are(made: ModuleType) -> None:
    """The types of the stub are those of the model."""
    names: dict[str, Any] = {}
    code = compile(made.fields(options.TABLE), "fields.pyi", "exec", dont_inherit=True)
    exec(code, names)
    spelled = typing.get_type_hints(names["OptionFields"])
    # Nobody can write those that are words of the language.
    writable = {name: it for name, it in Job.model_fields.items() if not keyword.iskeyword(name)}
    for name, field in writable.items():
        assert spelled[name] == typing.get_type_hints(Job).get(name, field.annotation), name
    assert spelled.keys() == writable.keys()


def test_a_row_is_seen_wherever_options_are(
    made: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option that is added in memory."""
    assert COLOUR["name"] not in made.page(options.TABLE, made.PAGE.read_text(encoding="utf-8"))
    name, rows = COLOUR["name"], {**options.ROWS, COLOUR["name"]: COLOUR}
    text = made.page([*options.TABLE, COLOUR], made.PAGE.read_text(encoding="utf-8"))
    assert "### colour_of_bytes\n\nWhich colour the bytes have. Nobody sees it." in text
    assert "`--colour-of-bytes`" in text
    assert "    colour_of_bytes: str | None" in made.fields([*options.TABLE, COLOUR])
    handed: list[list[str]] = []

    def check(
        operation: str, found: dict[str, list[str]], profile: dict[str, list[str]]
    ) -> dict[str, Any]:
        """Do what the extension does, and take the new option as it is."""
        given = dict(found)
        taken = given.pop(name, None)
        handed.extend([taken] if taken else [])
        return {**native(operation, given, profile), **({name: taken[-1]} if taken else {})}

    native = _native.check_options
    monkeypatch.setattr(_native, "check_options", check)
    for module in (options, texts):
        monkeypatch.setattr(module, "ROWS", rows)
    schema = job_schema()
    jsonschema.validate({name: "zeros"}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({name: "red"}, schema)
    commented = new._commented({"output": "o", "size": "1"})
    assert f"# {name}: backref  # Which colour the bytes have.\n" in commented
    fields = fields_of(rows).model_fields
    assert fields[name].description == "Which colour the bytes have."
    assert options.read({name: "zeros"}) == {name: "zeros"}
    assert handed == [["zeros"]]


def test_the_extension_refuses_in_the_words_of_the_program() -> None:
    """Values of Python and texts alike; what is no option at all too."""
    read = options.read({"size": "1KiB", "compress_ratio": 1.5, "hint": {"a": 4}, "quiet": "on"})
    assert read == {
        "size": 1024,
        "compress_ratio": Decimal("1.5"),
        "hint": {"a": "4"},
        "quiet": True,
    }
    for given, said in [
        ({"order": "up"}, "order: 'up' is not accepted; give sequential or random"),
        ({"threads": 0}, "threads: '0' is not accepted; give a whole number from 1 to 4096"),
        ({"numa": "off", "numa_node": 1}, "give no node with numa off"),
        ({"modules": {}}, "modules: 'a mapping' is not accepted; give a list of lines"),
    ]:
        with pytest.raises(ValueError, match=said):
            options.read(given)
    for wrong in ({"nothing": ["1"]}, {"size": 5}, {"size": [5]}, 7, {5: ["1"]}):
        with pytest.raises((ValueError, TypeError)):
            _native.check_options("generate", wrong, {})  # type: ignore[arg-type]
