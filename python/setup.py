# SPDX-License-Identifier: MIT OR Apache-2.0
"""Build program and extension module with Swift; everything else is in pyproject.toml.

`TARGET`, such as `x86_64-linux-gnu.2.28`, has them linked for another machine or an older C library
than those that are here, see `Sources/Linking/link.sh`; `TREE` is where what is installed is made.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


class BuildSwift(build_ext):
    """Builds `dgen_mpi._native` and `dgen-mpi` with the Swift package that the checkout holds."""

    def build_extension(self, ext: Extension) -> None:
        """Build one extension, and put it where setuptools wants it; and what goes beside it."""
        if not (ROOT / "Package.swift").is_file():
            raise SystemExit("dgen-mpi builds from a checkout: its Swift sources are not here")
        if shutil.which(os.environ.get("SWIFT", "swift")) is None:
            raise SystemExit(
                "dgen-mpi needs Swift 6.3 or later: https://www.swift.org/install/linux"
            )
        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        # What another build left there must not stay where this one fails.
        target.unlink(missing_ok=True)
        watched = os.environ.get("DGEN_SANITIZE")
        if watched:
            self._build_watched(watched, target)
            return
        make = ["make", "--no-print-directory", "-C", str(ROOT)]
        tree = ROOT / os.environ.get("TREE", "build/tree")
        subprocess.run([*make, "tree", f"TREE={tree}", f"MODULE={target.resolve()}"], check=True)
        files = [path for path in tree.rglob("*") if path.is_file()]
        self.distribution.data_files = [
            (str(path.parent.relative_to(tree)), [os.path.relpath(path, HERE)]) for path in files
        ]

    def _build_watched(self, watched: str, target: Path) -> None:
        """Build the extension alone, for tests: one that watches every access to memory."""
        scratch = ROOT / f".build-python-{watched}"
        subprocess.run(
            [
                *(os.environ.get("SWIFT", "swift"), "build", "-c", "release"),
                *("--product", "DGenPython", f"--sanitize={watched}"),
                *("--package-path", str(ROOT), "--scratch-path", str(scratch)),
                *("-Xswiftc", "-static-stdlib", "-Xlinker"),
                f"--version-script={ROOT / 'Sources/Linking/module.map'}",
            ],
            check=True,
        )
        shutil.copy2(scratch / "release" / "libDGenPython.so", target)


class Wheel(bdist_wheel):
    """Says that the wheel is for any Python: its program is, and the module says what it needs."""

    def get_tag(self) -> tuple[str, str, str]:
        """Return the tag of the wheel."""
        machine = os.environ.get("TARGET", "").partition("-")[0]
        platform = f"linux_{machine}" if machine else super().get_tag()[2]
        return "py3", "none", platform


# Modules that an earlier build left there, and that are gone since, would be installed.
shutil.rmtree(HERE / "build", ignore_errors=True)
setup(
    ext_modules=[Extension("dgen_mpi._native", sources=[], py_limited_api=True)],
    cmdclass={"build_ext": BuildSwift, "bdist_wheel": Wheel},
)
