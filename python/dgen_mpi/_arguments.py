# SPDX-License-Identifier: MIT OR Apache-2.0
"""Arguments that several functions take, as the extension wants them."""

from __future__ import annotations

import functools
import operator
import secrets
from collections.abc import Iterable, Mapping, Sequence
from decimal import Context, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol, SupportsFloat, SupportsIndex, Union

from dgen_mpi import _native

if TYPE_CHECKING:
    import numpy as np
    from typing_extensions import Buffer, TypeAlias

    # To a type checker, arrays are buffers from Python 3.12 on only.
    BufferLike: TypeAlias = Buffer | np.ndarray[Any, Any]

    class DescribedArray(Protocol):
        """An array that numba's protocol is for, as those of CuPy, torch and numba."""

        @property
        def __cuda_array_interface__(self) -> Mapping[str, Any]: ...

    class ExportedArray(Protocol):
        """An array that DLPack is for, as those of JAX too."""

        def __dlpack_device__(self) -> tuple[Any, Any]: ...

    DeviceArray: TypeAlias = DescribedArray | ExportedArray
    ArrayLike: TypeAlias = BufferLike | DeviceArray

RatioLike = Union[int, float, str, Decimal, Fraction]
"""What a ratio may be given as."""

SizeLike = Union[SupportsIndex, str]
"""What a number of bytes may be given as: a whole number, or a text as the program takes it."""

ShareLike = RatioLike
"""What a share may be given as: a part of one, or a text in per cent."""

ClassesLike = Union[ShareLike, Mapping[Any, ShareLike], Sequence[Union[str, Sequence[RatioLike]]]]
"""What classes may be given as: one text, a list of texts or of pairs, a mapping."""

MILLION = 1_000_000
"""Shares are held in millionths."""

DEFAULT_ALIGN = 1 << 20
"""What the parts of ranks begin at multiples of, in bytes, unless something else is asked for."""

THREADS_MAX = 4096
"""More are never started, whatever is allowed."""

DEDUP_UNIT = 1 << 20
"""The block, in bytes, unless something else is asked for."""

SEARCH_BYTES = 256 << 20
"""How much of a data set is looked through for bytes that nothing else explains."""

_THOUSANDTH = Decimal("0.001")
# Whatever precision the caller's context has, and whatever it raises.
_EXACT = Context(prec=28, traps=[])

LEFT_TO_ENVIRONMENT = -1
"""As many threads as the variable `DGEN_THREADS` says, or as the process may use."""

ANY_NODE = -1
"""No memory node is preferred."""

SHOWN_MAX = 100
"""The most characters of a value that messages show."""


def refusal(name: str, value: object, accepted: str) -> ValueError:
    """Return the error for a value that is not accepted, in one line whatever the value."""
    try:
        shown = str(value)
    except ValueError:
        # Python writes no number of thousands of digits of 10, but of 16.
        shown = hex(value) if isinstance(value, int) else type(value).__name__
    return ValueError(f"{name}: '{in_one_line(shown)}' is not accepted; give {accepted}")


def in_one_line(text: str) -> str:
    """Return a text as messages show it: no control characters, and not too long."""
    shown = text[: SHOWN_MAX + 1]
    if not shown.isprintable():
        shown = shown.encode("unicode_escape").decode("ascii")
    return shown if len(text) <= SHOWN_MAX else shown[:SHOWN_MAX] + "..."


