# SPDX-License-Identifier: MIT OR Apache-2.0
"""Machines whose power goes: QEMU with a kernel of Debian, and disks that lose their cache with it.

A disk is served to the machine from here, by the protocol of network block devices. So it is known
which writes it has, which of them it was told to keep, and what it has lost after a power cut.
"""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from conftest import ROOT, missing

KERNEL = ROOT / "build" / "power"
MODULES = (
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_blk",
)
"""What disks need, in this order, where it is not in the kernel.

Not NVMe: what QEMU 7.2 emulates says that it can write past its cache, and does not.
"""

SECTOR = 512
"""What a disk writes wholly or not at all."""

TOOLS = "cat echo insmod ip mkdir mount poweroff rm sh stty sync umount"

INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /tmp
mount -t tmpfs shm /dev/shm
mount -t tmpfs tmp /tmp
ip link set lo up
export DGEN_MPI_LIBRARY=/lib/libmpich.so.12
for module in MODULES; do
    test ! -e /modules/$module.ko || insmod /modules/$module.ko
done
stty -F /dev/ttyS1 raw -echo
exec < /dev/ttyS1 > /dev/ttyS1
echo READY
while read -r line; do
    # Processes of their own, so that nothing of one command is in the way of the next.
    sh -c "$line" < /dev/null > /tmp/said 2>&1
    status=$?
    cat /tmp/said
    echo "ENDED $status"
