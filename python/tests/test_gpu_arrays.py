# SPDX-License-Identifier: MIT OR Apache-2.0
"""What drivers and compilers say, and what is made of it: no GPU is needed."""

from __future__ import annotations

import enum
from types import SimpleNamespace
from typing import Any

import pytest

from dgen_mpi import gpu
from dgen_mpi.gpu import _device


class Status(enum.IntEnum):
    """What the driver says."""

    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1
    CUDA_ERROR_NOT_INITIALIZED = 3
    CUDA_ERROR_ILLEGAL_ADDRESS = 700


HOST, DEVICE, ARRAY, UNIFIED = 1, 2, 3, 4


@pytest.mark.parametrize(
    ("status", "kind", "is_managed", "found"),
    [
        (0, DEVICE, False, 6),
        # Managed memory, wherever it is said to be.
        (0, UNIFIED, True, 6),
        (0, DEVICE, True, 6),
        (0, HOST, True, 6),
        (0, HOST, False, None),
        (0, ARRAY, False, None),
        # An address of which nobody knows.
        (1, None, None, None),
        # After a fork; and after a kernel that failed, which says nothing of this memory.
        (3, None, None, "gpu: cuPointerGetAttribute failed: CUDA_ERROR_NOT_INITIALIZED"),
        (700, None, None, "gpu: cuPointerGetAttribute failed: CUDA_ERROR_ILLEGAL_ADDRESS"),
    ],
)
def test_whose_memory_it_is(
    monkeypatch: pytest.MonkeyPatch, status: int, kind: int, is_managed: bool, found: Any
) -> None:
    """By what the driver says of an address."""
    values = {"MEMORY_TYPE": kind, "IS_MANAGED": is_managed, "DEVICE_ORDINAL": 6}
    driver = SimpleNamespace(
        CUpointer_attribute=SimpleNamespace(
            **{f"CU_POINTER_ATTRIBUTE_{name}": name for name in values}
        ),
        CUmemorytype=SimpleNamespace(CU_MEMORYTYPE_DEVICE=DEVICE, CU_MEMORYTYPE_UNIFIED=UNIFIED),
        cuPointerGetAttribute=lambda name, address: (Status(status), values[name]),
    )
    monkeypatch.setattr(_device, "bindings", lambda: (driver, None))
    monkeypatch.setattr(_device, "_start", lambda: None)
    if isinstance(found, str):
        with pytest.raises(gpu.GPUError) as raised:
            _device.device_of(4096)
        assert str(raised.value) == found
    else:
        assert _device.device_of(4096) == found


def refusal_of(monkeypatch: pytest.MonkeyPatch, compiler: Any, capability: tuple[int, int]) -> str:
    """Return what is said where a compiler does not do."""
    monkeypatch.setattr(_device, "bindings", lambda: (None, compiler))
    with pytest.raises(gpu.GPUError) as raised:
        _device.compiled.__wrapped__(None, capability)
    return str(raised.value)


def test_a_device_that_the_compiler_does_not_know_any_more_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And from which on it knows them."""
    compiler = SimpleNamespace(
        nvrtcGetNumSupportedArchs=lambda: (0, 3),
        nvrtcGetSupportedArchs=lambda: (0, [75, 80, 120]),
    )
    assert refusal_of(monkeypatch, compiler, (6, 1)) == (
        "gpu: a device of capability 6.1 is too old for this compiler NVRTC, which knows 7.5 and "
        "later; one of an older CUDA may know it"
    )


def test_what_is_not_installed_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever cuda-bindings says of it."""

    def absent(*_: Any) -> Any:
        raise RuntimeError('Failure finding "x":\n  No such file: x\n  No such file: y\n')

    shown = refusal_of(monkeypatch, SimpleNamespace(nvrtcGetNumSupportedArchs=absent), (9, 0))
    assert shown == (
        'gpu: the compiler NVRTC is not installed (Failure finding "x": No such file: x No such '
        "file: y); install dgen-mpi[gpu]"
    )
    monkeypatch.setattr(_device, "bindings", lambda: (SimpleNamespace(cuInit=absent), None))
    with pytest.raises(gpu.GPUError, match=r"^gpu: there is no driver .* has cuInit \([^\n]*\)$"):
        _device.ask("cuInit", 0)
