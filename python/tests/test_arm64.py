# SPDX-License-Identifier: MIT OR Apache-2.0
"""The program of the wheel for arm64 that `make wheels` has made, in an emulator on x86-64.

Its MPI library is MPICH's for arm64 of the Python package index; this machine's `mpirun` starts it.
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

import pytest
from conftest import ROOT, missing, only_whole
from test_libraries import OPTIONS, SHA_256

pytestmark = only_whole

MPICH = "mpich==5.0.2"
SYSTEM = Path("/usr/aarch64-linux-gnu")
"""The C library for arm64, of Debian's libc6-arm64-cross."""
SDK = Path(os.environ.get("SWIFT_SDK") or ROOT / "build" / "sdk") / "arm64.artifactbundle/arm64"
"""What the wheel was compiled with; it has a Python for arm64."""
KERNELS = ["scalar", "baseline"]
VECTORS = json.loads((ROOT / "Tests/Vectors/format-v1.json").read_text(encoding="utf-8"))


@dataclasses.dataclass
class Machine:
    """An arm64 machine: what begins its command lines, and a folder with the wheel and MPICH."""

    emulator: str
    folder: Path

    def run(
        self, ranks: int, place: Path, *words: str, status: int = 0, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the program in a folder with so many ranks; for 0 as one without a launcher.

        Its files are named as seen from there: for the emulator `/` is where the C library is.
        """
        command = [
            self.emulator,
            "-L",
            str(SYSTEM),
            f"{self.folder}/bin/dgen-mpi",
            *words,
        ]
        more = {
            "DGEN_MPI_LIBRARY": f"{self.folder}/lib/libmpi.so.12",
            # Emulated ranks do not get along in shared memory.
            "MPIR_CVAR_NOLOCAL": "1",
        }
        done = subprocess.run(
            ["mpirun.mpich", "-n", str(ranks), *command] if ranks else command,
            cwd=place,
            env=os.environ | more | variables,
            capture_output=True,
            text=True,
            timeout=300,
        )
        said = done.stdout + done.stderr
        assert done.returncode == status, f"{done.args}: {done.returncode}: {said}"
        return done


def wheel() -> Path:
    """Return the wheel for arm64."""
    found = sorted((ROOT / "dist").glob("dgen_mpi-*_aarch64.whl"))
    if not found:
        missing("there is no wheel for arm64 in dist: make wheels")
    return found[-1]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Return an emulated machine with the wheel and its MPI library."""
    mine = wheel()
    emulator = shutil.which("qemu-aarch64")
    if emulator is None or shutil.which("mpirun.mpich") is None:
        missing("there is no qemu-aarch64, or no mpirun.mpich")
    if not (SYSTEM / "lib" / "ld-linux-aarch64.so.1").exists():
        missing(f"there is no C library for arm64 in {SYSTEM}")
    folder = tmp_path_factory.mktemp("arm64")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--platform", "manylinux_2_28_aarch64"]
    if subprocess.run([*command, "--dest", str(folder), MPICH]).returncode != 0:
        missing(f"{MPICH} cannot be had for arm64")
    # As pip would have it; but it installs nothing that is for another machine.
    for source in (mine, *folder.glob("*.whl")):
        with zipfile.ZipFile(source) as archive:
            for name in archive.namelist():
                if not name.endswith("/"):
                    path = folder / (name.partition(".data/data/")[2] or f"packages/{name}")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(archive.read(name))
    (folder / "bin" / "dgen-mpi").chmod(0o755)
    return Machine(str(emulator), folder)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_is_the_program_that_it_is_on_other_machines(machine: Machine, tmp_path: Path) -> None:
    """With the kernels that do not ask for a processor of x86-64."""
    version = machine.run(0, tmp_path, "--version").stdout.strip()
    assert wheel().name.startswith(f"dgen_mpi-{version}-")
    info = machine.run(0, tmp_path, "info").stdout
    assert re.search(r"^kernel +baseline \(of scalar, baseline\)$", info, re.MULTILINE), info
    assert re.search(r"^MPI +MPICH 5\.0\.2", info, re.MULTILINE), info


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_vector_is_written(machine: Machine, tmp_path: Path, kernel: str) -> None:
    """By one rank, to the byte."""
    for number, vector in enumerate(VECTORS["data_sets"]):
        spec = dict(vector["spec"])
        options = ["--io", "posix", "--quiet", "-s", str(spec.pop("size"))]
        for name, value in spec.items():
            options += [f"--{name.replace('_', '-')}", str(value)]
        machine.run(0, tmp_path, "-o", f"{number}", *options, DGEN_KERNEL=kernel)
        assert digest(tmp_path / f"{number}") == vector["sha256"], vector["spec"]


@pytest.mark.parametrize("kernel", KERNELS)
def test_several_ranks_write_verify_and_repair(
    machine: Machine, program: str, tmp_path: Path, kernel: str
) -> None:
    """The file is the one of x86-64, whose program verifies it."""
    file = tmp_path / "f"
    machine.run(4, tmp_path, "-o", "f", *OPTIONS, "--report", "r", DGEN_KERNEL=kernel)
    assert digest(file) == SHA_256
    report = json.loads((tmp_path / "r").read_text())
    assert report["mpi"]["ranks"] == 4
    assert report["kernel"] == kernel
    machine.run(3, tmp_path, "verify", "f", DGEN_KERNEL=kernel)
    subprocess.run([program, "verify", file], check=True, stdout=subprocess.DEVNULL)
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


def test_the_package_makes_the_same_bytes(machine: Machine) -> None:
    """All vectors, in a Python for arm64."""
    python = SDK / "usr" / "bin" / "python3"
    if not python.exists():
        missing(f"there is no Python for arm64 in {SDK}: make wheels")
    code = """if True:
        import json, sys, dgen_mpi
        for vector in json.load(open(sys.argv[1]))["data_sets"]:
            spec = dgen_mpi.DataSpec(**vector["spec"])
            content = bytearray(spec.size)
            spec.fill(content)
            assert spec.compare(content) == []
            sys.stdout.buffer.write(content)
    """
    done = subprocess.run(
        [machine.emulator, "-L", SDK, python, "-c", code, ROOT / "Tests/Vectors/format-v1.json"],
        cwd=machine.folder / "packages",
        env={},
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
