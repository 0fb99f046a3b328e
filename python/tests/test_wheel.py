# SPDX-License-Identifier: MIT OR Apache-2.0
"""The wheel that `make wheel` has made: what is in it, what it needs, and where it works."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, cases, missing

MACHINE = platform.machine()
BYTES_MAX = 12 << 20
SYSTEM = {
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
    "libc.so.6",
    "libdl.so.2",
    "libm.so.6",
    "libpthread.so.0",
}
"""What every Linux has."""


@pytest.fixture(params=cases([MACHINE], ["aarch64"] if MACHINE == "x86_64" else []))
def wheel(request: pytest.FixtureRequest) -> Path:
    """Return the wheel for a kind of machine: for this one, and that which `make wheels` adds."""
    found = sorted((ROOT / "dist").glob(f"dgen_mpi-*_{request.param}.whl"))
    if not found:
        missing(f"there is no wheel for {request.param} in dist: make wheels")
    return found[-1]


def test_the_wheel_is_small_and_for_any_python_and_old_systems(wheel: Path) -> None:
    """As its name says, and as its files are."""
    tag = re.fullmatch(r"dgen_mpi-[^-]+-py3-none-manylinux_2_(\d+)_\w+\.whl", wheel.name)
    assert tag, wheel.name
    assert int(tag[1]) <= 28
    assert wheel.stat().st_size <= BYTES_MAX


def test_the_wheel_has_what_is_installed(wheel: Path) -> None:
    """Program, backends of all families, manual and completions; and so has the tar file."""
    wanted = {
        "bin/dgen-mpi",
        *(f"lib/dgen-mpi/{family}.so" for family in ("abi", "mpich", "openmpi")),
        "share/bash-completion/completions/dgen-mpi",
        "share/fish/vendor_completions.d/dgen-mpi.fish",
        "share/man/man1/dgen-mpi.1",
        "share/zsh/site-functions/_dgen-mpi",
    }
    names = zipfile.ZipFile(wheel).namelist()
    beside = {name.partition(".data/data/")[2] for name in names if ".data/data/" in name}
    assert {name for name in beside if name and not name.endswith("/")} == wanted
    listed = subprocess.run(
        ["tar", "-tzf", wheel.with_suffix(".tar.gz")], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {name.removeprefix("./") for name in listed if not name.endswith("/")} == wanted


def test_nothing_is_needed_that_a_system_may_not_have(wheel: Path, tmp_path: Path) -> None:
    """Neither MPI nor libnuma nor C++'s library, and no C library later than that of the tag."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    oldest = int(re.findall(r"manylinux_2_(\d+)", wheel.name)[0])
    binaries = [path for path in tmp_path.rglob("*") if path.suffix == ".so" or "bin" in path.parts]
    binaries = [path for path in binaries if path.is_file()]
    assert len(binaries) == 5
    for binary in binaries:
        told = subprocess.run(
            ["readelf", "--dynamic", "--version-info", binary],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert set(re.findall(r"Shared library: \[(.+?)\]", told)) <= SYSTEM, binary
        versions = [int(minor) for minor in re.findall(r"Name: GLIBC_2\.(\d+)", told)]
        assert max(versions, default=0) <= oldest, binary


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("sys.version_info = (3, 8, 20)", "needs Python 3.9 or later"),
        (
            "import sysconfig; sysconfig.get_config_var = lambda name: 1",
            "no build for free-threaded Python",
        ),
    ],
)
def test_a_python_that_it_does_not_work_with_is_told_what_helps(change: str, words: str) -> None:
    """Not by an error of the dynamic linker."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {change}; import dgen_mpi"],
        cwd="/",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert words in done.stderr.splitlines()[-1]
    assert "program dgen-mpi works without" in done.stderr


def test_campaigns_say_which_python_they_need() -> None:
    """In one line, as everything that is missing."""
    code = "import sys; sys.version_info = (3, 9, 2); from dgen_mpi import __main__ as m; m.main()"
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True)
    assert done.stderr == "dgen: error: campaigns need Python 3.11 or later\n"
