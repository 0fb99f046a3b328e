# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the fields of a job accept: values as job files have them, and as Python has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from dgen_mpi import _native
from dgen_mpi._arguments import in_one_line, thousandths

SIZE_UNITS = [("EiB", 60), ("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)]

DIRECT_UNIT = 4096
"""What transfers and shards past the system's caches are multiples of, in bytes."""

DURATION_MAX = 36_000_000
"""The longest duration, in seconds."""

HINT_KEY_BYTES_MAX = 35
HINT_VALUE_BYTES_MAX = 255
"""The longest key and value of an MPI-IO hint, as Open MPI has them."""

OPERATIONS = ("generate", "verify", "test", "repair")
"""What a job does."""

KNOWN_MAX = 64
"""The most seeds of earlier data sets."""

LINE_ENDS = "\n\v\f\r\x85\u2028\u2029"

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)


def refusal(value: object, accepted: str) -> ValueError:
    """Return the error for a value that a field does not accept."""
    text = "a mapping" if isinstance(value, Mapping) else value
    text = "a list" if isinstance(value, list | tuple) else text
    text = "nothing" if value is None else text
    shown = str(text).translate(dict.fromkeys(map(ord, LINE_ENDS), " "))
    return ValueError(f"'{in_one_line(shown)}' is not accepted; give {accepted}")


def integer(value: object, least: int, most: int) -> int:
    """Return a whole number from `least` to `most`, written as such."""
    number = None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and _INTEGER.fullmatch(value):
        number = _whole(value)
    if number is None or not least <= number <= most:
        raise refusal(value, f"a whole number from {least} to {most}")
    return number


def _whole(digits: str) -> int | None:
    """Return the number that digits with or without a sign are; None for one far too large."""
    sign = digits[:1] if digits[:1] in "+-" else ""
    rest = digits.removeprefix(sign).lstrip("0") or "0"
    return int(sign + rest) if len(rest) < 100 else None


def size(value: object, least: int = 0, most: int = 2**63 - 1) -> int:
    """Return the bytes of a size: a number, or a text such as ``64KiB``."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise refusal(value, "bytes as 4096, 64KiB, 1.5GiB or 10GB")
    if isinstance(value, str):
        try:
            number = _native.parse_size(value, "size")
        except ValueError as error:
            raise ValueError(str(error).removeprefix("size: ")) from None
    else:
        number = value
    if not least <= number <= most:
        bounds = f"{_native.format_size(least)} to {_native.format_size(most)}"
        raise refusal(value, bounds.replace("8.00 EiB", "2^63 - 1 bytes"))
    return number


def exact_size(number: int) -> str | int:
    """Return a size as it stands in job files: in the largest unit that divides it."""
    for unit, power in SIZE_UNITS:
        if number and number % (1 << power) == 0:
            return f"{number >> power}{unit}"
    return number


def ratio(value: object) -> Decimal:
    """Return a ratio, exact, with at most three decimals."""
    accepted = "a number from 1 up with at most 3 decimals, such as 2 or 1.333"
    if isinstance(value, str):
        if not re.fullmatch(r"[0-9]+(\.[0-9]{1,3})?", value, re.ASCII):
            raise refusal(value, accepted)
        number = Decimal(value)
        if number * 1000 > 2**63 - 1:
            raise refusal(value, accepted)
    elif isinstance(value, int | float | Decimal | Fraction) and not isinstance(value, bool):
        try:
            number = Decimal(thousandths(value, "ratio", is_exact=True)) / 1000
        except ValueError:
            raise refusal(value, accepted) from None
        if number < 0:
            raise refusal(value, accepted)
    else:
        raise refusal(value, accepted)
    return number.normalize()


def shown_ratio(number: Decimal) -> int | float:
    """Return a ratio as it stands in job files."""
    return int(number) if number == number.to_integral_value() else float(number)


def seed(value: object) -> int:
    """Return a seed."""
    accepted = "a whole number from 0 to 2^64 - 1"
    if isinstance(value, str):
        if not re.fullmatch("[0-9]+", value, re.ASCII):
            raise refusal(value, accepted)
        value = _whole(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 64:
        raise refusal(value, accepted)
    return value


def flag(value: object) -> bool:
    """Return whether a flag is set."""
    names = {"true": True, "yes": True, "on": True, "1": True}
    names |= {"false": False, "no": False, "off": False, "0": False}
    text = value.lower() if isinstance(value, str) else value
    if isinstance(text, bool):
        return text
    if not isinstance(text, str) or text not in names:
        raise refusal(value, "true or false")
    return names[text]


def line(value: object) -> str:
    """Return a text of one line, with something in it."""
    text = _scalar(value)
    if not text or any(end in text for end in [*LINE_ENDS, "\0"]):
        raise refusal(value, "one line of text")
    return text


def _scalar(value: object) -> str:
    """Return a plain value as text; nothing for what is none."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float | Decimal) else ""


def lines(value: object) -> list[str]:
    """Return a list of texts of one line."""
    try:
        if isinstance(value, list | tuple):
            return [line(element) for element in value]
    except ValueError:
        pass
    raise refusal(value, "a list of lines")


def variables(value: object) -> dict[str, str]:
    """Return variables of the environment."""
    accepted = "a mapping of names to values of one line"
    if not isinstance(value, Mapping):
        raise refusal(value, accepted)
    for name, text in value.items():
        plain = isinstance(text, str | int | float | bool | Decimal)
        if (
            not isinstance(name, str)
            or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name, re.ASCII)
            or not plain
            or any(end in str(text) for end in [*LINE_ENDS, "\0"])
        ):
            raise refusal(name if plain else text, accepted)
    return {name: _scalar(text) for name, text in value.items()}


