# SPDX-License-Identifier: MIT OR Apache-2.0
"""Build the extension module with Swift; everything else is in pyproject.toml."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).resolve().parent


class BuildSwift(build_ext):
    """Builds `dgen_mpi._native` with the Swift package that the checkout holds."""

    def build_extension(self, ext: Extension) -> None:
        """Build one extension, and put it where setuptools wants it."""
        root = HERE.parent
        if not (root / "Package.swift").is_file():
            raise SystemExit("dgen-mpi builds from a checkout: its Swift sources are not here")
        swift = shutil.which(os.environ.get("SWIFT", "swift"))
        if swift is None:
            raise SystemExit(
                "dgen-mpi needs Swift 6.3 or later: https://www.swift.org/install/linux"
            )
        found = shutil.which("pkg-config") and subprocess.run(["pkg-config", "--exists", "numa"])
        if not found or found.returncode != 0:
            raise SystemExit("dgen-mpi needs pkg-config and libnuma-dev, by Debian's names")
        scratch = root / ".build-python"
        linker = [f"--version-script={HERE / 'exports.map'}", "--gc-sections", "-s"]
        # For tests: an extension that watches every access to memory.
        watched = os.environ.get("DGEN_SANITIZE")
        sanitizer = [f"--sanitize={watched}"] if watched else []
        if watched:
            scratch, linker = root / f".build-python-{watched}", linker[:1]
        subprocess.run(
            [
                *(swift, "build", "-c", "release", "--product", "DGenPython"),
                *("--package-path", str(root), "--scratch-path", str(scratch), *sanitizer),
                # No Swift runtime where the module runs; the headers of this Python.
                *("-Xswiftc", "-static-stdlib", "-Xcc", f"-I{sysconfig.get_paths()['include']}"),
                *(word for option in linker for word in ("-Xlinker", option)),
            ],
            check=True,
        )
        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        # What another build left there must not stay where this one fails.
        target.unlink(missing_ok=True)
        shutil.copy2(scratch / "release" / "libDGenPython.so", target)


# Modules that an earlier build left there, and that are gone since, would be installed.
shutil.rmtree(HERE / "build", ignore_errors=True)
setup(
    ext_modules=[Extension("dgen_mpi._native", sources=[], py_limited_api=True)],
    cmdclass={"build_ext": BuildSwift},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
