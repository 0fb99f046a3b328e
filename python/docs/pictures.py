# SPDX-License-Identifier: MIT OR Apache-2.0
"""Draw the pictures of the documents as SVG, each beside the pages that show it.

``python python/docs/pictures.py`` writes them anew. A test compares, so no picture is changed by
hand. The chart beside IOR is drawn from the table in ``python/benchmarks/README.md``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[2]
GUIDES = ROOT / "Sources" / "DGen" / "DGen.docc"
MEASUREMENTS = ROOT / "python" / "benchmarks"

# Text on a colour is dark in both modes, so colours are light.
COLOURS = ("#9cc3f5", "#f6c98a", "#9fdcb8", "#cbb6f3")
GREY, STRONG = "#c9d1d9", "#3d6fb4"
STYLE = """
text { font: 13px "DejaVu Sans", Verdana, sans-serif; fill: #1f2328 }
.title { font-weight: bold }
.code { font-family: "DejaVu Sans Mono", Menlo, monospace; font-size: 12px }
.small { font-size: 11px }
.on { fill: #10141a }
.light { fill: #ffffff }
.ground { fill: #ffffff; stroke: #d0d7de }
.line { stroke: #57606a; fill: none; stroke-width: 1.5 }
.thin { stroke: #8c959f; fill: none; stroke-dasharray: 4 3 }
.head { fill: #57606a }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .ground { fill: #161b22; stroke: #30363d }
  .line { stroke: #9ea7b3 }
  .head { fill: #9ea7b3 }
}
"""


class Picture:
    """An SVG that grows shape by shape; lengths are in pixels, from the upper left corner."""

    def __init__(self, width: int, height: int, description: str) -> None:
        self._size = width, height
        self._description = description
        self._shapes: list[str] = []

    def box(
        self, x: float, y: float, width: float, height: float, colour: str, text: str = ""
    ) -> None:
        """Add a box with a text in its middle."""
        self._shapes.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="3" '
            f'fill="{colour}" stroke="#57606a" stroke-width="0.7"/>'
        )
        if text:
            kind = "light" if colour == STRONG else "on"
            self.text(x + width / 2, y + height / 2 + 4, text, kind, "middle")

    def text(self, x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> None:
        """Add a line of text; `y` is its base line."""
        self._shapes.append(
            f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
        )

    def line(self, points: Iterable[tuple[float, float]], kind: str = "line") -> None:
        """Add a line through points."""
        through = " ".join(f"{x:g},{y:g}" for x, y in points)
        self._shapes.append(f'<polyline points="{through}" class="{kind}"/>')

    def arrow(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Add a straight line with a head at its end."""
        (x, y), (dx, dy) = end, (end[0] - start[0], end[1] - start[1])
        length = (dx * dx + dy * dy) ** 0.5
        dx, dy = dx / length, dy / length
        base = x - 8 * dx, y - 8 * dy
        self.line([start, base])
        corners = [
            (x, y),
            (base[0] - 4 * dy, base[1] + 4 * dx),
            (base[0] + 4 * dy, base[1] - 4 * dx),
        ]
        through = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        self._shapes.append(f'<polygon points="{through}" class="head"/>')

    def span(self, left: float, right: float, y: float, text: str) -> None:
        """Add a horizontal bracket with a text above it."""
        self.line([(left, y + 6), (left, y), (right, y), (right, y + 6)])
        self.text((left + right) / 2, y - 5, text, "code", "middle")

    def svg(self) -> str:
        """Return the file."""
        width, height = self._size
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
                f'viewBox="0 0 {width} {height}" role="img">',
                f"<title>{escape(self._description)}</title>",
                f"<style>{STYLE}</style>",
                f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="6" '
                'class="ground"/>',
                *self._shapes,
                "</svg>\n",
            ]
        )


def blocks() -> Picture:
    """Draw which blocks repeat, and which part of a grain compresses."""
    picture = Picture(720, 322, "A data set, its blocks and their grains")
    picture.text(20, 28, "Data set", "title")
    picture.text(92, 28, "--size 8MiB --dedup-ratio 2 --compress-ratio 1.5", "code")
    for number in range(8):
        content = number % 4
        picture.box(20 + 85 * number, 40, 82, 34, COLOURS[content], f"{'ABCD'[content]}")
        picture.text(61 + 85 * number, 90, f"block {number}", "small", "middle")
    picture.line([(20, 95), (20, 148)], "thin")
    picture.line([(102, 95), (700, 148)], "thin")
    picture.text(28, 142, "One block, cut into grains", "title")
    for grain in range(4):
        left = 20 + 170 * grain
        picture.box(left, 150, 113, 40, COLOURS[0], "random bytes")
        picture.box(left + 113, 150, 54, 40, GREY, "repeats")
    picture.line([(20, 192), (20, 232)], "thin")
    picture.line([(187, 192), (700, 232)], "thin")
    picture.text(28, 226, "One grain of 1 KiB", "title")
    picture.box(20, 236, 452, 36, COLOURS[0], "random: no compressor makes it smaller")
    picture.box(472, 236, 228, 36, GREY, "compresses to almost nothing")
    picture.text(
        20,
        292,
        "Dedup ratio 2: one block in two has contents of its own; block 4 repeats block 0.",
        "small",
    )
    picture.text(
        20,
        310,
        "Compress ratio 1.5: grain / (random part + a few bytes that describe the rest).",
        "small",
    )
    return picture


def layouts() -> Picture:
    """Draw how three ranks share a file."""
    picture = Picture(720, 372, "Shards, segments, strides and a file for each rank, for 3 ranks")
    for rank in range(3):
        picture.box(20 + 110 * rank, 16, 16, 16, COLOURS[rank])
        picture.text(42 + 110 * rank, 29, f"rank {rank}")
    picture.text(360, 29, "One box is one transfer, written in one call.", "small")
    rows: list[tuple[str, str, Sequence[int]]] = [
        ("(default)", "one shard for each rank", [0] * 4 + [1] * 4 + [2] * 4),
        ("--segments 2", "two segments, each dealt to all ranks", [0, 0, 1, 1, 2, 2] * 2),
        ("--strided", "the ranks take turns", [0, 1, 2] * 4),
    ]
    for row, (option, meaning, ranks) in enumerate(rows):
        top = 66 + 74 * row
        picture.text(20, top, option, "code")
        picture.text(140, top, meaning)
        for place, rank in enumerate(ranks):
            picture.box(20 + 56 * place, top + 8, 54, 30, COLOURS[rank], str(rank))
    top = 66 + 74 * 3
    picture.text(20, top, "--layout per-rank", "code")
    picture.text(170, top, "a file for each rank; joined, they are the file above")
    for rank in range(3):
        for place in range(4):
            picture.box(20 + 232 * rank + 52 * place, top + 8, 50, 30, COLOURS[rank], str(rank))
        picture.text(20 + 232 * rank, top + 56, f"FILE.0000000{rank}", "code")
    picture.text(20, 362, "The bytes are the same in all four.", "small")
    return picture


def read_order() -> Picture:
    """Draw who reads what, with two nodes of two ranks."""
    picture = Picture(720, 300, "Who reads what with --read-order, on two nodes of two ranks")
    panels = [
        ("--read-order shift", "what the next node wrote", [2, 3, 0, 1]),
        ("--read-order shuffle", "dealt at random, for example", [1, 3, 0, 2]),
        ("--read-order same", "what the rank itself wrote", [0, 1, 2, 3]),
    ]
    for number, (option, meaning, read) in enumerate(panels):
        left = 20 + 234 * number
        picture.text(left, 28, option, "code")
        picture.text(left, 48, meaning, "small")
        for shard in range(4):
            x = left + 52 * shard
            picture.box(x, 86, 48, 34, COLOURS[shard // 2], str(shard))
            picture.box(x, 206, 48, 34, COLOURS[shard // 2], f"rank {shard}")
        for reader, shard in enumerate(read):
            picture.arrow((left + 24 + 52 * shard, 122), (left + 24 + 52 * reader, 205))
        picture.text(left, 78, "file: who wrote each shard", "small")
        picture.text(left, 258, "node A", "small")
        picture.text(left + 104, 258, "node B", "small")
        own = sum(shard // 2 == reader // 2 for reader, shard in enumerate(read))
        picture.text(left, 282, f"readers_on_own_node: {own}", "code")
    return picture


def clock() -> Picture:
    """Draw what the time of an operation contains."""
    picture = Picture(720, 318, "What the clock contains: a write by two ranks")
    picture.span(168, 222, 44, "")
    picture.span(238, 452, 44, "")
    picture.span(468, 552, 44, "")
    picture.span(568, 612, 44, "")
    picture.text(390, 26, "seconds = the four stages together", "code", "middle")
    steps: list[list[tuple[float, float, str, str]]] = [
        [
            (64, 90, COLOURS[2], "fill"),
            (168, 40, COLOURS[0], "open"),
            (238, 190, STRONG, "transfers"),
            (468, 84, COLOURS[1], "sync"),
            (568, 40, COLOURS[0], "close"),
            (628, 78, GREY, "proof"),
        ],
        [
            (64, 80, COLOURS[2], "fill"),
            (174, 48, COLOURS[0], "open"),
            (238, 214, STRONG, "transfers"),
            (468, 70, COLOURS[1], "sync"),
            (568, 44, COLOURS[0], "close"),
            (628, 72, GREY, "proof"),
        ],
    ]
    for rank, of_rank in enumerate(steps):
        top = 66 + 84 * rank
        picture.text(14, top + 20, f"rank {rank}", "small")
        for left, width, colour, text in of_rank:
            picture.box(left, top, width, 30, colour, text)
        width = of_rank[2][1] - 24
        picture.box(238, top + 34, width, 24, COLOURS[2], "generate (beside it)")
    for left, right in ((222, 238), (452, 468), (552, 568)):
        picture.line([((left + right) / 2, 58), ((left + right) / 2, 224)], "thin")
    picture.text(
        20,
        250,
        "Dashed: ranks agree on how to go on. That is between two stages, and not counted.",
        "small",
    )
    picture.text(
        20,
        270,
        "fill: buffers are filled before the file is opened. In generate_seconds, not in seconds.",
        "small",
    )
    picture.text(
        20,
        290,
        "proof: what a collective write stored is read back. In proof_seconds, not in seconds.",
        "small",
    )
    picture.text(
        20,
        310,
        "A stage lasts from the first rank that begins it to the last rank that ends it.",
        "small",
    )
    return picture


def modules() -> Picture:
    """Draw which part may use which."""
    picture = Picture(720, 500, "Modules, and which of them use which")
    picture.text(20, 28, "DGen: the program's library, folder by folder", "title")
    chain = ["Commands", "Report", "Verification", "Transfers", "Storage"]
    for place, name in enumerate(chain):
        left = 20 + 138 * place
        picture.box(left, 42, 118, 36, COLOURS[0], name)
        if place:
            picture.arrow((left - 20, 60), (left - 1, 60))
    for left, name in ((434, "Patterns"), (572, "Run")):
        picture.box(left, 112, 118, 36, COLOURS[0], name)
    picture.arrow((620, 79), (510, 111))
    picture.arrow((631, 79), (631, 111))
    picture.text(
        20, 134, "A folder uses those to its right and below it. All of them use Options.", "small"
    )
    picture.line([(20, 162), (700, 162)], "thin")
    picture.box(20, 196, 190, 40, COLOURS[3], "dgen-mpi (executable)")
    picture.box(230, 196, 110, 40, COLOURS[0], "DGen")
    picture.box(360, 196, 100, 40, COLOURS[1], "Files")
    picture.box(480, 196, 220, 40, COLOURS[0], "DGenPython (extension)")
    picture.box(230, 276, 110, 40, COLOURS[1], "MPI")
    picture.box(360, 276, 110, 40, COLOURS[1], "Options")
    picture.box(490, 276, 110, 40, COLOURS[1], "NUMA")
    picture.box(360, 346, 110, 40, COLOURS[2], "DataGen")
    picture.box(480, 346, 220, 40, COLOURS[2], "XoshiroX86V3, XoshiroX86V4")
    picture.box(480, 406, 220, 40, COLOURS[2], "Xoshiro")
    picture.box(90, 276, 110, 40, GREY, "CMPI")
    picture.box(90, 406, 110, 40, GREY, "CVector")
    picture.arrow((210, 216), (229, 216))
    picture.arrow((340, 216), (359, 216))
    picture.arrow((480, 216), (461, 216))
    picture.arrow((410, 236), (412, 275))
    picture.arrow((285, 236), (285, 275))
    picture.arrow((320, 236), (390, 275))
    picture.arrow((338, 236), (520, 275))
    picture.arrow((520, 236), (440, 275))
    picture.arrow((570, 236), (560, 275))
    picture.arrow((415, 316), (415, 345))
    picture.arrow((470, 366), (479, 366))
    picture.arrow((590, 386), (590, 405))
    picture.arrow((479, 426), (201, 426))
    picture.arrow((229, 296), (201, 296))
    picture.text(
        20,
        470,
        "Each C module is used by one Swift module: CMPI by MPI, CNUMA by NUMA, CPython by",
        "small",
    )
    picture.text(20, 486, "DGenPython, CStart by DGen, CVector by Xoshiro.", "small")
    return picture


Row = tuple[str, int, str, list[tuple[int, int]]]
"""Access, ranks, transfer, and of each phase what dgen-mpi and IOR reached in MiB/s."""


def measured() -> list[Row]:
    """Return the rows of the table of files."""
    text = (MEASUREMENTS / "README.md").read_text(encoding="utf-8")
    rows = []
    for line in re.findall(r"^\| (\S+) \| (\d+) \| (\d+ [KM]iB) \| (.*) \|$", text, re.MULTILINE):
        rates = [
            (int(ours), int(theirs)) for ours, theirs in re.findall(r"(\d+) \((\d+)\):", line[3])
        ]
        rows.append((line[0], int(line[1]), line[2], rates))
    return rows


def beside_ior() -> Picture:
    """Draw independent MPI-IO in transfers of 1 MiB."""
    picture = Picture(720, 330, "Writing, reading and verifying a file in memory, beside IOR")
    rows = [row for row in measured() if row[0] == "MPI-IO" and row[2] == "1 MiB"]
    top, bottom, most = 56, 262, 7000
    picture.text(20, 28, "MiB/s, higher is better", "title")
    picture.box(470, 16, 16, 16, STRONG)
    picture.text(492, 29, "dgen-mpi")
    picture.box(590, 16, 16, 16, GREY)
    picture.text(612, 29, "IOR")
    for rate in range(0, most, 2000):
        y = bottom - (bottom - top) * rate / most
        picture.line([(56, y), (704, y)], "thin")
        picture.text(50, y + 4, str(rate), "small", "end")
    for phase, name in enumerate(("write", "read", "verify")):
        for place, (_, ranks, _, rates) in enumerate(rows):
            left = 66 + 218 * phase + 70 * place
            for bar, rate in enumerate(rates[phase]):
                height = (bottom - top) * rate / most
                x = left + 31 * bar
                picture.box(x, bottom - height, 29, height, (STRONG, GREY)[bar])
                picture.text(x + 14.5, bottom - height - 4, str(rate), "small", "middle")
            label = f"{ranks} rank" + ("s" if ranks > 1 else "")
            picture.text(left + 30, bottom + 17, label, "small", "middle")
        picture.text(66 + 218 * phase + 100, bottom + 38, name, "title", "middle")
    picture.text(
        20,
        320,
        "MPI-IO, transfers of 1 MiB, 256 MiB in tmpfs, median of 36; IOR's verify is its -R.",
        "small",
    )
    return picture


PICTURES: dict[Path, Callable[[], Picture]] = {
    GUIDES / "blocks.svg": blocks,
    GUIDES / "layouts.svg": layouts,
    GUIDES / "read-order.svg": read_order,
    GUIDES / "clock.svg": clock,
    GUIDES / "modules.svg": modules,
    MEASUREMENTS / "ior.svg": beside_ior,
}
"""Each file, and what draws it."""


def main() -> None:
    """Write all pictures."""
    for path, draw in PICTURES.items():
        path.write_text(draw().svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