def word(value: object) -> str:
    """Return a name that is good for folders and batch systems."""
    text = _scalar(value)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", text, re.ASCII):
        raise refusal(value, "1 to 100 letters, digits, '.', '_' and '-', a letter or digit first")
    return text


def launcher(value: object) -> str:
    """Return a launcher: a known one, or a command line with places for numbers."""
    text = _scalar(value)
    if any(end in text for end in [*LINE_ENDS, "\0"]) or (
        text not in ("mpirun", "srun", "flux") and "{ranks}" not in text
    ):
        raise refusal(value, "mpirun, srun, flux, or a command line with {ranks} in it")
    return text


def duration(value: object) -> int:
    """Return the seconds of ``90s``, ``30m``, ``2h``, ``1:30:00`` or plain seconds."""
    text = _scalar(value)
    seconds = 0
    if len(text) <= 16 and (match := re.fullmatch(r"([0-9]+)([smh]?)", text, re.ASCII)):
        seconds = int(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]
    elif len(text) <= 16 and re.fullmatch(r"[0-9]+(:[0-5][0-9]){1,2}", text, re.ASCII):
        for part in text.split(":"):
            seconds = seconds * 60 + int(part)
    if not 1 <= seconds <= DURATION_MAX:
        raise refusal(value, "1 second to 10000 hours, as 90s, 30m, 2h, 1:30:00 or 90 seconds")
    return seconds


def shown_duration(seconds: int) -> str:
    """Return a duration as it stands in job files."""
    for unit, divisor in (("h", 3600), ("m", 60)):
        if seconds % divisor == 0:
            return f"{seconds // divisor}{unit}"
    return f"{seconds}s"


def clock(seconds: int) -> str:
    """Return a duration as batch systems read it: ``H:MM:SS``."""
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def hints(value: object) -> dict[str, str]:
    """Return MPI-IO hints, given as a mapping, or as one or a list of ``KEY=VALUE``."""
    accepted = "a mapping or a list of KEY=VALUE"
    if isinstance(value, Mapping):
        texts: list[object] = []
        for key, element in value.items():
            if not isinstance(key, str) or (isinstance(element, Mapping | list | tuple)):
                raise refusal(element, accepted)
            texts.append(f"{key}={_scalar(element)}")
    elif isinstance(value, list | tuple):
        texts = list(value)
    elif isinstance(value, str):
        texts = [value]
    else:
        raise refusal(value, accepted)
    found: dict[str, str] = {}
    for text in texts:
        if not isinstance(text, str):
            raise refusal(text, accepted)
        key, equals, setting = text.partition("=")
        if (
            not equals
            or not 1 <= len(key.encode()) <= HINT_KEY_BYTES_MAX
            or not 1 <= len(setting.encode()) <= HINT_VALUE_BYTES_MAX
        ):
            raise refusal(
                text,
                f"KEY=VALUE, the key at most {HINT_KEY_BYTES_MAX} bytes, "
                f"the value {HINT_VALUE_BYTES_MAX}",
            )
        found.pop(key, None)
        found[key] = setting
    return found


def phases(value: object) -> list[str]:
    """Return the phases of a test, given as a list or as ``write,read,verify``."""
    parts = [value] if isinstance(value, str) else value
    names = (
        [name for part in parts for name in str(part).split(",")]
        if isinstance(parts, list | tuple)
        else []
    )
    if not names or not set(names) <= {"write", "read", "verify"}:
        shown = ",".join(names) if isinstance(parts, list | tuple) else value
        raise refusal(shown, "a list of write, read and verify")
    return names


