# SPDX-License-Identifier: MIT OR Apache-2.0
"""Memory nodes, of this machine and of trees captured on others."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from conftest import cases

import dgen_mpi

TREES = Path(__file__).parents[2] / "Tests/NUMATests/Topologies"
EXPECTED: dict[str, Any] = json.loads((TREES / "expected.json").read_text(encoding="utf-8"))


def test_this_machine_is_told() -> None:
    """Under the names of dgen-py, and more."""
    info = dgen_mpi.get_system_info()
    assert info["num_nodes"] == len(info["nodes"]) >= 1
    assert info["is_uma"] == (info["num_nodes"] == 1)
    assert 1 <= info["physical_cores"] <= info["logical_cpus"]
    assert ("UMA" in info["deployment_type"]) or ("NUMA" in info["deployment_type"])
    assert sum(len(node["cpus"]) for node in info["nodes"]) == info["logical_cpus"]


# All of them are read by the tests of the module below, too.
@pytest.mark.parametrize("name", cases(["2arm-2c"], sorted(EXPECTED.keys() - {"2arm-2c"})))
def test_captured_trees_are_told(name: str, tmp_path: Path) -> None:
    """As it is stated beside them; one node with all processors where there is no node folder."""
    with tarfile.open(TREES / f"{name}.tar.bz2") as tree:
        tree.extractall(tmp_path, filter="data")
    (root,) = tmp_path.iterdir()
    nodes = dgen_mpi.get_numa_info(sys_root=root)["nodes"]
    expected = EXPECTED[name]
    if not expected["nodes"]:
        assert len(nodes) == 1
        assert len(nodes[0]["cpus"]) == expected["cpuinfo_processors"]
        return
    assert [node["id"] for node in nodes] == [node["id"] for node in expected["nodes"]]
    for node, wanted in zip(nodes, expected["nodes"], strict=True):
        assert node["cpus"] == wanted["cpus"]
        assert node["distances"] == (wanted.get("distances") or [])
        for kind in ("total", "free"):
            kibibytes = wanted.get(f"memory_{kind}_kib")
            bytes_wanted = None if kibibytes is None else 1024 * kibibytes
            assert node[f"memory_{kind}_bytes"] == bytes_wanted


def test_nothing_is_one_node(tmp_path: Path) -> None:
    """A tree without anything in it is no error."""
    info = dgen_mpi.get_numa_info(tmp_path)
    assert info["num_nodes"] == 1
    assert info["nodes"][0]["memory_total_bytes"] is None
    assert info["is_uma"]


def test_processors_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    """Not as an empty list alone; stray bytes behind a list are no part of it."""
    lists = [b"0-1\n\0\0", b"\n", b"2-", b""]
    for number, text in enumerate(lists):
        node = tmp_path / f"sys/devices/system/node/node{number}"
        node.mkdir(parents=True)
        (node / "cpulist").write_bytes(text)
    nodes = dgen_mpi.get_numa_info(tmp_path)["nodes"]
    assert [node["cpus"] for node in nodes] == [[0, 1], [], [], []]
    assert [node["cpus_problem"] is None for node in nodes] == [True, True, False, False]
    assert 'cpulist: "2-"' in nodes[2]["cpus_problem"]