def _whole(value: SupportsIndex, name: str, accepted: str = "a whole number") -> int:
    """Return a whole number; raises TypeError, which names the argument, for anything else."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(str(refusal(name, value, accepted))) from None


def count_of(
    value: SupportsIndex, name: str, least: int = 0, accepted: str = "a whole number"
) -> int:
    """Return a number of things.

    Raises TypeError for what is no whole number, ValueError for less than `least`, and
    OverflowError for 2**63 and more.
    """
    number = _whole(value, name, accepted)
    if number < least:
        raise refusal(name, number, f"{least} or more")
    if number >= 1 << 63:
        raise OverflowError(str(refusal(name, number, "less than 2**63")))
    return number


_SIZE = "a whole number, or a text such as 1GiB"


def size_of(value: SizeLike, name: str = "size", least: int = 0) -> int:
    """Return a number of bytes, which may be a text such as ``"1.5GiB"``.

    Raises what `count_of` raises, and ValueError for a text that is none.
    """
    if isinstance(value, str):
        value = _native.parse_size(value, name)
    return count_of(value, name, least, _SIZE)


def signed_size_of(value: SizeLike, name: str) -> int:
    """Return a number of bytes as `size_of` does; numbers may be below 0, and of any size."""
    if isinstance(value, str):
        value = _native.parse_size(value, name)
    return _whole(value, name, _SIZE)


def seed_of(value: SupportsIndex | None) -> int:
    """Return a seed; for None one that is drawn at random below 2**53, as JSON keeps it exactly."""
    if value is None:
        return secrets.randbits(53)
    number = _whole(value, "seed", "a whole number, 0 to 2**64 - 1")
    if not 0 <= number < 1 << 64:
        raise refusal("seed", number, "0 to 2**64 - 1")
    return number


def _thousandths(value: RatioLike, name: str, *, is_exact: bool) -> int:
    # Where the two ways differ, and where a seed has come to be a ratio by its place.
    accepted = "a number from 1 up"
    if is_exact:
        accepted += " with at most 3 decimals (only Generator and its kind round)"
    elif name == "dedup_ratio":
        accepted = "1 to 1000000; a seed is given by its name, seed=..."
    number: Fraction | Decimal
    try:
        if isinstance(value, Fraction):
            number = value
        elif isinstance(value, (int, str, Decimal)):
            number = Decimal(value)
        else:
            # The shortest decimal form, so that 1.333 is what was written.
            number = Decimal(repr(float(value)))
    except ArithmeticError:
        number = Decimal("nan")
    except TypeError:
        raise TypeError(str(refusal(name, value, accepted))) from None
    most = 10**9 if is_exact or name != "dedup_ratio" else 10**6
    is_number = isinstance(number, Fraction) or number.is_finite()
    if not is_number or not -most <= number <= most:
        raise refusal(name, value, accepted)
    if isinstance(number, Fraction):
        thousandths = round(1000 * number)
        is_rounded = thousandths != 1000 * number
    else:
        # Compared as it is: what is computed of it is rounded to some digits.
        rounded = number.quantize(_THOUSANDTH, context=_EXACT)
        thousandths, is_rounded = int(rounded.scaleb(3, context=_EXACT)), rounded != number
    if is_exact and is_rounded:
        raise refusal(name, value, accepted)
    return thousandths


def ratios_of(
    dedup_ratio: RatioLike, compress_ratio: RatioLike, *, is_exact: bool = False
) -> tuple[int, int]:
    """Return both ratios of a data set in thousandths.

    More than three decimals are rounded to the nearest, or an error where it `is_exact`. Raises
    ValueError for that, and for what is no finite number.
    """
    return (
        _thousandths(dedup_ratio, "dedup_ratio", is_exact=is_exact),
        _thousandths(compress_ratio, "compress_ratio", is_exact=is_exact),
    )


def shape_of(
    dedup_unit: SizeLike = DEDUP_UNIT,
    compress_unit: SizeLike | None = None,
    fill: str = "backref",
) -> tuple[int, int, str]:
    """Return block, grain (0, to let the extension choose, for None) and fill of a data set."""
    grain = 0 if compress_unit is None else size_of(compress_unit, "compress_unit", least=1)
    return size_of(dedup_unit, "dedup_unit", least=1), grain, fill


def threads_of(
    max_threads: SupportsIndex | None,
    numa_mode: str = "auto",
    numa_node: SupportsIndex | None = None,
) -> tuple[int, str, int]:
    """Return how many threads to use, when they are kept on memory nodes, and on which.

    Threads are 0, to let the extension see, for 0, and for None -1: there the environment variable
    `DGEN_THREADS` goes before what it sees.
    """
    threads = LEFT_TO_ENVIRONMENT if max_threads is None else _whole(max_threads, "max_threads")
    if max_threads is not None and threads < 0:
        raise refusal("max_threads", threads, "a number of threads")
    modes = {"auto": "auto", "force": "force", "disabled": "off", "off": "off"}
    mode = modes.get(numa_mode.lower()) if isinstance(numa_mode, str) else None
    if mode is None:
        raise refusal("numa_mode", numa_mode, "auto, force or disabled")
    node = ANY_NODE if numa_node is None else _whole(numa_node, "numa_node")
    if not (numa_node is None or 0 <= node <= 65535):
        raise refusal("numa_node", node, "the number of a node")
    return min(threads, THREADS_MAX), mode, node


def kind_of(
    dedup_ratio: RatioLike = 1,
    compress_ratio: RatioLike = 1,
    numa_mode: str = "auto",
    max_threads: SupportsIndex | None = None,
    numa_node: SupportsIndex | None = None,
    dedup_unit: SizeLike = DEDUP_UNIT,
    compress_unit: SizeLike | None = None,
    fill: str = "backref",
) -> _native.Kind:
    """Return all of a data set but its size and seed, and how it is made: the last few are kept.

    Ratios are rounded to thousandths.
    """
    given: Any = (dedup_ratio, compress_ratio, numa_mode, max_threads, numa_node)
    given += (dedup_unit, compress_unit, fill)
    try:
        return _kind_of(*given)
    except TypeError:
        # What cannot be kept is of no type that is accepted, and the function itself says so.
        return _kind_of.__wrapped__(*given)


@functools.lru_cache(maxsize=256, typed=True)
def _kind_of(*given: Any) -> _native.Kind:  # noqa: ANN401 - what `kind_of` takes
    dedup_ratio, compress_ratio, numa_mode, max_threads, numa_node, *shape = given
    arguments: Any = ratios_of(dedup_ratio, compress_ratio)
    arguments += shape_of(*shape) + threads_of(max_threads, numa_mode, numa_node)
    return _native.kind(*arguments)


def composition_of(
    ratios: Mapping[str, RatioLike | None],
    classes: Mapping[str, ClassesLike | None],
    zeros: ShareLike | None,
    **counts: SupportsIndex | str | None,
) -> dict[str, list[str]]:
    """Return what makes a data set one of version 2, as the texts that the extension reads.

    Nothing is rounded: what has no text that is exact is handed on as what the extension refuses.
    Ratios that were given are among them, unless there is nothing else. Raises TypeError for what
    is no number, text or list of these.
    """
    found = {
        name: _class_texts(name, value) for name, value in classes.items() if value is not None
    }
    if zeros is not None:
        found["zeros"] = [_number_text(zeros)]
    for name, count in counts.items():
        if count is not None:
            found[name] = [count if isinstance(count, str) else str(operator.index(count))]
    if found:
        found |= {name: [_number_text(it)] for name, it in ratios.items() if it is not None}
    return found


def _class_texts(name: str, value: ClassesLike) -> list[str]:
    if isinstance(value, Mapping):
        return [":".join(map(_number_text, entry)) for entry in value.items()]
    if isinstance(value, str) or not isinstance(value, Iterable):
        return [_number_text(value)]
    return [_class_text(name, element) for element in value]


def _class_text(name: str, value: object) -> str:
    if isinstance(value, Mapping):
        raise TypeError(f"{name}: a list has texts or pairs, not mappings")
    if isinstance(value, str) or not isinstance(value, Iterable):
        return _number_text(value)
    # What is no pair has too few colons, or too many.
    return ":".join(map(_number_text, value))


def _number_text(value: object) -> str:
    """Return a number as the program reads it; raises TypeError for what is none, and no text."""
    if isinstance(value, (str, bool)):
        return str(value)
    if isinstance(value, SupportsIndex):
        return str(operator.index(value))
    if isinstance(value, Fraction):
        if value < 0 or MILLION % value.denominator != 0:
            return str(value)
        whole, rest = divmod(value.numerator * (MILLION // value.denominator), MILLION)
        text = f"{whole}.{rest:06}"
    else:
        if not isinstance(value, SupportsFloat):
            raise TypeError(f"a number or a text is needed, not {type(value).__name__}")
        # The shortest decimal form, so that 0.2927 is what was written.
        number = value if isinstance(value, Decimal) else Decimal(repr(float(value)))
        if not number.is_finite() or abs(number.adjusted()) > SHOWN_MAX:
            return str(number)
        text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def share_of(share: float) -> float | str:
    """Return a share as manifests have it: in per cent where it would get an exponent."""
    return f"{100 * share:.4f}".rstrip("0") + "%" if 0 < share < 0.0001 else share


def dealing_of(
    layout: str, ranks: SupportsIndex, align: SizeLike, transfer_size: SizeLike | None
) -> tuple[str, int, int, int]:
    """Return how a data set is dealt to files and ranks, as the extension takes it."""
    transfer = 0 if transfer_size is None else size_of(transfer_size, "transfer_size", least=1)
    return (
        layout,
        size_of(ranks, "ranks", least=1),
        size_of(align, "align", least=1),
        transfer,
    )