def part(value: object) -> str:
    """Return a part of all blocks as it was given: ``0.01`` or ``1%``."""
    text = _scalar(value)
    number = text.removesuffix("%")
    try:
        share = float(number) if re.fullmatch(r"[0-9.]+", number, re.ASCII) else 0.0
    except ValueError:
        share = 0.0
    if not 0 < share / (100 if text.endswith("%") else 1) <= 1:
        raise refusal(value, "a part above 0 and up to 1, or 0% to 100%")
    return text


def seeds(value: object) -> list[int]:
    """Return seeds, given as a list or as one."""
    found = list(value) if isinstance(value, list | tuple) else [value]
    if len(found) > KNOWN_MAX:
        raise refusal(len(found), f"{KNOWN_MAX} seeds at most")
    return [seed(element) for element in found]


def data_path(value: object) -> str:
    """Return the path of a data file, one that every MPI library takes as it is."""
    text = str(value) if value is not None and not isinstance(value, Mapping | list) else ""
    if not text or any(character in text for character in ":\0\n\ufffd"):
        raise refusal(value, "a path in UTF-8 without colons and line ends")
    return text


def path(accepted: str) -> BeforeValidator:
    """Return a validator for the path of a file beside the data."""

    def check(value: object) -> str:
        text = str(value) if value is not None and not isinstance(value, Mapping | list) else ""
        if not text:
            raise refusal(value, accepted)
        return text

    return BeforeValidator(check)


def stripe_size(value: object) -> int:
    """Return the bytes of a stripe."""
    number = size(value)
    if number <= 0 or number % (64 << 10) or number >= 1 << 32:
        raise refusal(value, "a multiple of 64 KiB below 4 GiB")
    return number


def choice(*names: str) -> BeforeValidator:
    """Return a validator that accepts one of some names."""

    def check(value: object) -> str:
        # YAML's word for false, where a name is one of them.
        text = "off" if value is False and "off" in names else value
        if text not in names:
            raise refusal(value, " or ".join(names))
        return str(text)

    return BeforeValidator(check)


def sizes(least: int, most: int) -> BeforeValidator:
    """Return a validator for sizes within bounds."""
    return BeforeValidator(lambda value: size(value, least, most))


def integers(least: int, most: int) -> BeforeValidator:
    """Return a validator for whole numbers within bounds."""
    return BeforeValidator(lambda value: integer(value, least, most))


def _numbers(pattern: str, kind: str = "integer", **bounds: int) -> WithJsonSchema:
    """Return what editors are told of numbers, and of texts that stand for them."""
    return WithJsonSchema(
        {"anyOf": [{"type": kind, **bounds}, {"type": "string", "pattern": pattern}]}
    )


_PLAIN: dict[str, Any] = {"type": ["string", "number", "boolean"]}
_TEXT = WithJsonSchema({**_PLAIN, "minLength": 1})
_SIZE = (
    _numbers(r"^[0-9]+(\.[0-9]+)?[kmgtpeKMGTPE]?([iI]?[bB])?$", minimum=0),
    PlainSerializer(exact_size),
)
_PAIR: dict[str, Any] = {"type": "string", "pattern": "^[^=]+=.+$"}

