# SPDX-License-Identifier: MIT OR Apache-2.0
"""Objects of S3: sent in several ways, verified by what the store says, and by their bytes."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import ROOT, missing, only_whole

from dgen_mpi import DataSpec
from dgen_mpi import checksum as checksums

EXAMPLE = Path(__file__).parents[1] / "examples/object_store.py"
MIB = 1 << 20
PART = 5 * MIB
SPEC = DataSpec(3 * PART + 12_345, seed=42, dedup_ratio=2, compress_ratio=1.5)


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """Return the example, as a module."""
    found = importlib.util.spec_from_file_location("object_store", EXAMPLE)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


class StoreError(Exception):
    """What the store refuses."""


class Store:
    """As much of boto3's client, and of a store behind it, as uploads in parts need."""

    def __init__(self) -> None:
        self.objects: dict[str, list[bytes]] = {}
        self._parts: dict[int, bytes] = {}
        self.is_open = False

    def create_multipart_upload(self, **_how: Any) -> dict[str, Any]:
        self._parts, self.is_open = {}, True
        return {"UploadId": "1"}

    def upload_part(
        self, PartNumber: int, Body: Any, ChecksumCRC64NVME: str, **_: Any
    ) -> dict[str, Any]:
        body = bytes(Body)
        if checksums.compute(body).base64 != ChecksumCRC64NVME:
            raise StoreError("BadDigest")
        self._parts[PartNumber] = body
        return {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}

    def complete_multipart_upload(
        self, Key: str, MultipartUpload: dict[str, Any], ChecksumCRC64NVME: str,
        MpuObjectSize: int, **_: Any,
    ) -> None:  # fmt: skip
        parts = [self._parts[part["PartNumber"]] for part in MultipartUpload["Parts"]]
        whole = b"".join(parts)
        if len(whole) != MpuObjectSize or checksums.compute(whole).base64 != ChecksumCRC64NVME:
            raise StoreError("BadDigest")
        self.objects[Key], self.is_open = parts, False

    def abort_multipart_upload(self, **_: Any) -> None:
        self.is_open = False

    def head_object(self, Key: str, PartNumber: int = 0, **_: Any) -> dict[str, Any]:
        parts = self.objects[Key]
        whole = b"".join(parts)
        digests = b"".join(hashlib.md5(part).digest() for part in parts)
        found = {
            "ContentLength": len(parts[PartNumber - 1] if PartNumber else whole),
            "ETag": f'"{hashlib.md5(digests).hexdigest()}-{len(parts)}"',
            "ChecksumCRC64NVME": checksums.compute(whole).base64,
        }
        if Key == "old":
            # As a store without checksums has it.
            del found["ChecksumCRC64NVME"]
        return found

    def get_object(self, Key: str, Range: str, **_: Any) -> dict[str, Any]:
        import io

        start, stop = (int(number) for number in Range.removeprefix("bytes=").split("-"))
        return {"Body": io.BytesIO(b"".join(self.objects[Key])[start : stop + 1])}


def parts_of(spec: DataSpec) -> list[bytes]:
    """Return the parts of a data set."""
    parts = []
    for start in range(0, spec.size, PART):
        part = bytearray(min(PART, spec.size - start))
        spec.fill(part, start)
        parts.append(bytes(part))
    return parts


def dropped(parts: list[bytes]) -> list[bytes]:
    """Leave a part out."""
    return parts[:1] + parts[2:]


def doubled(parts: list[bytes]) -> list[bytes]:
    """Send a part twice, in the place of the next one."""
    return [*parts[:2], parts[1], *parts[3:]]


def repeated(parts: list[bytes]) -> list[bytes]:
    """Send a part once more."""
    return [*parts[:2], *parts[1:]]


def swapped(parts: list[bytes]) -> list[bytes]:
    """Send two parts in the places of each other."""
    return [parts[1], parts[0], *parts[2:]]


def cut(parts: list[bytes]) -> list[bytes]:
    """Lose the end of the last part."""
    return [*parts[:-1], parts[-1][:-1]]


def zeroed(parts: list[bytes]) -> list[bytes]:
    """Lose a page."""
    return [*parts[:2], bytes(4096) + parts[2][4096:], *parts[3:]]


FAULTS = [dropped, doubled, repeated, swapped, cut, zeroed]


@pytest.mark.parametrize("key", ["new", "old"])
def test_what_is_sent_in_parts_is_right(example: ModuleType, key: str) -> None:
    """By its checksum, or the ETag of its parts; and its bytes."""
    store = Store()
    example.put_parts(store, "b", key, SPEC, PART)
    assert store.objects[key] == parts_of(SPEC)
    assert example.wrong_by_head(store, "b", key, SPEC) is None
    assert list(example.damage_by_ranges(store, "b", key, SPEC, 3 * MIB)) == []
    other = DataSpec(SPEC.size, seed=43, dedup_ratio=2, compress_ratio=1.5)
    assert example.wrong_by_head(store, "b", key, other) is not None


@pytest.mark.parametrize("key", ["new", "old"])
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found(
    example: ModuleType, key: str, fault: Callable[[list[bytes]], list[bytes]]
) -> None:
    """By HEAD alone, and by the bytes unless only their end is missing."""
    store = Store()
    store.objects[key] = fault(parts_of(SPEC))
    assert example.wrong_by_head(store, "b", key, SPEC) is not None
    found = list(example.damage_by_ranges(store, "b", key, SPEC, PART))
    kinds = {damage.kind for damage in found}
    expected = {cut: set(), zeroed: {"zeros"}}.get(fault, {"misplaced"})
    assert kinds >= expected
    assert bool(found) == (fault is not cut)


