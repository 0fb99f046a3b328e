# SPDX-License-Identifier: MIT OR Apache-2.0
"""The recipes for sites in `jobs/sites`, as far as there are tools for them here.

That of a container is in `test_systems.py`, where there is a system for it.
"""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from conftest import MPIRUN, ROOT, missing, only_whole

RECIPES = ROOT / "jobs" / "sites"
MACHINE = os.uname().machine
VERSION = tomllib.loads((ROOT / "python/pyproject.toml").read_text())["project"]["version"]


@pytest.fixture
def tree() -> Path:
    """Return the tar file that `make wheel` has made."""
    found = sorted((ROOT / "dist").glob(f"dgen_mpi-{VERSION}-*_{MACHINE}.tar.gz"))
    if not found:
        missing("there is no tar file in dist: make wheel")
    return found[-1]


def test_recipes_are_for_the_tar_file_that_is_made(tree: Path) -> None:
    """By name and version."""
    easyconfig = (RECIPES / f"dgen-mpi-{VERSION}.eb").read_text()
    for name, value in (("version", VERSION), ("arch", MACHINE)):
        easyconfig = easyconfig.replace(f"%({name})s", value)
    assert f"sources = ['{tree.name}']" in easyconfig
    container = (RECIPES / "dgen-mpi.def").read_text().replace("x86_64", MACHINE)
    assert f"tree=dist/{tree.name} " in container
    assert f"Version {VERSION}\n" in container


def test_spack_is_told_where_the_tar_file_is_and_what_to_do(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spack is in no package index; what the recipe uses of it stands in."""
    did: list[tuple[Any, ...]] = []
    stand_in = ModuleType("spack.package")
    stand_in.Package = object
    for name in ("version", "license", "depends_on", "install_tree"):
        setattr(stand_in, name, lambda *words, name=name, **more: did.append((name, *words)))
    monkeypatch.setitem(sys.modules, "spack", ModuleType("spack"))
    monkeypatch.setitem(sys.modules, "spack.package", stand_in)
    package = runpy.run_path(str(RECIPES / "package.py"))["DgenMpi"]()
    package.package_dir = "/there"
    package.spec = SimpleNamespace(concrete=True, target=SimpleNamespace(family=MACHINE))
    assert package.url_for_version(VERSION) == f"file:///there/{tree.name}"
    package.install(package.spec, "/prefix")
    assert ("version", VERSION) in did
    assert ("depends_on", "mpi") in did
    assert did[-1] == ("install_tree", ".", "/prefix")


@only_whole
def test_easybuild_makes_a_module_that_works(tree: Path, tmp_path: Path, program: str) -> None:
    """From the recipe and the tar file, in a folder of its own."""
    folders = ("/usr/lib/*-linux-gnu", "/usr/lib", "/usr/share/Modules/libexec")
    found = [path for folder in folders for path in Path("/").glob(f"{folder[1:]}/modulecmd.tcl")]
    if not found:
        missing("there is no modulecmd.tcl (apt-get install environment-modules)")
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    wanted = ["easybuild-framework", "easybuild-easyblocks", "pycodestyle"]
    if subprocess.run([venv / "bin/pip", "install", "--quiet", *wanted]).returncode != 0:
        missing("EasyBuild cannot be installed")
    shutil.copy2(tree, tmp_path)
    recipe = shutil.copy2(RECIPES / f"dgen-mpi-{VERSION}.eb", tmp_path)
    environment = {
        **os.environ,
        "PATH": f"{venv}/bin:{os.environ['PATH']}",
        "MODULES_CMD": str(found[0]),
        "EASYBUILD_MODULES_TOOL": "EnvironmentModules",
        "EASYBUILD_MODULE_SYNTAX": "Tcl",
        "EASYBUILD_PREFIX": str(tmp_path / "apps"),
        "EASYBUILD_TMPDIR": str(tmp_path),
        "EASYBUILD_ALLOW_USE_AS_ROOT_AND_ACCEPT_CONSEQUENCES": "1",
    }
    for options in (["--check-style"], []):
        done = subprocess.run(
            ["eb", *options, recipe],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    loaded = subprocess.run(
        [found[0], "sh", "load", "dgen-mpi"],
        env={**environment, "MODULEPATH": str(tmp_path / "apps/modules/all")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    script = f'{loaded}\ncommand -v dgen-mpi && exec {" ".join(MPIRUN)} -n 2 dgen-mpi "$@"'
    run = subprocess.run(
        ["sh", "-c", script, "sh", "-o", tmp_path / "f", "-s", "1MiB"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.startswith(f"{tmp_path}/apps/software/dgen-mpi/{VERSION}/bin/dgen-mpi\n")
