# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the package's page shows runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_there_are_programs() -> None:
    """Else none would be tested."""
    assert len(BLOCKS) >= 5


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_program_runs(number: int, tmp_path: Path) -> None:
    """Without an error or a warning, and prints what stands beside it."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCKS[number]],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    beside = re.findall(r"print\(.*\)  # (.*)", BLOCKS[number])
    assert done.stdout.splitlines() == beside