def test_the_store_refuses_what_did_not_arrive(example: ModuleType) -> None:
    """A part whose bytes changed on the way, and parts that are put together wrongly."""

    class Lossy(Store):
        def upload_part(self, Body: Any, **how: Any) -> dict[str, Any]:
            Body[-1] ^= 1
            return super().upload_part(Body=Body, **how)

    class Forgetful(Store):
        def complete_multipart_upload(self, MultipartUpload: Any, **how: Any) -> None:
            super().complete_multipart_upload(
                MultipartUpload={"Parts": MultipartUpload["Parts"][:-1]}, **how
            )

    for store in (Lossy(), Forgetful()):
        with pytest.raises(StoreError, match="BadDigest"):
            example.put_parts(store, "b", "k", SPEC, PART)
        assert not store.objects
        assert not store.is_open


# A real server

KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Start a server of S3, and return where it is."""
    for needed in ("moto", "boto3", "flask", "awscrt"):
        if importlib.util.find_spec(needed) is None:
            missing(f"{needed} is not installed")
    program = "from moto.server import ThreadedMotoServer as S; import sys\n"
    program += "s = S('127.0.0.1', 0, verbose=False); s.start()\n"
    program += "print(s.get_host_and_port()[1], flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, **KEYS},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            process.wait(30)


SEND_WRONGLY = """
import sys, boto3
sys.path[:0] = sys.argv[2:4]
import test_object_stores as t
s3 = boto3.client("s3", endpoint_url=sys.argv[1])
s3.create_bucket(Bucket="faults")
for fault in t.FAULTS:
    place = {"Bucket": "faults", "Key": fault.__name__}
    upload = {**place, "UploadId": s3.create_multipart_upload(
        **place, ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT")["UploadId"]}
    sent = [
        {"PartNumber": n, "ETag": s3.upload_part(
            **upload, PartNumber=n, Body=body, ChecksumAlgorithm="CRC64NVME")["ETag"]}
        for n, body in enumerate(fault(t.parts_of(t.SPEC)), 1)
    ]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": sent})
"""


def start(server: str, *words: str | Path, status: int = 0) -> str:
    """Run a program of Python with the store, and return what it says."""
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=300, cwd="/",
        env={**os.environ, **KEYS, "AWS_ENDPOINT_URL": server},
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def create_bucket(server: str, name: str) -> None:
    """Make a bucket."""
    start(server, "-c", f"import boto3; boto3.client('s3').create_bucket(Bucket='{name}')")


def options(server: str, spec: DataSpec = SPEC) -> list[str]:
    """Return the options of the example."""
    return [
        f"--size={spec.size}", f"--seed={spec.seed}", "--dedup-ratio=2", "--compress-ratio=1.5",
        f"--part-size={PART}", f"--endpoint-url={server}",
    ]  # fmt: skip


@only_whole
@pytest.mark.parametrize("via", ["parts", "stream", "s3fs", "s3dlio"])
def test_a_server_has_what_was_sent(via: str, server: str) -> None:
    """Its checksum is that which was known before; another data set has another one."""
    needed = {"parts": "boto3", "stream": "boto3"}.get(via, via)
    if importlib.util.find_spec(needed) is None:
        missing(f"{needed} is not installed")
    make = (
        f"import boto3; boto3.client('s3', endpoint_url='{server}').create_bucket(Bucket='{via}')"
    )
    start(server, "-c", make)
    uri = f"s3://{via}/folder/key"
    start(server, EXAMPLE, "put", uri, *options(server), f"--via={via}")
    said = start(server, EXAMPLE, "head", uri, *options(server))
    assert said == f"{uri}: right, by what the store says of it\n"
    said = start(server, EXAMPLE, "get", uri, *options(server))
    assert said.endswith(", 0 damaged ranges found\n")
    # What is there is not replaced.
    start(server, EXAMPLE, "put", uri, *options(server), f"--via={via}", status=2)
    other = DataSpec(SPEC.size, seed=43)
    said = start(server, EXAMPLE, "head", uri, *options(server, other), status=1)
    assert "not" in said


@only_whole
def test_a_server_cannot_hide_faults(server: str) -> None:
    """A part that was dropped, doubled, swapped or cut: by HEAD alone, and by reading."""
    start(server, "-c", SEND_WRONGLY, server, str(EXAMPLE.parent), str(Path(__file__).parent))
    for fault in FAULTS:
        uri = f"s3://faults/{fault.__name__}"
        said = start(server, EXAMPLE, "head", uri, *options(server), status=1)
        assert ", not " in said, said
        said = start(server, EXAMPLE, "get", uri, *options(server), status=1)
        assert ("misplaced" in said) == (fault not in (cut, zeroed)), said
        assert ("zeros" in said) == (fault is zeroed), said


@only_whole
def test_the_recipe_runs(server: str, tmp_path: Path) -> None:
    """Objects of several sizes; each is removed, and one that is not what it should be stays."""
    create_bucket(server, "recipe")
    recipe = ROOT / "jobs/objects.s3.sh"
    words = ["bash", str(recipe), "recipe", server, "1MiB", "12MiB"]
    environment = {**os.environ, **KEYS, "PYTHON": sys.executable}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, capture_output=True, text=True, timeout=300, env=environment, cwd=tmp_path
        )

    for _ in range(2):
        done = run()
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("0 damaged ranges found") == 2
    start(server, EXAMPLE, "put", "s3://recipe/dgen-42-12MiB", *options(server))
    done = run()
    assert done.returncode == 3
    assert "is there; it is left as it is" in done.stderr
    start(server, EXAMPLE, "head", "s3://recipe/dgen-42-12MiB", *options(server))
