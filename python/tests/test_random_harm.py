# SPDX-License-Identifier: MIT OR Apache-2.0
"""Whatever is asked for, in whatever order: not a byte of a file that is not ours changes.

A folder full of precious files stands around, inside and under every output of random commands of
the program. `DGEN_TESTS=all` makes it five hundred of them, other ones each time;
`DGEN_PRECIOUS_SEED` repeats a choice.
"""

from __future__ import annotations

import hashlib
import os
import random
import stat
import subprocess
from pathlib import Path

from conftest import MPIRUN

IS_LONG = os.environ.get("DGEN_TESTS") == "all"
ROUNDS = 500 if IS_LONG else 40
SEED = int(
    os.environ.get("DGEN_PRECIOUS_SEED") or (random.randrange(1 << 32) if IS_LONG else 20261126)
)

NAMES = (
    *("d", "d.00000000", "d.00000001", "d.00000007", "d.dgen.json", "e.dgen.json", "e.00000002"),
    *("data.20260101.tar.gz", "d.20260101", "e.12345678.bak", "d.00000000~", ".d.dgen.json.swp"),
    *("report.json", "table.csv", "log.txt", "script.sh", "hints", "job.yaml", "plot.svg"),
    *("-rf", "--overwrite", "*", "?", "a b", "a\nb", "[/b]", "$(touch pwned)", "`id`", "'", '"'),
    *("umlaut-\u00fc", "\udcff", "D", "index.json", "campaign.yaml", "x" * 240, "x" * 255),
)
"""What users call what is dear to them; two of them look like our own."""

FOREIGN = (
    b"mine",
    b"mine\n" * 5000,
    b"{}",
    b'{"format": "dgen-manifest/1", "status": "writing", "size": 3000}',
    b'{"format": "dgen-report/2"}',
    b"operation\n1\n",
    b"output: d\nsize: 3000\n",
)

OURS = ("new", "n e w", "new.00000000", "folder/new", "folder/../other", "./third", "link-new")
"""Outputs that nobody else has."""


def digest(root: Path) -> dict[str, object]:
    """Return what every precious thing is: type, mode, content, where a link leads."""
    found: dict[str, object] = {}
    for path in [root, *sorted(root.rglob("*"))]:
        status = path.lstat()
        kind = stat.S_IFMT(status.st_mode)
        content: object = None
        if stat.S_ISLNK(status.st_mode):
            content = str(path.readlink())
        elif stat.S_ISREG(status.st_mode):
            content = (hashlib.sha256(path.read_bytes()).hexdigest(), status.st_mtime_ns)
        found[str(path.relative_to(root))] = (kind, stat.S_IMODE(status.st_mode), content)
    return found


def differences(root: Path, before: dict[str, object]) -> list[str]:
    """Return what is no longer as it was; what came new is not asked for."""
    now = digest(root)
    return [name for name, what in before.items() if name != "." and now.get(name) != what]


class Chance:
    """Draws commands."""

    def __init__(self, root: Path, program: str, seed: int) -> None:
        self.root = root
        self.program = program
        self.random = random.Random(seed)
        self.precious = [name for name in NAMES if (root / name).exists()]
        self.precious += ["link", "hard", "dangling", "inside/d", "folder"]

    def spelled(self, name: str) -> str:
        """Return a path in one of its spellings."""
        return self.random.choice(
            [
                *(str(self.root / name), f"./{name}", f"inside/../{name}", f".//{name}"),
                *(f"{self.root}/./{name}", f"self/{name}", f"{self.root}//{name}"),
            ]
        )

    def path(self, *, precious: float) -> tuple[str, bool]:
        """Return a path, and whether it is one that nobody else has."""
        if self.random.random() < precious:
            return self.spelled(self.random.choice(self.precious)), False
        return self.spelled(self.random.choice(OURS)), True

    def command(self) -> tuple[list[str], list[str]]:
        """Return a run of the program: what launches it, and its words."""
        draw = self.random
        verb = draw.choice(["generate", "generate", "generate", "verify", "repair", "test", "plan"])
        output, is_ours = self.path(precious=0.6)
        words = [verb]
        words += [f"--output={output}"] if verb in ("generate", "test", "plan") else ["--", output]
        options = [f"--size={draw.choice([1, 3000, 100_000])}", f"--seed={draw.randrange(3)}"]
        options += draw.sample(["--layout=per-rank", "--align=4096", "--transfer-size=4096"], 2)
        options += ["--watchdog=60"]
        if verb in ("generate", "test"):
            options += draw.sample(
                ["--io=posix", "--collective", "--segments=2", "--preallocate", "--sync=each"],
                draw.randrange(3),
            )
            # For that very path it may be said; that it is asked of ours only makes it a test.
            options += draw.sample(["--resume", "--overwrite"] if is_ours else ["--resume"], 1)[
                : draw.randrange(2)
            ]
        if verb == "test":
            options += draw.sample(["--keep", "--repeat=2", "--fresh-file"], draw.randrange(3))
        for option in ("--report", "--csv", "--job", "--hints-file"):
            if draw.random() < 0.3:
                options.append(f"{option}={self.path(precious=0.7)[0]}")
        split = words.index("--") if "--" in words else len(words)
        words = [*words[:split], *options, *words[split:]]
        ranks = draw.choice([1, 1, 1, 2, 3])
        launcher = [*MPIRUN, "-n", str(ranks)] if ranks > 1 else []
        return [*launcher, self.program], words


def test_not_one_byte_of_what_is_not_ours_changes(tmp_path: Path, program: str) -> None:
    """Around, inside and under every output of every command."""
    root = tmp_path / "precious"
    for folder in (root, root / "inside", root / "folder"):
        folder.mkdir()
    for number, name in enumerate(NAMES):
        for folder in (root, root / "inside", root / "folder"):
            target = folder / name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(FOREIGN[number % len(FOREIGN)])
            target.chmod(0o600 if number % 2 else 0o644)
    (root / "folder" / "index.json").write_text('{"format": "dgen-campaign/9"}')
    (root / "link").symlink_to("table.csv")
    (root / "dangling").symlink_to("nowhere")
    (root / "link-new").symlink_to("new")
    (root / "self").symlink_to(".")
    (root / "hard").hardlink_to(root / "d.00000001")
    before = digest(root)
    chance = Chance(root, program, SEED)
    environment = {key: text for key, text in os.environ.items() if not key.startswith("DGEN_")}
    for number in range(ROUNDS):
        launcher, words = chance.command()
        command = [*launcher, *words]
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, timeout=120, check=False
        )
        said = (done.stdout + done.stderr).decode(errors="replace")
        told = f"seed {SEED}, round {number}: {command}: {done.returncode}: {said[-2000:]}"
        assert differences(root, before) == [], told
        assert not (root / "pwned").exists(), told
        assert "Traceback" not in said, told
        assert 0 <= done.returncode <= 5, told
