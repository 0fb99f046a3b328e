# SPDX-License-Identifier: MIT OR Apache-2.0
"""Updates in machines whose power goes, on disks that keep what they were told to, and others."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import chance, missing, only_whole
from power import SECTOR, Disk, Machine, PowerCutError, booted, kernel, pack, some

# Emulated machines are booted for each cut.
pytestmark = only_whole

CUTS = 20
BLOCK = 4096
SIZE = 8 << 20
SPEC = f"-s {SIZE} --seed 11 --dedup-unit {BLOCK} --change 50% --copies 2:20%"
LAUNCHER = "mpirun.mpich -launcher fork"
WAYS = [(1, ""), (2, "--io posix"), (1, "--io posix"), (2, "")]
"""By how many ranks, and how, each next update is done."""
MOUNT = (
    "for disk in /sys/block/vd*; do name=$(cat $disk/serial); "
    "mount -t ext4 /dev/${disk##*/} /$name; done; "
    "test -d /data/lost+found && test -d /counters/lost+found"
)
PROGRAMS = ["busybox", "mpirun.mpich", "hydra_pmi_proxy"]
OTHERS = ["qemu-system-x86_64", "mkfs.ext4", "debugfs", "cpio", "setpriv", "dpkg-deb"]


@pytest.fixture(scope="module")
def image(program: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what machines boot from: the program, MPICH, and a shell."""
    if os.uname().machine != "x86_64":
        missing("the emulated machine is one of x86-64")
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    found = {name: shutil.which(name, path=path) for name in [*PROGRAMS, *OTHERS]}
    for name, place in found.items():
        if place is None:
            missing(f"there is no {name}")
    kernel()
    folder = tmp_path_factory.mktemp("machine")
    library = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, env={"PATH": path})
    mpich = re.search(r"libmpich\.so\.12 .*=> (\S+)", library.stdout)
    if mpich is None:
        missing("there is no libmpich.so.12")
    tree = Path(program).resolve().parents[1]
    files = {str(each.relative_to(tree)): each for each in tree.glob("lib/dgen-mpi/*.so")}
    files[f"lib/{Path(mpich[1]).name}"] = Path(mpich[1])
    programs = [Path(str(found[name])) for name in PROGRAMS]
    pack(folder / "root", folder / "image", [Path(program), *programs], files)
    shutil.rmtree(folder / "root")
    return folder / "image"


class Site:
    """A machine with a data set on one disk, and counters on another one, which is elsewhere."""

    def __init__(self, image: Path, place: Path) -> None:
        """Make both disks, and the data set in its first generation."""
        self.image, self.place = image, place
        self.data = Disk(64 << 20, place, "data")
        self.elsewhere = Disk(16 << 20, place, "counters")
        self.disks = (self.data, self.elsewhere)
        for disk in self.disks:
            file = place / "made"
            file.write_bytes(bytes(len(disk.kept)))
            command = ["mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", file]
            path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
            subprocess.run(command, check=True, env={"PATH": path})
            disk.load(file)
            file.unlink()
        self.updates = 0
        self.generation = 0
        self.ranks = 0
        self.is_done = True

    def booted(self) -> Any:
        """Boot the machine."""
        return booted(self.image, self.disks, self.place)

    def mount(self, machine: Machine) -> None:
        """Mount both disks, each where its name says, which makes good what the power has left."""
        machine.run(MOUNT)

    def dgen(self, machine: Machine, words: str, *statuses: int, ranks: int = 1) -> str:
        """Run the program on a machine."""
        launcher = f"{LAUNCHER} -n {ranks} " if ranks > 1 else ""
        return machine.run(f"cd /data && {launcher}dgen-mpi {words}", *statuses)

    def report(self, machine: Machine, words: str, status: int) -> dict[str, Any]:
        """Return the report of a command that is to leave with a status."""
        machine.run("rm -f /tmp/report")
        self.dgen(machine, f"{words} --report /tmp/report", status)
        report: dict[str, Any] = json.loads(machine.run("cat /tmp/report"))
        return report

    def update(self, machine: Machine) -> None:
        """Go on by one generation, with counters of its own."""
        self.ranks, words = WAYS[self.updates % len(WAYS)]
        self.updates += 1
        self.generation += 1
        self.is_done = False
        machine.run(f"mkdir -p {self.counters} && sync")
        options = f"--by 1 --sync every:20 --acknowledge {self.counters}"
        self.dgen(machine, f"update set {options} {words} --quiet", ranks=self.ranks)
        self.is_done = True

    @property
    def counters(self) -> str:
        """The folder of the last update's counters."""
        return f"/counters/{self.updates}"

    def manifest(self, machine: Machine) -> dict[str, Any]:
        """Return the manifest."""
        manifest: dict[str, Any] = json.loads(machine.run("cat /data/set.dgen.json"))
        return manifest


def make(image: Path, place: Path) -> tuple[Site, int]:
    """Return a site, and how many writes an update is for its disk."""
    site = Site(image, place)
    with site.booted() as machine:
        site.mount(machine)
        site.dgen(machine, f"-o set {SPEC} --quiet")
        before = site.data.writes
        site.update(machine)
        writes = site.data.writes - before
        machine.run("umount /data && umount /counters")
    for disk in site.disks:
        # Orderly.
        disk.lose(lambda _: False)
    return site, writes


