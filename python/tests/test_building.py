# SPDX-License-Identifier: MIT OR Apache-2.0
"""Building on a cluster: with what a user without root finds there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, missing

TOOLS = "as bash cat cc cmp dirname id ld make mkdir mv rm sed sh tail tr true uname"


def headers(family: str) -> Path:
    """Return the folder of a family's `mpi.h`."""
    wrapper = shutil.which(f"mpicc.{family}") or missing(f"there is no mpicc.{family}")
    words = subprocess.run([wrapper, "-show"], capture_output=True, text=True, check=True)
    folders = [Path(word[2:]) for word in words.stdout.split() if word.startswith("-I")]
    return next(folder for folder in folders if (folder / "mpi.h").exists())


class Cluster:
    """A PATH without pkg-config or apt-get, and with `mpicc` where a module is loaded."""

    def __init__(self, folder: Path) -> None:
        """Make the folder of the PATH."""
        self.programs = folder / "programs"
        self.programs.mkdir()
        for name in TOOLS.split():
            (self.programs / name).symlink_to(shutil.which(name) or missing(f"no {name}"))

    def load(self, family: str) -> None:
        """Load the module of another MPI library."""
        wrapper = self.programs / "mpicc"
        wrapper.write_text(f'#!/bin/sh\necho "cc -I{headers(family)} -lmpi"\n')
        wrapper.chmod(0o755)

    def run(self, *words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command with this PATH and no other variables."""
        return subprocess.run(
            list(map(str, words)),
            cwd=ROOT,
            env={"PATH": str(self.programs)} | more,
            capture_output=True,
            text=True,
        )

    def backends(self, folder: Path) -> subprocess.CompletedProcess[str]:
        """Compile the backends into a folder."""
        return self.run(ROOT / "Sources/CMPI/backend/build.sh", folder)


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """Return a cluster on which no module is loaded."""
    if Path("/usr/include/mpi.h").exists():
        missing("an mpi.h where every compiler looks")
    return Cluster(tmp_path)


def test_mpicc_on_the_path_is_enough(cluster: Cluster) -> None:
    """Neither pkg-config nor a package of the system."""
    cluster.load("openmpi")
    done = cluster.run("make", "setup", "SWIFT=true")
    assert (done.returncode, done.stderr) == (0, ""), done


def test_without_mpi_it_is_said_what_is_missing(cluster: Cluster) -> None:
    """By the names of packages, and what does instead."""
    done = cluster.run("make", "setup", "SWIFT=true")
    assert done.returncode != 0
    assert "have mpicc on the PATH, or name the folder of mpi.h in MPI_INCLUDES" in done.stderr
    assert "libopenmpi-dev" in done.stderr


def test_backends_are_those_of_the_loaded_library(cluster: Cluster, tmp_path: Path) -> None:
    """With another module, nothing of the former one stays; what is not a backend does."""
    folder = tmp_path / "backends"
    folder.mkdir()
    (folder / "precious.so").write_text("not ours")

    def names() -> set[str]:
        return {path.name for path in folder.iterdir()} - {"precious.so"}

    for family in ("openmpi", "mpich", "openmpi"):
        cluster.load(family)
        done = cluster.backends(folder)
        assert done.returncode == 0, done
        assert names() == {f"{family}.so"}
    (cluster.programs / "mpicc").unlink()
    assert cluster.backends(folder).returncode == 1
    assert names() == {"openmpi.so"}
    # A folder that is named does without a compiler's wrapper.
    done = cluster.run(
        ROOT / "Sources/CMPI/backend/build.sh", folder, MPI_INCLUDES=str(headers("mpich"))
    )
    assert done.returncode == 0, done
    assert names() == {"mpich.so"}
    assert (folder / "precious.so").read_text() == "not ours"