done
poweroff -f
""".replace("MODULES", " ".join(MODULES))
"""The first program: runs what comes line by line, and says what became of it."""


class Disk:
    """A disk with a cache that is lost with the power, and what it holds.

    Whatever was written since it was last told to flush may be there or not, sector by sector.
    After `lie` it says that it has flushed, and has not. What is lost is up to `lose`.
    """

    def __init__(self, size: int, place: Path, name: str) -> None:
        """Make one that is empty; it is served at a socket in a folder."""
        self.name = name
        self.path = place / f"{name}.socket"
        self.kept = bytearray(size)
        self.writes = 0
        self.flushes = 0
        self._seen = bytearray(size)
        # Where, what, and whether it was to be kept at once.
        self._cached: list[tuple[int, bytes, bool]] = []
        self._lock = threading.Lock()
        self._is_on = True
        self._lies = False
        self._then: dict[int, Callable[[], None]] = {}

    def load(self, image: Path) -> None:
        """Take what a file holds."""
        self.kept[:] = image.read_bytes()
        self._seen[:] = self.kept

    def after(self, writes: int, action: Callable[[], None]) -> None:
        """Have something done when so many more writes have come, before the last is answered."""
        with self._lock:
            self._then[self.writes + writes] = action

    def lie(self) -> None:
        """Keep nothing from now on, and say otherwise."""
        with self._lock:
            self._lies = True

    def stop(self) -> None:
        """Answer nothing any more."""
        with self._lock:
            self._is_on = False

    def lose(self, is_lost: Callable[[int], bool]) -> set[int]:
        """Forget those cached sectors that are lost, keep the others, and be a new, honest disk.

        Returned are the sectors that are not as they were last written.
        """
        with self._lock:
            for start, data, is_kept in self._cached:
                for offset in range(0, len(data), SECTOR):
                    if is_kept or not is_lost((start + offset) // SECTOR):
                        place = start + offset
                        self.kept[place : place + SECTOR] = data[offset : offset + SECTOR]
            touched = {
                sector
                for start, data, _ in self._cached
                for sector in range(start // SECTOR, (start + len(data)) // SECTOR)
            }
            lost = {
                sector
                for sector in touched
                if self.kept[sector * SECTOR : (sector + 1) * SECTOR]
                != self._seen[sector * SECTOR : (sector + 1) * SECTOR]
            }
            self._seen[:] = self.kept
            self._cached.clear()
            self._is_on, self._lies = True, False
            self._then.clear()
            return lost

    @contextlib.contextmanager
    def served(self) -> Iterator[None]:
        """Serve it to one machine, as long as that lives."""
        self.path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.path))
            listener.listen()
            listener.settimeout(60)
            thread = threading.Thread(target=self._serve, args=(listener,), daemon=True)
            thread.start()
            yield
        thread.join(timeout=60)
        assert not thread.is_alive(), f"{self.name} is still in use"

    def _serve(self, listener: socket.socket) -> None:
        with contextlib.suppress(EOFError, OSError):
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(600)
                if self._agree(connection):
                    while self._answer(connection):
                        pass

    def _agree(self, connection: socket.socket) -> bool:
        """Tell a client how long the disk is, and that it has a cache."""
        # Fixed newstyle, no zeroes.
        connection.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3))
        receive(connection, 4)
        while True:
            _, option, length = struct.unpack(">8sII", receive(connection, 16))
            receive(connection, length)

            def reply(kind: int, data: bytes = b"", option: int = option) -> None:
                head = struct.pack(">QIII", 0x3E889045565A9, option, kind, len(data))
                connection.sendall(head + data)

            if option == 7:  # Go.
                # It has flags, flushes, and writes that are flushed by themselves.
                reply(3, struct.pack(">HQH", 0, len(self.kept), 1 | 4 | 8))
                reply(1)
                return True
            if option == 2:  # Abort.
                reply(1)
                return False
            reply(2**31 + 1)

    def _answer(self, connection: socket.socket) -> bool:
        """Do one request; the last one is that which goes with the power, or a farewell."""
        head = receive(connection, 28)
        magic, flags, kind, handle, start, length = struct.unpack(">IHHQQI", head)
        assert magic == 0x25609513
        data = receive(connection, length) if kind == 1 else b""
        with self._lock:
            if not self._is_on or kind == 2:
                return False
            if kind == 0:
                data = bytes(self._seen[start : start + length])
            elif kind == 1:
                self.writes += 1
                self._seen[start : start + length] = data
                self._cached.append((start, data, bool(flags & 1) and not self._lies))
            elif kind == 3:
                self.flushes += 1
                if not self._lies:
                    for place, written, _ in self._cached:
                        self.kept[place : place + len(written)] = written
                    self._cached.clear()
            error = 0 if kind in (0, 1, 3) else 22
            action = self._then.pop(self.writes, None) if kind == 1 else None
        if action:
            action()
        if not self._is_on:
            return False
        connection.sendall(struct.pack(">IIQ", 0x67446698, error, handle))
        if kind == 0:
            connection.sendall(data)
        return True


def receive(connection: socket.socket, length: int) -> bytes:
    """Receive so many bytes."""
    parts = []
    while length:
        part = connection.recv(min(length, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


class PowerCutError(Exception):
    """The power went while a command ran."""


class Machine:
    """A machine that is on; a command line at a time runs on it."""

    def __init__(self, process: subprocess.Popen[bytes], console: socket.socket, log: Path) -> None:
        """Take a process of QEMU, and what it says."""
        self._process, self._console, self._log = process, console, log
        self._said = b""
        self._until(rb"READY\r?\n")

    def _until(self, pattern: bytes) -> tuple[bytes, re.Match[bytes]]:
        while True:
            found = re.search(pattern, self._said)
            if found:
                said, self._said = self._said[: found.start()], self._said[found.end() :]
                return said, found
            try:
                part = self._console.recv(1 << 16)
            except TimeoutError:
                raise AssertionError(f"the machine hangs: {self._said!r} {self._end}") from None
            except ConnectionError:
                part = b""
            if not part:
                raise PowerCutError(self._end)
            self._said += part

    @property
    def _end(self) -> str:
        """The last words of the kernel."""
        return self._log.read_text(errors="replace")[-2000:]

    def run(self, command: str, *statuses: int) -> str:
        """Run a line of the shell, which is to end with 0 or what is given; return what it says."""
        assert "\n" not in command
        self._console.sendall(command.encode() + b"\n")
        said, end = self._until(rb"(?:^|(?<=\n))ENDED (\d+)\r?\n")
        text = said.decode(errors="replace")
        print(f"# {command}\n{text}", end="")
        assert int(end[1]) in (statuses or (0,)), f"{command}: {int(end[1])}: {text}"
        return text

    def cut(self) -> None:
        """Cut the power: whatever it had in memory is gone."""
        self._process.kill()

    def cut_with(self, disks: Sequence[Disk]) -> Callable[[], None]:
        """Return what cuts the power of the machine and of all its disks, at one moment."""

        def act() -> None:
            for disk in disks:
                disk.stop()
            self.cut()

        return act


def kernel() -> Path:
    """Return a folder with a Linux kernel of the distribution, downloaded once and not installed.

    It is the file `vmlinuz`, and some modules.
    """
    if shutil.which("apt-get") is None:
        missing("there is no apt-get, which has a kernel for machines")
    script = ROOT / "Tests" / "IntegrationTests" / "Guests" / "kernel.sh"
    told = subprocess.run([script, KERNEL, *MODULES], capture_output=True, text=True, timeout=300)
    if told.returncode != 0:
        missing(f"a kernel cannot be had: {told.stderr[-500:]}")
    return KERNEL


def pack(root: Path, target: Path, programs: Sequence[Path], files: dict[str, Path]) -> None:
    """Make the file system in memory that a machine starts from: programs, libraries, files."""
    for name in ("bin", "proc", "sys", "dev", "etc", "data", "counters"):
        (root / name).mkdir(parents=True)
    for program in programs:
        shutil.copy(program, root / "bin")
    files |= {f"modules/{module.name}": module for module in kernel().glob("*.ko")}
    for place, file in files.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, root / place)
    for tool in TOOLS.split():
        (root / "bin" / tool).symlink_to("busybox")
    (root / "etc/hosts").write_text("127.0.0.1 localhost machine\n")
    (root / "etc/hostname").write_text("machine\n")
    for binary in [*programs, *files.values()]:
        linked = subprocess.run(["ldd", binary], capture_output=True, text=True)
        for library in re.findall(r"(?:=> |^\s+)(/\S+) \(", linked.stdout, re.MULTILINE):
            copy = root / library.lstrip("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            if not copy.exists():
                shutil.copy(library, copy)
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    with target.open("wb") as archive:
        subprocess.run(
            ["cpio", "-o", "-H", "newc", "-R", "0:0", "--quiet"],
            cwd=root,
            input=names.encode(),
            stdout=archive,
            check=True,
        )


@contextlib.contextmanager
def booted(image: Path, disks: Sequence[Disk], place: Path) -> Iterator[Machine]:
    """Boot a machine; at the end its power is cut, if it was not before."""
    console, log = place / "console.socket", place / "kernel.log"
    console.unlink(missing_ok=True)
    words = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-reboot"]
    words += ["-machine", "pc", "-accel", "tcg,thread=multi"]
    # The emulation of long string moves is slow, so the machine does not offer them.
    words += ["-cpu", "max,-erms,-fsrm"]
    words += ["-smp", "2", "-m", "512", "-kernel", str(kernel() / "vmlinuz"), "-initrd", str(image)]
    # Timers are late where the emulator has to wait for a processor.
    options = "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable no_timer_check"
    words += ["-append", options]
    words += ["-chardev", f"file,id=log,path={log}", "-serial", "chardev:log"]
    words += ["-chardev", f"socket,id=console,path={console}", "-serial", "chardev:console"]
    for disk in disks:
        options = f"node-name={disk.name},server.type=unix,server.path={disk.path}"
        words += ["-blockdev", f"driver=nbd,{options}"]
        words += ["-device", f"virtio-blk-pci,serial={disk.name},drive={disk.name}"]
    with contextlib.ExitStack() as stack:
        for disk in disks:
            stack.enter_context(disk.served())
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(console))
        listener.listen()
        listener.settimeout(60)
        # It goes with the test, and one that outlives its time is hung.
        process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *words])
        stack.callback(process.wait)
        stack.callback(process.kill)
        ends = threading.Timer(600, process.kill)
        ends.start()
        stack.callback(ends.cancel)
        connection, _ = listener.accept()
        stack.enter_context(connection)
        connection.settimeout(300)
        yield Machine(process, connection, log)


def some(numbers: random.Random) -> Callable[[int], bool]:
    """Lose each sector by chance, with a chance that is drawn as well."""
    share = numbers.choice([0.0, 0.1, 0.5, 0.9, 1.0])
    return lambda _: numbers.random() < share