def look(site: Site, machine: Machine) -> tuple[int, int] | None:
    """Hold what a power cut has left against what it may leave: nobody is accused.

    Returned is how far an update was that has to be finished: writes that are there, and all.
    """
    manifest = site.manifest(machine)
    if manifest["status"] == "complete":
        # After the last write; or before the first one, and then there may be no counters.
        is_over = manifest["spec"]["generation"] == site.generation
        assert is_over or not site.is_done
        site.dgen(machine, "verify set")
        words = f"verify set --acknowledged {site.counters}"
        said = site.dgen(machine, words, *([0] if is_over else [0, 2, 3]))
        print(f"cut: the update was {'over' if is_over else 'not begun'}: {said}")
        site.generation = manifest["spec"]["generation"]
        return None
    assert not site.is_done
    assert manifest["status"] == "updating"
    words = f"verify set --consistent --acknowledged {site.counters}"
    found = site.report(machine, words, status=0)["consistency"]
    known = found["acknowledged"]
    assert (found["ranks"], found["wrong_ranks"]) == (site.ranks, 0)
    assert (known["lost"], known["wrong_ranks"], known["uncounted_ranks"]) == (0, 0, 0)
    assert not known["manifest_lost"]
    # What was acknowledged was stored before.
    assert known["updates"] <= found["present"]
    far = f"{found['present']} of {found['updates']} updates, {known['updates']} acknowledged"
    print(f"cut: {far}, {found['torn']} torn")
    site.dgen(machine, "update set --resume")
    site.dgen(machine, "verify set")
    return found["present"], found["updates"]


def test_no_power_cut_is_taken_for_a_lie(image: Path, tmp_path: Path) -> None:
    """The disk loses any part of what it was not told to keep, again and again in one data set."""
    numbers = chance()
    site, writes = make(image, tmp_path)
    reached = []
    for number in range(CUTS):
        with site.booted() as machine:
            site.mount(machine)
            if number > 0:
                reached.append(look(site, machine))
            cut = numbers.randrange(writes)
            site.data.after(cut + 1, machine.cut_with(site.disks))
            with contextlib.suppress(PowerCutError):
                site.update(machine)
                # It was done with fewer writes; the power goes now.
                machine.cut_with(site.disks)()
        print(f"the power went at write {cut} of about {writes}")
        for disk in site.disks:
            disk.lose(some(numbers))
    with site.booted() as machine:
        site.mount(machine)
        reached.append(look(site, machine))
    assert len(reached) == CUTS
    midst = [far for far in reached if far is not None and 0 < far[0] < far[1]]
    print(f"{CUTS} cuts, {len(midst)} in the midst of writing: {reached}")
    assert len(midst) >= CUTS // 2


@pytest.mark.parametrize("lie", ["everything since", "some of it"])
def test_a_disk_that_lies_is_convicted(image: Path, tmp_path: Path, lie: str) -> None:
    """It says that it has flushed, and has not: a write that is named is one that it has lost."""
    numbers = chance()
    site, writes = make(image, tmp_path)
    # Where the disk has the blocks of the file: told by a program that is not ours.
    copy = tmp_path / "copy"
    copy.write_bytes(site.data.kept)
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    told = subprocess.run(
        ["debugfs", "-R", "blocks /set", copy], capture_output=True, text=True, env={"PATH": path}
    )
    copy.unlink()
    blocks = [int(word) for word in told.stdout.split()]
    assert len(blocks) == SIZE // BLOCK
    each = BLOCK // SECTOR
    sectors = {block * each + number for block in blocks for number in range(each)}
    with site.booted() as machine:
        site.mount(machine)
        site.data.after(int(writes * numbers.uniform(0.2, 0.4)), site.data.lie)
        site.data.after(int(writes * numbers.uniform(0.6, 0.8)), machine.cut_with(site.disks))
        with pytest.raises(PowerCutError):
            site.update(machine)
    if lie == "everything since":
        lost = site.data.lose(lambda _: True)
    else:
        # Of the file alone, and whole blocks.
        chosen = {block for block in blocks if numbers.random() < 0.1}
        lost = site.data.lose(lambda sector: sector // each in chosen)
        assert lost <= sectors
    site.elsewhere.lose(some(numbers))

    def was_lost(offset: int) -> bool:
        first = blocks[offset // BLOCK] * each
        return any(sector in lost for sector in range(first, first + each))

    with site.booted() as machine:
        site.mount(machine)
        assert site.manifest(machine)["status"] == "updating"
        words = f"verify set --acknowledged {site.counters}"
        found = site.report(machine, words, status=1)["consistency"]["acknowledged"]
        accused = [writer for writer in found["writers"] if writer["lost"] > 0]
        assert len(accused) == found["wrong_ranks"] > 0
        assert 0 < found["lost"] == sum(writer["lost"] for writer in accused)
        assert all(was_lost(writer["lost_offset"]) for writer in accused)
        # The disk as it once was is a prefix, and so it is not known from itself alone.
        is_prefix = lie == "everything since"
        words = "verify set --consistent"
        found = site.report(machine, words, status=0 if is_prefix else 1)["consistency"]
        accused = [writer for writer in found["writers"] if "present_after" in writer]
        assert len(accused) == found["wrong_ranks"]
        assert (found["wrong_ranks"] == 0) == is_prefix
        assert all(was_lost(writer["missing_offset"]) for writer in accused)
        site.dgen(machine, "update set --resume")
        site.dgen(machine, "verify set")