Size = Annotated[int, sizes(0, 2**63 - 1), *_SIZE]
TransferSize = Annotated[int, sizes(1, 1 << 30), *_SIZE]
Alignment = Annotated[int, sizes(1, 1 << 40), *_SIZE]
Ratio = Annotated[
    Decimal,
    BeforeValidator(ratio),
    _numbers(r"^[0-9]+(\.[0-9]{1,3})?$", "number", minimum=0),
    PlainSerializer(shown_ratio),
]
Seed = Annotated[int, BeforeValidator(seed), _numbers("^[0-9]+$", minimum=0)]
Ranks = Annotated[int, integers(1, 1_000_000_000), _numbers("^[+]?[0-9]+$", minimum=1)]
Nodes = Annotated[int, integers(1, 1_000_000), _numbers("^[+]?[0-9]+$", minimum=1)]
Threads = Annotated[int, integers(1, 4096), _numbers("^[+]?[0-9]+$", minimum=1, maximum=4096)]
NumaNode = Annotated[int, integers(0, 65535), _numbers("^[+-]?[0-9]+$", minimum=0, maximum=65535)]
Watchdog = Annotated[int, integers(0, 1_000_000), _numbers("^[+-]?[0-9]+$", minimum=0)]
Flag = Annotated[
    bool,
    BeforeValidator(flag),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"enum": [0, 1]}, {"type": "string"}]}),
]
Operation = Annotated[
    str,
    choice(*OPERATIONS),
    WithJsonSchema({"enum": list(OPERATIONS)}),
]
Phases = Annotated[
    list[str],
    BeforeValidator(phases),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "minItems": 1, "items": {"type": "string"}},
                {"type": "string", "minLength": 1},
            ]
        }
    ),
]
Access = Annotated[str, choice("mpi", "posix"), WithJsonSchema({"enum": ["mpi", "posix"]})]
FileLayout = Annotated[
    str, choice("shared", "per-rank"), WithJsonSchema({"enum": ["shared", "per-rank"]})
]
Segments = Annotated[int, integers(1, 1 << 40), _numbers("^[+]?[0-9]+$", minimum=1)]
Order = Annotated[
    str, choice("sequential", "random"), WithJsonSchema({"enum": ["sequential", "random"]})
]
Sync = Annotated[
    str, choice("none", "end", "each"), WithJsonSchema({"enum": ["none", "end", "each"]})
]
StripeCount = Annotated[
    int, integers(-1, 2000), _numbers("^[+-]?[0-9]+$", minimum=-1, maximum=2000)
]
StripeSize = Annotated[int, BeforeValidator(stripe_size), *_SIZE]
QueueDepth = Annotated[int, integers(1, 64), _numbers("^[+]?[0-9]+$", minimum=1, maximum=64)]
ReadOrder = Annotated[
    str,
    choice("same", "shift", "shuffle"),
    WithJsonSchema({"enum": ["same", "shift", "shuffle"]}),
]
Repetitions = Annotated[int, integers(1, 1_000_000), _numbers("^[+]?[0-9]+$", minimum=1)]
WarmUps = Annotated[int, integers(0, 1000), _numbers("^[+-]?[0-9]+$", minimum=0)]
ShuffleSeed = Annotated[int, integers(0, 2**63 - 1), _numbers("^[+-]?[0-9]+$", minimum=0)]
Part = Annotated[
    str, BeforeValidator(part), _numbers(r"^[0-9.]+%?$", "number", minimum=0, maximum=1)
]
Blocks = Annotated[int, integers(1, 2**63 - 1), _numbers("^[+]?[0-9]+$", minimum=1)]
Seeds = Annotated[
    list[int],
    BeforeValidator(seeds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": ["integer", "string"]}},
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": "^[0-9]+$"},
            ]
        }
    ),
]
Fill = Annotated[str, choice("backref", "zeros"), WithJsonSchema({"enum": ["backref", "zeros"]})]
NumaMode = Annotated[
    str, choice("auto", "force", "off"), WithJsonSchema({"enum": ["auto", "force", "off", False]})
]
ProgressStyle = Annotated[
    str,
    choice("auto", "bar", "lines", "json", "none"),
    WithJsonSchema({"enum": ["auto", "bar", "lines", "json", "none"]}),
]
Hints = Annotated[
    dict[str, str],
    BeforeValidator(hints),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "object"},
                {"type": "array", "items": _PAIR},
                _PAIR,
            ]
        }
    ),
]
DataPath = Annotated[str, BeforeValidator(data_path), _TEXT]
ReportPath = Annotated[str, path("a file, or - for stdout"), _TEXT]
FilePath = Annotated[str, path("a file"), _TEXT]
Line = Annotated[str, BeforeValidator(line), _TEXT]
Lines = Annotated[
    list[str], BeforeValidator(lines), WithJsonSchema({"type": "array", "items": _PLAIN})
]
Variables = Annotated[
    dict[str, str],
    BeforeValidator(variables),
    WithJsonSchema({"type": "object", "additionalProperties": _PLAIN}),
]
Word = Annotated[
    str,
    BeforeValidator(word),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"},
                {"type": ["number", "boolean"]},
            ]
        }
    ),
]
Launcher = Annotated[
    str,
    BeforeValidator(launcher),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["mpirun", "srun", "flux"]},
                {"type": "string", "pattern": r"\{ranks\}"},
            ]
        }
    ),
]
Duration = Annotated[
    int,
    BeforeValidator(duration),
    _numbers("^([0-9]+[smh]?|[0-9]+(:[0-5][0-9]){1,2})$", minimum=1, maximum=DURATION_MAX),
    PlainSerializer(shown_duration),
]
