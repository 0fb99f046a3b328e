# SPDX-License-Identifier: MIT OR Apache-2.0
"""Programs that import dgen_py by themselves, started unchanged."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import IS_WHOLE, missing

from dgen_mpi import DataSpec
from dgen_mpi.as_dgen_py import PATH

MIB = 1 << 20


def start(
    *words: str | Path, cwd: Path, status: int = 0, path: str | Path = "", **more: str
) -> subprocess.CompletedProcess[str]:
    """Start a program, and return what it says."""
    environment = {**os.environ, "PYTHONPATH": str(path), **more}
    done = subprocess.run(
        [sys.executable, "-m", "dgen_mpi.as_dgen_py", *words],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done


ASKING = """
import multiprocessing, subprocess, sys
import dgen_py

def where(_=0):
    import dgen_py
    return dgen_py.__file__

if __name__ == "__main__":
    assert set(dgen_py.__all__) <= set(dir(dgen_py))
    print(where())
    print(multiprocessing.get_context("spawn").Pool(1).map(where, [0])[0])
    print(multiprocessing.get_context("fork").Pool(1).map(where, [0])[0])
    subprocess.run([sys.executable, "-c", "import dgen_py; print(dgen_py.__file__)"], check=True)
    print(sys.argv[1:])
    sys.exit(7)
"""


def test_what_is_started_and_all_that_it_starts_use_it(tmp_path: Path) -> None:
    """As a file, a module, or a command; with its arguments, and its status."""
    (tmp_path / "asking.py").write_text(ASKING)
    module = f"{PATH}/dgen_py/__init__.py"
    for words in (
        ["asking.py"], ["-m", "asking"], [sys.executable, "asking.py"],
        ["sh", "-c", f'{sys.executable} asking.py "$@"', "sh"],
    ):  # fmt: skip
        done = start(*words, "a b", "--path", cwd=tmp_path, status=7)
        assert done.stdout.splitlines() == [module] * 4 + ["['a b', '--path']"]
        assert done.stderr == ""
    found = start("--path", cwd=tmp_path).stdout
    assert found == f"{PATH}\n"
    # The same without the option: the folder on the path.
    alone = subprocess.run(
        [sys.executable, "asking.py"], cwd=tmp_path, capture_output=True, text=True, timeout=100,
        env={**os.environ, "PYTHONPATH": PATH},
    )  # fmt: skip
    assert alone.stdout.splitlines()[:4] == [module] * 4


def test_nothing_stands_in_for_it_unasked(tmp_path: Path) -> None:
    """Neither installing the package nor importing it."""
    code = "import sys, dgen_mpi, importlib.util as u; print('dgen_py' in sys.modules)"
    code += (
        "\nprint(u.find_spec('dgen_py') is None or 'dgen_mpi' not in u.find_spec('dgen_py').origin)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    assert done.stdout.split() == ["False", "True"], done.stderr


def test_one_that_is_installed_is_named(tmp_path: Path) -> None:
    """It stays, is used by whoever does not ask for this, and is told not to be used."""
    installed = tmp_path / "site"
    (installed / "dgen_py").mkdir(parents=True)
    (installed / "dgen_py/__init__.py").write_text("")
    (installed / "dgen_py-0.3.0.dist-info").mkdir()
    metadata = "Metadata-Version: 2.1\nName: dgen-py\nVersion: 0.3.0\n"
    (installed / "dgen_py-0.3.0.dist-info/METADATA").write_text(metadata)
    words = (sys.executable, "-c", "import dgen_py; print(dgen_py.__file__)")
    done = start(*words, cwd=tmp_path, path=installed)
    assert done.stdout == f"{PATH}/dgen_py/__init__.py\n"
    (line,) = done.stderr.splitlines()
    assert "dgen-py 0.3.0, which is installed, is not used" in line
    plain = subprocess.run(
        words, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(installed)},
    )  # fmt: skip
    assert plain.stdout == f"{installed}/dgen_py/__init__.py\n"


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ([], 2, "usage: "), (["-m"], 2, "usage: "), (["--bad", "x"], 2, "usage: "),
        (["no-such-program"], 127, "no-such-program: No such file"), (["./"], 127, "./: "),
        (["-h"], 0, "usage: "),
    ],
)  # fmt: skip
def test_what_cannot_be_started_is_told(
    words: list[str], status: int, says: str, tmp_path: Path
) -> None:
    """In one line, or with the usage."""
    done = start(*words, cwd=tmp_path, status=status)
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


# In the ways in which DLIO of MLPerf Storage calls it, format by format: a generator for each file
# where it has a seed, a stream for all pictures, a pool or one buffer for all batches of parquet,
# one call for what is small.
IN_THE_MANNER_OF_DLIO = """
import io, sys
import numpy as np
import dgen_py

SIZE = 200_000

def array(shape, dtype=np.uint8, seed=None):
    total = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if seed is not None:
        view = dgen_py.Generator(size=max(total, 256 << 20), seed=seed).get_chunk(total)
    elif total < 1 << 20:
        view = dgen_py.generate_buffer(total)
    else:
        generator = dgen_py.Generator(size=256 << 20)
        generator.reset()
        view = generator.get_chunk(total)
    return np.frombuffer(view, dtype=dtype).reshape(shape)

def npz(name, seed):
    np.savez(name, x=array((400, 500), seed=seed), y=[0])

def npy(name, seed):
    np.save(name, array((400, 500), seed=seed).copy())

def csv(name, seed):
    import pandas
    pandas.DataFrame(array((400, 500), seed=seed)).to_csv(name, index=False, header=False)

