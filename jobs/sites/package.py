# SPDX-License-Identifier: MIT OR Apache-2.0
# ruff: noqa: F403, F405 - Spack gives all its names so.
"""A Spack package of dgen-mpi, from the tar file that `make wheel` makes.

Copy this file into a repository of packages of your own as `packages/dgen_mpi/package.py` (before
Spack 1.0 `packages/dgen-mpi/package.py`), and the tar file into a mirror or beside it; then
`spack install dgen-mpi ^openmpi`.
"""

from spack.package import *


class DgenMpi(Package):
    """Sharded generator and verifier of test data for parallel file systems."""

    homepage = "file:///dgen-mpi"
    license("MIT OR Apache-2.0")

    # The sum is that of your tar file: sha256sum dist/*.tar.gz
    version("0.1.0", sha256="0" * 64, expand=True)

    # Found when it starts, by the launcher: any MPI, and no other one than that which is loaded.
    depends_on("mpi", type="run")

    def url_for_version(self, version: "Version") -> str:
        """Return where the tar file is: in the folder of this file."""
        machine = self.spec.target.family if self.spec.concrete else "x86_64"
        name = f"dgen_mpi-{version}-py3-none-manylinux_2_27_{machine}.tar.gz"
        return f"file://{self.package_dir}/{name}"

    def install(self, spec: "Spec", prefix: "Prefix") -> None:
        """Copy the tree as it is."""
        install_tree(".", prefix)
