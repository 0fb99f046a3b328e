# SPDX-License-Identifier: MIT OR Apache-2.0
"""Targets that are no files: devices, /dev/null, pipes. First of all what must not be written."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pty
import shutil
import signal
import socket
import stat
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MPIRUN, Command, cases, missing

from dgen_mpi import DataSpec

MIB = 1 << 20
SIZE = 16 * MIB


class Devices:
    """Loop devices of a test, and what it has mounted or switched on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._undo: list[list[str]] = []

    def make(self, size: int = SIZE, *words: str, content: str | Path | None = None) -> Path:
        """Return a loop device of so many bytes, all of them zeros."""
        image = Path(content or self.folder / f"image-{len(self._undo)}")
        if content is None:
            with image.open("wb") as file:
                file.truncate(size)
        done = self.run("losetup", "-f", "--show", *words, str(image))
        device = done.stdout.strip()
        self._undo.append(["losetup", "-d", device])
        return Path(device)

    def run(self, *words: str, undo: list[str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a tool of the system, and note what takes its work back."""
        path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        tool = shutil.which(words[0], path=path)
        if tool is None:
            missing(words[0])
        done = subprocess.run(
            [str(tool), *words[1:]],
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | {"PATH": path},
        )
        if done.returncode != 0:
            missing(f"{' '.join(words)}: {done.stderr}")
        if undo:
            self._undo.append(undo)
        return done

    def mount(self, device: Path) -> Path:
        """Mount a device."""
        place = self.folder / f"mount-{len(self._undo)}"
        place.mkdir()
        self.run("mount", str(device), str(place), undo=["umount", str(place)])
        return place

    def end(self) -> None:
        """Take everything back, the last first."""
        for words in reversed(self._undo):
            tool = shutil.which(words[0], path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
            subprocess.run([str(tool), *words[1:]], check=True, capture_output=True, timeout=60)


@pytest.fixture
def devices(tmp_path: Path) -> Iterator[Devices]:
    """Return what makes loop devices, which needs root."""
    if os.geteuid() != 0 or not Path("/dev/loop-control").exists():
        missing("root and loop devices")
    made = Devices(tmp_path)
    try:
        yield made
    finally:
        made.end()


class Program:
    """Runs the program in a folder of the test's own."""

    def __init__(self, path: str, folder: Path) -> None:
        self.path = path
        self.folder = folder

    def __call__(
        self, *words: str | Path, status: int = 0, ranks: int = 1, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run it, which ends with this status, and above 1 with one line."""
        launcher = [*MPIRUN, "-n", str(ranks)] if ranks > 1 else []
        done = subprocess.run(
            [*launcher, self.path, *map(str, words)],
            **{"cwd": self.folder, "capture_output": True, "text": True, "timeout": 60} | more,
        )
        assert done.returncode == status, f"{words}: {done.returncode}: {done.stderr}"
        if status > 1:
            assert len(self.complaints(done)) == 1, done.stderr
        return done

    @staticmethod
    def complaints(done: subprocess.CompletedProcess[str]) -> list[str]:
        """Return the lines of the program itself."""
        lines = done.stderr.splitlines()
        return [line for line in lines if line.startswith("dgen-mpi: error:")]

    def refuses(self, *words: str | Path, says: str = "", status: int = 2, ranks: int = 1) -> None:
        """Run it, which it refuses in one line."""
        done = self(*words, status=status, ranks=ranks)
        assert says in self.complaints(done)[0], done.stderr


@pytest.fixture
def run(program: str, tmp_path: Path) -> Program:
    """Return the program."""
    return Program(program, tmp_path)


def right(size: int, seed: int) -> bytes:
    """Return the bytes of a data set."""
    buffer = bytearray(size)
    DataSpec(size, seed).fill(buffer)
    return bytes(buffer)


def digest(device: Path) -> str:
    """Return the digest of all bytes, as they are on the device itself."""
    with device.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return hashlib.file_digest(file, "sha256").hexdigest()


def put(device: Path, *parts: tuple[int, bytes]) -> None:
    """Write bytes at offsets, from the end where these are negative."""
    with device.open("r+b") as file:
        for offset, data in parts:
            file.seek(offset, os.SEEK_SET if offset >= 0 else os.SEEK_END)
            file.write(data)


# What is precious


def table(*parts: tuple[int, int]) -> bytes:
    """Return a partition table with parts of so many MiB, each with its start in MiB."""
    entries = b"".join(
        struct.pack("<B3sB3sII", 0, b"\0" * 3, 0x83, b"\0" * 3, start * 2048, size * 2048)
        for start, size in parts
    )
    return entries.ljust(64, b"\0") + b"\x55\xaa"


LABELS: dict[str, list[tuple[int, bytes]]] = {
    "a partition table": [(446, table((1, 4)))],
    "a GPT partition table": [(512, b"EFI PART")],
    "a GPT partition table at its end": [(-512, b"EFI PART")],
    "a member of a RAID (md)": [(4096, bytes.fromhex("fc4e2ba9"))],
    "a member of a RAID (md) at its end": [(-8192, bytes.fromhex("fc4e2ba9"))],
    "a member of a RAID (md) of old": [(-65536, bytes.fromhex("fc4e2ba9"))],
    "a physical volume of LVM": [(512, b"LABELONE" + b"\0" * 16 + b"LVM2 001")],
    "a member of a pool of ZFS": [(131072 + 4096, bytes.fromhex("0cb1ba00"))],
    "a LUKS volume": [(0, b"LUKS\xba\xbe")],
    "a swap area": [(4086, b"SWAPSPACE2")],
    "a disk of Oracle ASM": [(32, b"ORCLDISK")],
    "what is not known at its start": [(7, b"precious")],
    "what is not known in its midst": [(3 * MIB + 100, b"precious")],
    "what is not known at its end": [(-8, b"precious")],
}
"""What somebody's data begins or ends with, as their formats say."""


@pytest.mark.parametrize(
    "label",
    cases([*LABELS][:1] + [*LABELS][5:7] + [*LABELS][-3:], [*LABELS][1:5] + [*LABELS][7:-3]),
)
def test_labels_are_left_alone(label: str, devices: Devices, run: Program) -> None:
    """Without `--overwrite`, whatever they are, and named where they are well known."""
    device = devices.make()
    put(device, *LABELS[label])
    before = digest(device)
    known = label.split(" at its")[0].split(" of old")[0]
    says = "not zero" if known.startswith("what") else known
    run.refuses("-o", device, "--device", says=says)
    run.refuses("-o", device, "--device", "-s", "64KiB", says="--overwrite")
    run.refuses("test", "-o", device, "--device", "-s", "64KiB", says="--overwrite")
    assert digest(device) == before


@pytest.mark.parametrize(
    ("tool", "says"),
    cases(
        [("mkfs.ext4 -q", "ext4")],
        [("mkfs.xfs -q", "XFS"), ("mkfs.btrfs -q", "btrfs"), ("mkswap", "swap")],
    ),
)
def test_file_systems_are_left_alone(tool: str, says: str, devices: Devices, run: Program) -> None:
    """Those that the system's own tools make."""
    device = devices.make(512 * MIB)
    devices.run(*tool.split(), str(device))
    before = digest(device)
    run.refuses("-o", device, "--device", says=says)
    run.refuses("-o", device, "--device", "-s", "64KiB", ranks=2)
    assert digest(device) == before
    # Who says so means it.
    run("-o", device, "--device", "-s", "64KiB", "--overwrite", "--quiet")


@pytest.mark.parametrize("how", ["itself", "link", "node"])
def test_mounted_devices_are_left_alone(how: str, devices: Devices, run: Program) -> None:
    """By whatever path they are named, and whatever is said."""
    device = devices.make()
    devices.run("mkfs.ext4", "-q", str(device))
    place = devices.mount(device)
    (place / "precious").write_text("precious")
    os.sync()
    name = device
    if how == "link":
        name = run.folder / "by-id"
        name.symlink_to(device)
    elif how == "node":
        name = run.folder / "node"
        os.mknod(name, 0o600 | stat.S_IFBLK, device.stat().st_rdev)
    for more in ([], ["--overwrite"], ["--overwrite", "--no-space-check", "-s", "64KiB"]):
        run.refuses("-o", name, "--device", *more, says="mounted")
    run.refuses("test", "-o", name, "--device", "-s", "64KiB", "--overwrite", says="mounted")
    run.refuses("repair", name, "--device", "-s", "64KiB", "--seed", "1", says="mounted")
    assert (place / "precious").read_text() == "precious"
    run("verify", name, "-s", "64KiB", "--seed", "1", status=1)


def test_a_mount_of_another_namespace_is_seen(devices: Devices, run: Program) -> None:
    """As in a container, whose mounts nobody else has in a list."""
    device = devices.make()
    devices.run("mkfs.ext4", "-q", str(device))
    place = run.folder / "elsewhere"
    place.mkdir()
    # Read-only, since a file system goes on writing to itself.
    script = f"mount -o ro {device} {place} && echo there && read -r line; umount {place}"
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == b"there\n"
            before = digest(device)
            run.refuses("-o", device, "--device", "--overwrite", says="in use")
            assert digest(device) == before
        finally:
            other.communicate(b"\n", timeout=30)


def test_a_disk_is_left_alone_where_a_part_is_in_use(devices: Devices, run: Program) -> None:
    """A part of it beside that may be written."""
    image = run.folder / "disk"
    with image.open("wb") as file:
        file.truncate(SIZE)
        file.seek(446)
        file.write(table((1, 6), (8, 6)))
    disk = devices.make(SIZE, "-P", content=image)
    (one, two) = (disk.with_name(f"{disk.name}p{number}") for number in (1, 2))
    if not two.exists():
        pytest.skip("left out: this kernel makes no parts of loop devices")
    devices.run("mkfs.ext4", "-q", str(one))
    place = devices.mount(one)
    (place / "precious").write_text("precious")
    os.sync()
    for more in ([], ["--overwrite"]):
        run.refuses("-o", disk, "--device", *more, says="mounted")
        run.refuses("-o", one, "--device", *more, says="mounted")
    run("-o", two, "--device", "--seed", "1", "--quiet")
    assert two.read_bytes() == right(6 * MIB, 1)
    assert (place / "precious").read_text() == "precious"
    os.sync()
    assert image.read_bytes()[446:512] == table((1, 6), (8, 6))


def test_swap_is_left_alone(devices: Devices, run: Program) -> None:
    """While it is used."""
    device = devices.make()
    devices.run("mkswap", str(device))
    devices.run("swapon", str(device), undo=["swapoff", str(device)])
    for more in ([], ["--overwrite"]):
        run.refuses("-o", device, "--device", *more, says="swap")


def test_what_others_hold_is_left_alone(devices: Devices, run: Program) -> None:
    """A loop device above it, somebody who has it to himself, and somebody with locks on it."""
    below = devices.make()
    above = devices.make(content=below)
    run.refuses("-o", below, "--device", "--overwrite", says=above.name)
    device = devices.make()
    holder = os.open(device, os.O_RDWR | os.O_EXCL)
    run.refuses("-o", device, "--device", "--overwrite", says="in use")
    os.close(holder)
    # As virtual machines have their disks.
    with device.open("r+b") as file:
        lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 100, 1, 0)
        fcntl.fcntl(file, 37, lock)
        run.refuses("-o", device, "--device", "--overwrite", says="locked")
    # As tools that change disks have them.
    with device.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        run.refuses("-o", device, "--device", "--overwrite", says="locked")
        assert digest(device) == hashlib.sha256(bytes(SIZE)).hexdigest()
        # As udev has them while it looks.
        fcntl.flock(file, fcntl.LOCK_SH)
        run("-o", device, "--device", "-s", "64KiB", "--quiet")


def test_a_device_is_held_until_the_end(devices: Devices, run: Program) -> None:
    """It cannot be mounted meanwhile, nor written by a second run."""
    device = devices.make()
    words = ["test", "-o", str(device), "--device", "-s", "64KiB", "--seed", "5"]
    with subprocess.Popen(
        [run.path, *words, "--repeat", "100000", "--quiet"], stderr=subprocess.PIPE
    ) as first:
        try:
            expected = right(64 << 10, 5)[:4096]
            for _ in range(3000):
                if device.read_bytes()[:4096] == expected:
                    break
                time.sleep(0.01)
            run.refuses("-o", device, "--device", "--overwrite", says="in use")
            with pytest.raises(OSError, match="busy"):
                os.close(os.open(device, os.O_RDWR | os.O_EXCL))
            assert first.poll() is None
        finally:
            first.terminate()
            first.communicate(timeout=60)
    os.close(os.open(device, os.O_RDWR | os.O_EXCL))


def test_a_loop_device_above_one_that_has_lost_its_name(devices: Devices, run: Program) -> None:
    """As one that was set up in a container has none that is known outside."""
    below = devices.make()
    node = run.folder / "node"
    os.mknod(node, 0o600 | stat.S_IFBLK, below.stat().st_rdev)
    above = devices.make(content=node)
    node.unlink()
    run.refuses("-o", below, "--device", "--overwrite", says=above.name)
    # A file is no device.
    run("-o", above, "--device", "-s", "64KiB", "--quiet")


@pytest.mark.parametrize(
    "what", cases(["ext4", "swap"], ["a GPT partition table at its end", "a partition table"])
)
def test_what_a_device_was_given_since_is_left_alone(
    what: str, devices: Devices, run: Program
) -> None:
    """By `repair`, `update` and `--resume`, though most of the data set is still there."""
    device = devices.make()
    words = ["-o", str(device), "--device", "--seed", "5", "--change", "9%"]
    kept = ["--manifest", "m.json"]
    run(*words, *kept, "--quiet")
    if what == "ext4":
        devices.run("mkfs.ext4", "-q", "-F", "-E", "nodiscard", str(device))
    elif what == "swap":
        devices.run("mkswap", str(device))
    else:
        put(device, *LABELS[what])
    before = digest(device)
    says = what.removesuffix(" at its end")
    run.refuses("repair", device, "--device", *kept, says=says)
    run.refuses("update", device, "--device", *kept, "--by", "1", says=says)
    run.refuses(*words, *kept, "--resume", says=says)
    run.refuses("repair", device, "--device", *words[3:], "-s", str(SIZE), says=says)
    assert digest(device) == before
    run("verify", device, *kept, status=1)
    # Who says so means it; and what was overwritten on purpose may be finished.
    run(*words, *kept, "--overwrite", "-s", "8MiB", "--quiet")
    run("repair", device, "--device", *kept, "--quiet")


def test_bytes_of_the_data_are_no_format(devices: Devices, run: Program) -> None:
    """Though they look like one by chance; nor is what lies behind them, or was there before."""
    seed = next(seed for seed in range(1 << 20) if right(512, seed)[510:] == b"\x55\xaa")
    device = devices.make()
    kept = ["--manifest", "m.json"]
    put(device, (-512, b"EFI PART"))
    words = ["-o", device, "--device", "--seed", str(seed), "-s", "1MiB", *kept]
    run(*words, "--overwrite", "--quiet")
    put(device, (70000, b"damage"))
    run("repair", device, "--device", *kept, "--quiet")
    stored = json.loads((run.folder / "m.json").read_text())
    (run.folder / "m.json").write_text(json.dumps(stored | {"status": "writing"}))
    put(device, *LABELS["a LUKS volume"])
    run(*words, "--resume", "--quiet")
    assert device.read_bytes()[:MIB] == right(MIB, seed)
    assert device.read_bytes()[-512:-504] == b"EFI PART"


def test_ranks_that_mean_different_devices_are_found(devices: Devices, run: Program) -> None:
    """Before the first byte; played by a mount that one of them has for itself."""
    (one, two) = (devices.make(), devices.make())
    script = """
        command="$0 -o $1 --device"
        [ "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}" = 0 ] && exec $command
        exec unshare --mount sh -c "mount --bind $2 $1 && exec $command"
    """
    done = subprocess.run(
        [*MPIRUN, "-n", "2", "sh", "-c", script, run.path, str(one), str(two)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 3, done.stderr
    (line,) = run.complaints(done)
    assert "do not share it" in line
    for device in (one, two):
        assert digest(device) == hashlib.sha256(bytes(SIZE)).hexdigest()


def test_what_does_not_fit_is_refused(devices: Devices, run: Program) -> None:
    """A device that is read-only, or too small."""
    before = hashlib.sha256(bytes(SIZE)).hexdigest()
    locked = devices.make(SIZE, "-r")
    run.refuses("-o", locked, "--device", "--overwrite", says="read-only", status=3)
    device = devices.make()
    run.refuses("-o", device, "--device", "-s", str(SIZE + 1), says="16 MiB", status=3)
    for words, says in (
        (["--io", "mpi"], "io"),
        (["--layout", "per-rank"], "layout"),
        (["--collective"], "collective"),
        (["--hint", "a=b"], "hint"),
        (["--preallocate"], "preallocate"),
        (["--stripe-count", "4"], "stripe_count"),
        (["--resume"], "manifest"),
    ):
        run.refuses("-o", device, "--device", *words, says=says)
    run.refuses("-o", device, says="--device")
    run.refuses("-o", device, "--overwrite", says="--device", ranks=2)
    run.refuses("repair", device, "-s", "64KiB", "--seed", "1", says="--device")
    run.refuses("test", "-o", device, "-s", "64KiB", says="--device")
    run.refuses("repair", device, "--device", "-s", "64KiB", "--seed", "1", says="nothing in it")
    assert digest(device) == before
    assert digest(locked) == before
    assert not Path(f"{device}.dgen.json").exists()
    assert not Path(f"{device}.00000000").exists()


def test_only_devices_are_devices(run: Program) -> None:
    """No file, nothing that is not there, which would come to be, and no other kind of device."""
    (run.folder / "file").write_text("precious")
    for path in ("file", "nothing", "/dev/no-such-disk", "/dev/zero", "/dev/null", "-", "."):
        run.refuses("-o", path, "--device", "-s", "1k", says="no block device")
    assert [path.name for path in run.folder.iterdir()] == ["file"]
    assert (run.folder / "file").read_text() == "precious"
    assert not Path("/dev/no-such-disk").exists()
    run.refuses("-o", "/dev/zero", "-s", "1k", says="not a regular file", status=3)
    # A device that is misspelt would be a file in memory.
    if os.access("/dev", os.W_OK) and " /dev devtmpfs " in Path("/proc/mounts").read_text():
        run.refuses("-o", "/dev/no-such-disk", "-s", "1k", says="/dev")
        assert not Path("/dev/no-such-disk").exists()


def test_foreign_files_are_left_alone(devices: Devices, run: Program) -> None:
    """In the place of the manifest."""
    device = devices.make()
    other = devices.make()
    folder = run.folder
    run("-o", "data", "-s", "64KiB", "--quiet")
    run("-o", other, "--device", "-s", "64KiB", "--manifest", "other.json", "--quiet")
    (folder / "precious").write_text("precious")
    (folder / "json").write_text('{"format": "mine"}')
    (folder / "link").symlink_to("other.json")
    (folder / "folder").mkdir()
    before = {path.name: path.read_text() for path in folder.glob("*js*")}
    for name, says in (
        ("precious", "no manifest"),
        ("json", "no manifest"),
        ("data.dgen.json", "of something else"),
        ("other.json", "of something else"),
        ("link", "link"),
        ("folder", "no manifest"),
        ("no/such", "no such directory"),
        (str(device), "no manifest"),
        ("/dev/null", "no manifest"),
    ):
        for more in ([], ["--overwrite"]):
            words = ["-o", str(device), "--device", "-s", "64KiB", "--manifest", name, *more]
            done = run(*words, status=3 if name == "no/such" else 2)
            assert says in run.complaints(done)[0], done.stderr
    run.refuses("-o", "new", "-s", "64KiB", "--manifest", "m", says="manifest")
    run.refuses("repair", "data", "--manifest", "other.json", says="manifest")
    run.refuses("-o", "/dev/null", "-s", "64KiB", "--manifest", "m", says="manifest")
    assert {path.name: path.read_text() for path in folder.glob("*js*")} == before
    assert (folder / "precious").read_text() == "precious"
    assert not (folder / "new").exists()
    assert digest(device) == hashlib.sha256(bytes(SIZE)).hexdigest()


def test_a_shell_cannot_lead_data_onto_a_device(devices: Devices, run: Program) -> None:
    """Where nothing would be asked."""
    device = devices.make()
    put(device, (0, b"precious"))
    before = digest(device)
    with device.open("r+b") as out:
        done = run("-o", "-", "-s", "64KiB", status=2, capture_output=False, stdout=out, stderr=-1)
    assert "--device" in done.stderr
    assert digest(device) == before


def test_results_are_not_written_to_a_disk(devices: Devices, run: Program, dgen: Command) -> None:
    """Which would be gone."""
    device = devices.make()
    put(device, (0, b"precious"))
    before = digest(device)
    for option in ("--report", "--csv"):
        run.refuses("-o", "data", "-s", "1k", option, device, says="block device", status=3)
    assert not (run.folder / "data").exists()
    run.refuses("plan", "-s", "1k", "--report", device, says="block device", status=3)
    (run.folder / "c.yaml").write_text("output: data\nsize: 1MiB\n")
    done = dgen("render", "c.yaml", "--single", device, status=3)
    assert "block device" in done.stderr
    assert digest(device) == before


# Devices


def test_a_device_is_written_verified_and_repaired(devices: Devices, run: Program) -> None:
    """By several ranks, whole, with its manifest elsewhere."""
    device = devices.make()
    link = run.folder / "by-id"
    link.symlink_to(device)
    kept = ["--manifest", "m.json"]
    words = ["-o", str(link), "--device", "--seed", "5", "--report", "r", *kept]
    run(*words, ranks=2)
    assert device.read_bytes() == right(SIZE, 5)
    report = json.loads((run.folder / "r").read_text())
    assert (report["target"], report["manifest"]) == ("device", "m.json")
    assert "file_system" not in report
    assert report["access"] == "posix"
    stored = json.loads((run.folder / "m.json").read_text())
    assert (stored["target"], stored["device"]) == ("device", str(link))
    assert stored["status"] == "complete"
    run("verify", device, *kept, "--quiet", ranks=2)
    run("verify", link, "-s", str(SIZE), "--seed", "5", "--quiet")
    run("verify", link, "--seed", "5", "--quiet")
    run("verify", device, "--seed", "6", "--quiet", status=1)
    # It is no longer empty.
    run.refuses(*words, says="--overwrite")
    put(device, (5 * MIB, b"damage"))
    run("verify", device, *kept, "--report", "r", status=1)
    report = json.loads((run.folder / "r").read_text())
    assert report["damage"][0]["offset"] >= 5 * MIB
    run("repair", device, *kept, "--device", "--quiet", ranks=2)
    run("verify", device, *kept, "--quiet")
    run("-o", link, "--device", "--seed", "7", "--overwrite", *kept, "--quiet")
    run("verify", device, *kept, "--direct", "--io", "posix", "--quiet")
    assert device.read_bytes() == right(SIZE, 7)


def test_a_part_of_a_device_is_written(devices: Devices, run: Program) -> None:
    """What lies behind it stays."""
    device = devices.make()
    put(device, (-MIB, b"precious"))
    words = ["-o", device, "--device", "-s", "1000001", "--seed", "5", "--overwrite"]
    run(*words, "--direct", "--report", "r")
    report = json.loads((run.folder / "r").read_text())
    assert "manifest" not in report
    found = device.read_bytes()
    assert found[:1000001] == right(1000001, 5)
    assert found[1000001:-MIB] == bytes(len(found) - 1000001 - MIB)
    assert found[-MIB:] == b"precious".ljust(MIB, b"\0")
    run("verify", device, "-s", "1000001", "--seed", "5", "--quiet")


def test_a_device_is_updated_and_tested(devices: Devices, run: Program) -> None:
    """As files are."""
    device = devices.make()
    change = ["--change", "9%", "--dedup-unit", "4KiB", "--seed", "5"]
    kept = ["--manifest", "m.json"]
    run("-o", device, "--device", "--generation", "3", *change, *kept, "--quiet")
    run.refuses("update", device, *kept, "--by", "1", says="--device")
    run.refuses("update", device, "--device", "--by", "1", says="manifest")
    run("update", device, "--device", *kept, "--by", "1", "--quiet", ranks=2)
    run("verify", device, *kept, "--generation", "4", "--quiet")
    other = devices.make()
    words = ["test", "-o", other, "--device", *change, "--phases", "write,update,read,verify"]
    run(*words, "--repeat", "2", "--report", "r", ranks=2)
    report = json.loads((run.folder / "r").read_text())
    assert [operation["operation"] for operation in report["operations"]] == [
        *("write", "update", "read", "verify"),
        *("write", "update", "read", "verify"),
    ]
    assert other.exists()
    assert other.is_block_device()


def test_a_device_is_finished(devices: Devices, run: Program) -> None:
    """After a run that was cut off, as its manifest tells; and nothing else is taken for that."""
    device = devices.make()
    kept = ["--manifest", "m.json"]
    words = ["-o", str(device), "--device", "--seed", "5", *kept]
    run(*words, "--resume", "--quiet")
    stored = json.loads((run.folder / "m.json").read_text())
    (run.folder / "m.json").write_text(json.dumps(stored | {"status": "writing"}))
    put(device, (9 * MIB, bytes(MIB)))
    run(*words, "--resume", "--quiet", ranks=2)
    assert device.read_bytes() == right(SIZE, 5)
    assert json.loads((run.folder / "m.json").read_text())["status"] == "complete"
    # Somebody else's by now.
    other = np.random.default_rng(1).bytes(SIZE)
    put(device, (0, other))
    run.refuses(*words, "--resume", says="none of those")
    run.refuses("repair", device, "--device", *kept, says="none of those")
    assert device.read_bytes() == other


def test_checksums_of_what_is_no_file(devices: Devices, run: Program) -> None:
    """As of files: of a device, of a stream, and of what a manifest elsewhere says."""
    device = devices.make()
    words = ["-s", "3000001", "--seed", "5", "--checksum", "crc64nvme", "--report", "r"]
    run("-o", device, "--device", "--manifest", "m.json", *words, ranks=2)
    found = [json.loads((run.folder / "r").read_text())["checksums"][0]["hex"]]
    with (run.folder / "copy").open("wb") as out:
        piped = ["-o", "-", "--manifest", "s.json", *words, "--quiet"]
        subprocess.run([run.path, *piped], stdout=out, cwd=run.folder, check=True, timeout=60)
    found.append(json.loads((run.folder / "r").read_text())["checksums"][0]["hex"])
    for place in (device, "elsewhere"):
        run("checksum", place, "--manifest", "m.json", "--report", "r")
        found.append(json.loads((run.folder / "r").read_text())["checksums"][0]["hex"])
    assert len(set(found)) == 1, found
    kept = ["--checksum", "crc64nvme", "--quiet"]
    run("verify", device, "--manifest", "m.json", *kept, ranks=2)
    run("verify", "copy", "--manifest", "s.json", *kept)
    put(device, (MIB, b"damage"))
    run("verify", device, "--manifest", "m.json", *kept, status=1)


# Nothing


def test_the_baseline_keeps_nothing(run: Program) -> None:
    """And says so."""
    done = run("-o", "/dev/null", "-s", "64MiB", "--report", "r", ranks=2)
    assert "keeps nothing" in done.stdout
    report = json.loads((run.folder / "r").read_text())
    assert report["target"] == "null"
    assert "manifest" not in report
    assert [operation["operation"] for operation in report["operations"]] == ["write"]
    run("test", "-o", "/dev/null", "-s", "1MiB", "--repeat", "3", "--report", "r")
    report = json.loads((run.folder / "r").read_text())
    assert [operation["operation"] for operation in report["operations"]] == ["write"] * 3
    for words, says in (
        (["verify", "/dev/null", "-s", "1k", "--seed", "1"], "keeps nothing"),
        (["repair", "/dev/null", "-s", "1k", "--seed", "1"], "keeps nothing"),
        (["update", "/dev/null"], "keeps nothing"),
        (["test", "-o", "/dev/null", "-s", "1k", "--phases", "write,verify"], "phases"),
        (["-o", "/dev/null", "-s", "1k", "--layout", "per-rank"], "layout"),
        (["-o", "/dev/null", "-s", "1k", "--resume"], "resume"),
        (["-o", "/dev/null", "-s", "1k", "--direct"], "direct"),
    ):
        run.refuses(*words, says=says)
    assert Path("/dev/null").is_char_device()
    assert not Path("/dev/null.dgen.json").exists()
    assert not Path("/dev/null.00000000").exists()


# Streams


def stream(run: Program, *words: str, size: str = "16MiB", **more: Any) -> Any:
    """Start the program with its data led into a pipe."""
    return subprocess.Popen(
        [run.path, "-o", "-", "-s", size, "--seed", "5", *words],
        **{"cwd": run.folder, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more,
    )


def test_a_stream_has_the_bytes_in_order(run: Program) -> None:
    """And nothing else; all that is said goes to stderr, the report where it is wanted."""
    words = ["--report", "r", "--manifest", "m.json", "-t", "100000", "--verbose"]
    with stream(run, *words, size="16777001") as process:
        (found, said) = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert found == right(16777001, 5)
    assert b"16777001" in said
    report = json.loads((run.folder / "r").read_text())
    assert (report["target"], report["path"], report["status"]) == ("stream", "-", "ok")
    # Where it has come to rest it can be verified.
    (run.folder / "copy").write_bytes(found)
    run("verify", "copy", "--manifest", "m.json", "--quiet")
    (run.folder / "copy").write_bytes(found[:-1])
    run("verify", "copy", "--manifest", "m.json", "--quiet", status=1)


@pytest.mark.parametrize(
    "words", cases([["--threads", "3"]], [["--queue-depth", "8"], ["-t", "1"]])
)
def test_threads_and_buffers_keep_the_order(words: list[str], run: Program) -> None:
    """With a reader that takes what comes in pieces of any length."""
    size = 3 * MIB if "1" not in words else 4099
    chance = np.random.default_rng(1)
    with stream(run, *words, size=str(size)) as process:
        found = b""
        while part := process.stdout.read1(int(chance.integers(1, 300000))):
            found += part
        assert process.wait(timeout=60) == 0
    assert found == right(size, 5)


def test_a_stream_from_a_job_file(run: Program) -> None:
    """And the environment, which say it later than a command line."""
    (run.folder / "job.yaml").write_text("output: '-'\nsize: 100000\nseed: 5\n")
    expected = right(100000, 5)
    for words, more in ((["--job", "job.yaml"], {}), (["-s", "100000"], {"DGEN_OUTPUT": "-"})):
        environment = os.environ | {"DGEN_SEED": "5"} | more
        done = run(*words, env=environment, text=False)
        assert done.stdout == expected


@contextmanager
def outputs(kind: str, folder: Path) -> Iterator[tuple[Any, Callable[[], bytes]]]:
    """Return something that data can be led into, and what reads it in the end."""
    if kind == "file":
        with (folder / "out").open("wb") as file:
            file.write(b"before ")
            file.flush()
            yield file, lambda: (folder / "out").read_bytes()
        return
    if kind == "socket":
        (end, start) = (one.detach() for one in socket.socketpair())
    else:
        (end, start) = os.pipe()
    if kind == "restless":
        os.set_blocking(start, False)
    with (
        (folder / "read").open("wb") as kept,
        subprocess.Popen(["cat"], stdin=end, stdout=kept) as reader,
    ):
        os.close(end)

        def found() -> bytes:
            os.close(start)
            reader.wait(timeout=60)
            return (folder / "read").read_bytes()

        yield start, found


@pytest.mark.parametrize("kind", ["file", "socket", "pipe", "restless"])
def test_everything_that_a_shell_leads_to(kind: str, run: Program) -> None:
    """After what was written before, and with short writes."""
    with outputs(kind, run.folder) as (out, found):
        process = subprocess.Popen(
            [run.path, "-o", "-", "-s", "3000001", "--seed", "5", "--quiet"],
            stdout=out,
            stderr=subprocess.PIPE,
        )
        assert process.communicate(timeout=60)[1] == b""
        assert process.returncode == 0
        expected = right(3000001, 5)
        assert found() == (b"before " if kind == "file" else b"") + expected


def test_a_reader_that_goes_away_ends_it(run: Program) -> None:
    """With one line that says how far it was, and status 3."""
    with stream(run, "--report", "r", size="1GiB") as process:
        assert process.stdout.read(MIB) == right(MIB, 5)
        process.stdout.close()
        said = process.stderr.read().decode()
        assert process.wait(timeout=60) == 3
    (line,) = (line for line in said.splitlines() if "error" in line)
    assert "standard output" in line
    assert "reader" in line
    report = json.loads((run.folder / "r").read_text())
    assert (report["status"], report["exit_status"]) == ("failed", 3)


@pytest.mark.parametrize("way", ["signal", "limit"])
def test_a_reader_that_stands_still_does_not_hold_it(way: str, run: Program) -> None:
    """Neither from a signal nor from its time limit."""
    words = ["--time-limit", "1s"] if way == "limit" else []
    with stream(run, *words, size="1GiB") as process:
        process.stdout.read(MIB)
        if way == "signal":
            # Until it waits for the reader.
            for _ in range(1000):
                state = Path(f"/proc/{process.pid}/wchan").read_text()
                if "poll" in state or "pipe" in state or "sched" in state or state == "0":
                    break
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
        (said, status) = (process.stderr.read().decode(), process.wait(timeout=60))
        assert status == 5, said
        assert "stopped by" in said


def test_what_cannot_be_streamed_is_refused(run: Program, tmp_path: Path) -> None:
    """In one line, before a byte."""
    for words, says in (
        (["--order", "random"], "order"),
        (["--direct"], "direct"),
        (["--collective"], "collective"),
        (["--layout", "per-rank"], "layout"),
        (["--report", "-"], "report"),
        (["--resume"], "resume"),
    ):
        run.refuses("-o", "-", "-s", "1k", *words, says=says)
    for words in (["verify", "-"], ["repair", "-"], ["test", "-o", "-"]):
        run.refuses(*words, "-s", "1k", "--seed", "1", says="stream")
    done = run("-o", "-", "-s", "1k", status=2, ranks=2)
    assert "one rank" in run.complaints(done)[0]
    assert done.stdout == ""
    closed = ["sh", "-c", '"$0" -o - -s 1k >&-', run.path]
    done = subprocess.run(closed, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3, done.stderr
    assert not (tmp_path / "-").exists()


def test_closed_streams_are_nothing_else(run: Program) -> None:
    """What is opened instead of them would be written to; and a table that nobody gets is told."""
    for closed in (">&-", "<&- >&-", "<&- >&- 2>&-"):
        words = ["sh", "-c", f'"$0" -o data --overwrite -s 1MiB --seed 5 {closed}', run.path]
        done = subprocess.run(words, cwd=run.folder, stderr=subprocess.PIPE, text=True, timeout=60)
        assert done.returncode == 3, closed
        assert ("standard output" in done.stderr) is ("2>&-" not in closed)
        assert (run.folder / "data").read_bytes() == right(MIB, 5)


def test_a_terminal_is_refused(run: Program) -> None:
    """It would beep and change colours."""
    (master, terminal) = pty.openpty()
    process = subprocess.run(
        [run.path, "-o", "-", "-s", "1k"],
        stdout=terminal,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    os.close(terminal)
    os.close(master)
    assert process.returncode == 2
    assert "terminal" in process.stderr


@pytest.mark.parametrize("name", ["/dev/stdout", "/proc/self/fd/1", "/dev/stderr", "pipe"])
def test_a_pipe_that_is_stdout_too_is_refused(name: str, run: Program) -> None:
    """What else is said there would be among the data."""
    if name == "pipe":
        os.mkfifo(run.folder / name)
        words = ["sh", "-c", '"$0" -o pipe -s 1k > pipe', run.path]
    else:
        words = [run.path, "-o", name, "-s", "1k"]
    with subprocess.Popen(
        words, cwd=run.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        if name == "pipe":
            assert (run.folder / name).read_bytes() == b""
        (found, said) = process.communicate(timeout=60)
    assert process.returncode == 2, said
    assert found == b""
    assert b"give '-'" in said


@pytest.mark.parametrize(
    "words",
    [
        ["-o", "-", "--report", "out"],
        ["-o", "-", "--csv", "out"],
        ["-o", "out", "--overwrite"],
        ["-o", "new", "--report", "out"],
    ],
)
def test_what_stdout_leads_to_is_no_other_file_of_the_run(words: list[str], run: Program) -> None:
    """One would be lost, or written over."""
    with (run.folder / "out").open("wb") as out:
        done = subprocess.run(
            [run.path, *words, "-s", "1k", "--seed", "5"],
            cwd=run.folder,
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 2, done.stderr
    assert "stdout" in run.complaints(done)[0]
    assert [path.name for path in run.folder.iterdir()] == ["out"]
    assert (run.folder / "out").stat().st_size == 0


def test_a_report_waits_for_who_reads_it(run: Program) -> None:
    """Though its calls do not, as those of pipes that some programs make."""
    (end, start) = os.pipe()
    os.set_blocking(start, False)
    words = ["checksum", "-s", "1MiB", "--seed", "1", "--part-size", "128", "--report", "-"]
    with subprocess.Popen([run.path, *words], stdout=start, stderr=subprocess.PIPE) as process:
        os.close(start)
        with os.fdopen(end, "rb") as file:
            # Until nothing fits any more.
            time.sleep(0.5)
            report = json.loads(file.read())
        assert process.wait(timeout=60) == 0, process.stderr.read()
    assert len(report["checksums"]) == 8193


def test_a_pipe_with_a_name(run: Program) -> None:
    """Whose reader may come later; and it is no file that `--overwrite` is about."""
    pipe = run.folder / "pipe"
    os.mkfifo(pipe)
    words = [run.path, "-o", "pipe", "-s", "3000001", "--seed", "5", "--report", "r"]
    with subprocess.Popen(words, cwd=run.folder, stdout=-1, stderr=-1) as process:
        with pipe.open("rb") as file:
            assert file.read() == right(3000001, 5)
        assert process.wait(timeout=60) == 0
    assert json.loads((run.folder / "r").read_text())["target"] == "stream"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    run.refuses("-o", "pipe", "-s", "1k", ranks=2, says="one rank")
    run.refuses("verify", "pipe", "-s", "1k", "--seed", "1", says="stream")
    assert not (run.folder / "pipe.dgen.json").exists()
    # Nobody comes.
    done = run("-o", "pipe", "-s", "1k", "--time-limit", "1s", status=5)
    assert "stopped by" in done.stderr


def test_the_default_of_a_device_that_is_renamed(run: Program) -> None:
    """A file called `-` is `./-`."""
    run("-o", "./-", "-s", "1k", "--quiet")
    assert (run.folder / "-").stat().st_size == 1024


# Campaigns


def test_campaigns_may_keep_nothing(dgen: Command, tmp_path: Path) -> None:
    """All cases at once, and what they remove is never that."""
    sweep = "size: 1MiB\ntransfer_size: [64KiB, 1MiB]\n"
    (tmp_path / "c.yaml").write_text(f"output: /dev/null\n{sweep}")
    dgen("run", "c.yaml")
    if os.geteuid() != 0:
        missing("root")
    null = tmp_path / "null"
    os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    (tmp_path / "d.yaml").write_text(f"output: {null}\nremove_data: true\n{sweep}")
    dgen("run", "d.yaml")
    assert null.is_char_device()


def test_campaigns_have_no_stdout_for_data(dgen: Command, tmp_path: Path) -> None:
    """It is their log."""
    (tmp_path / "c.yaml").write_text("output: '-'\nsize: 1MiB\n")
    assert "stdout" in dgen("check", "c.yaml", status=2).stderr


def test_a_device_and_a_manifest_belong_to_one_case(
    dgen: Command, devices: Devices, tmp_path: Path
) -> None:
    """Two that name one are refused; cases have names that a manifest may have too."""
    (one, two) = (devices.make(), devices.make())
    common = "size: 64KiB\ndevice: true\nseed: 1\n"
    (tmp_path / "c.yaml").write_text(f"output: {one}\n{common}transfer_size: [4KiB, 64KiB]\n")
    assert str(one) in dgen("check", "c.yaml", status=2).stderr
    both = f"output: ['{one}', '{two}']\n{common}"
    (tmp_path / "c.yaml").write_text(f"{both}manifest: m.json\n")
    assert "m.json" in dgen("check", "c.yaml", status=2).stderr
    (tmp_path / "c.yaml").write_text(f"{both}manifest: '{{name}}.json'\nremove_data: true\n")
    dgen("run", "c.yaml")
    assert len(list(tmp_path.glob("*.json"))) == 2
    for device in (one, two):
        assert device.is_block_device()
        assert device.read_bytes()[: 64 << 10] == right(64 << 10, 1)


def test_python_says_what_reads_a_device(dgen: Command, devices: Devices) -> None:
    """In one line."""
    assert "dgen-mpi verify" in dgen("verify", devices.make(), status=2).stderr