def hdf5(name, seed):
    import h5py
    with h5py.File(name, "w") as file:
        file.create_dataset("records", data=array((400, 500), seed=seed))

def parquet(name, seed):
    import pyarrow, pyarrow.parquet
    (buffer,) = dgen_py.create_bytearrays(count=1, size=SIZE)
    generator = dgen_py.Generator(size=4 * SIZE, chunk_size=SIZE)
    generator.set_seed(seed)
    generator.reset()
    generator.fill_chunk(buffer)
    values = pyarrow.FixedSizeListArray.from_arrays(
        pyarrow.array(np.frombuffer(buffer, dtype=np.uint8)), 500)
    pyarrow.parquet.write_table(pyarrow.table({"data": values}), name)

def image(name, seed):
    import PIL.Image
    stream = dgen_py.Generator(size=256 << 30, seed=seed)
    pixels = np.frombuffer(stream.get_chunk(SIZE), dtype=np.uint8).reshape(400, 500)
    PIL.Image.fromarray(pixels).save(name)
    pool = dgen_py.BufferPool()
    assert len(pool.next_slice(65536)) == 65536

for seed in (10, 11):
    globals()[sys.argv[1]](f"{seed}.{sys.argv[2]}", seed)
"""


def read(path: Path) -> Any:
    """Return the numbers that are in a file."""
    match path.suffix:
        case ".npz":
            return np.load(path)["x"]
        case ".npy":
            return np.load(path)
        case ".csv":
            return np.loadtxt(path, delimiter=",", dtype=np.uint8)
        case ".hdf5":
            import h5py

            with h5py.File(path) as file:
                return file["records"][:]
        case ".parquet":
            import pyarrow.parquet

            column = pyarrow.parquet.read_table(path)["data"].combine_chunks()
            return column.values.to_numpy()
        case _:
            import PIL.Image

            return np.asarray(PIL.Image.open(path))


@pytest.mark.parametrize(
    ("kind", "suffix", "needs"),
    [
        ("npz", "npz", "numpy"), ("npy", "npy", "numpy"), ("csv", "csv", "pandas"),
        ("image", "png", "PIL"), ("image", "jpg", "PIL"), ("hdf5", "hdf5", "h5py"),
        ("parquet", "parquet", "pyarrow"),
    ],
)  # fmt: skip
def test_files_of_training_data_are_made(
    kind: str, suffix: str, needs: str, tmp_path: Path
) -> None:
    """And have the bytes of the data sets of their seeds, so that they can be checked."""
    if importlib.util.find_spec(needs) is None:
        if needs in ("h5py", "pyarrow") and not IS_WHOLE:
            pytest.skip("left out: of the long form")
        missing(f"{needs} is not installed")
    (tmp_path / "program.py").write_text(IN_THE_MANNER_OF_DLIO)
    start("program.py", kind, suffix, cwd=tmp_path)
    size = 4 * 200_000 if kind == "parquet" else 256 << (30 if kind == "image" else 20)
    for seed in (10, 11):
        found = np.ascontiguousarray(read(tmp_path / f"{seed}.{suffix}"))
        assert found.size == 200_000
        if suffix == "jpg":
            # What is lossy is not there any more, but it is no other data.
            continue
        assert DataSpec(size, seed).compare(found) == []
        assert DataSpec(size, seed + 1).compare(found) != []


DLIO = os.environ.get("DGEN_DLIO", "")
# In the place of torch, of which the making of data uses nothing.
TORCH = """
import sys, types
from unittest.mock import MagicMock

class Module(types.ModuleType):
    __path__ = []
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=name)

for name in ("torch", "torch.utils", "torch.utils.data", "torch.utils.data.sampler"):
    sys.modules[name] = Module(name)
sys.modules["torch"].__version__ = "2"
"""


@pytest.mark.skipif(
    not DLIO, reason="left out: DGEN_DLIO does not name a checkout of mlcommons/DLIO_local_changes"
)
@pytest.mark.parametrize("kind", ["npz", "npy", "hdf5", "csv", "parquet", "png", "jpeg"])
def test_dlio_itself_makes_its_files(kind: str, tmp_path: Path) -> None:
    """The one of MLPerf Storage, unchanged, for all of its formats."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text(TORCH)
    # DLIO has this make npz where it is there.
    (tmp_path / "s3dlio.py").write_text("raise ImportError")
    options = {
        "framework": "pytorch", "model.name": "any", "workflow.generate_data": "True",
        "workflow.train": "False", "dataset.data_folder": str(tmp_path / "data"),
        "dataset.format": kind, "dataset.num_files_train": "3", "dataset.num_files_eval": "0",
        "dataset.num_samples_per_file": "2", "dataset.record_length_bytes": "65536",
    }  # fmt: skip
    done = start(
        "-m", "dlio_benchmark.main",
        *(f"++workload.{name}={value}" for name, value in options.items()),
        f"hydra.run.dir={tmp_path}/run",
        cwd=tmp_path, path=f"{DLIO}:{tmp_path}", DLIO_DATA_GEN="dgen",
    )  # fmt: skip
    assert "Data Generation Method: DGEN" in done.stdout + done.stderr
    assert "dgen-py is not installed" not in done.stdout + done.stderr
    files = sorted((tmp_path / "data").rglob(f"*.{kind}"))
    assert len(files) >= 3
    assert all(file.stat().st_size >= 65536 for file in files)
    # DLIO begins its stream for parquet anew with each file: with dgen-py they are the same too.
    different = 1 if kind == "parquet" else len(files)
    assert len({file.read_bytes() for file in files}) == different
