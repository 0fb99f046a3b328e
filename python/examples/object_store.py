# SPDX-License-Identifier: MIT OR Apache-2.0
"""Fill an object of an S3 store, and verify it: by one HEAD request, or by its bytes.

    python object_store.py put s3://bucket/key --size 1GiB --endpoint-url http://127.0.0.1:5000
    python object_store.py head s3://bucket/key --size 1GiB --endpoint-url http://127.0.0.1:5000
    python object_store.py get s3://bucket/key --size 1GiB --endpoint-url http://127.0.0.1:5000

`put` takes ``--via``: ``parts`` (multipart, the checksum of each part known before it is sent),
``stream`` (boto3's upload_fileobj), ``s3fs`` or ``s3dlio``. Keys and region come from the
environment, as boto3 has them. Status 0: done, or right. 1: the object is not what it should be.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dgen_mpi import DataReader, DataSpec
from dgen_mpi.checksum import Checksum
from dgen_mpi.damage import Damage

PART = 8 << 20
"""The bytes of a part: at least 5 MiB in S3, and so many that there are at most 10000."""

THREADS = 4


def put_parts(s3: Any, bucket: str, key: str, spec: DataSpec, part_size: int = PART) -> None:
    """Send parts side by side, each with the checksum that it must have, and that of the whole.

    The store refuses a part that does not arrive as it was meant, and an object that is not put
    together as it was meant.
    """
    checksums = spec.checksums(part_size)
    place = {"Bucket": bucket, "Key": key}
    kind = {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "FULL_OBJECT"}
    upload = {**place, "UploadId": s3.create_multipart_upload(**place, **kind)["UploadId"]}

    def send(number: int, part: Checksum) -> dict[str, Any]:
        body = bytearray(part.length)
        spec.fill(body, part.offset)
        # Its bytes are not read for it: a body that is wrong by then does not pass.
        checksum = {"ChecksumCRC64NVME": part.base64}
        sent = s3.upload_part(**upload, PartNumber=number, Body=body, **checksum)
        return {"PartNumber": number, "ETag": sent["ETag"], **checksum}

    try:
        with ThreadPoolExecutor(THREADS) as pool:
            parts = list(pool.map(send, range(1, len(checksums.parts) + 1), checksums.parts))
        assert checksums.whole is not None
        s3.complete_multipart_upload(
            **upload,
            MultipartUpload={"Parts": parts},
            ChecksumType="FULL_OBJECT",
            ChecksumCRC64NVME=checksums.whole.base64,
            MpuObjectSize=spec.size,
        )
    except BaseException:
        s3.abort_multipart_upload(**upload)
        raise


def put_stream(s3: Any, bucket: str, key: str, spec: DataSpec, part_size: int = PART) -> None:
    """Have boto3 read the data set as a file and cut it to parts itself."""
    from boto3.s3.transfer import TransferConfig

    config = TransferConfig(multipart_chunksize=part_size, max_concurrency=THREADS)
    more = {"ChecksumAlgorithm": "CRC64NVME"}
    s3.upload_fileobj(DataReader(spec), bucket, key, ExtraArgs=more, Config=config)


def put_s3fs(endpoint: str | None, bucket: str, key: str, spec: DataSpec, part_size: int) -> None:
    """Copy the data set into a file of fsspec; the same for every store that it has."""
    import fsspec

    store = fsspec.filesystem("s3", endpoint_url=endpoint)
    with store.open(f"{bucket}/{key}", "wb", block_size=part_size) as file:
        shutil.copyfileobj(DataReader(spec), file, part_size)


def put_s3dlio(endpoint: str | None, bucket: str, key: str, spec: DataSpec, part_size: int) -> None:
    """Fill the buffers of s3dlio, one after the other."""
    import s3dlio

    if endpoint is not None:
        os.environ["AWS_ENDPOINT_URL"] = endpoint
    writer = s3dlio.MultipartUploadWriter.from_uri(f"s3://{bucket}/{key}", part_size=part_size)
    for start in range(0, spec.size, part_size):
        # Its own memory, that is sent from where it is.
        part = writer.reserve(min(part_size, spec.size - start))
        writer.commit(spec.fill(part, start))
    writer.close()


def wrong_by_head(s3: Any, bucket: str, key: str, spec: DataSpec) -> str | None:
    """Tell what is wrong with an object without reading it; None where nothing is.

    By the checksum of the whole object, as the store has it, or without one by the ETag, which is
    made of the MD5 of the parts. What the store says of an object is what it had when that was
    written: bytes that were lost since are found by reading them.
    """
    found = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    if found["ContentLength"] != spec.size:
        return f"{found['ContentLength']} bytes, not {spec.size}"
    for algorithm in ("crc64nvme", "crc32c", "crc32"):
        told = found.get(f"Checksum{algorithm.upper()}")
        # One of another type is that of the checksums of parts.
        if told is not None and "-" not in told:
            right = spec.checksum(algorithm).base64
            return None if told == right else f"{algorithm} {told}, not {right}"
    etag = found["ETag"].strip('"')
    right = etag_of(s3, bucket, key, spec, etag)
    return None if etag == right else f"ETag {etag}, not {right}"


def is_there(s3: Any, bucket: str, key: str) -> bool:
    """Tell whether there is an object of that name, which is not to be replaced."""
    found = s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents", [])
    return any(each["Key"] == key for each in found)


def etag_of(s3: Any, bucket: str, key: str, spec: DataSpec, etag: str) -> str:
    """Return the ETag that an object in as many parts should have."""
    if "-" not in etag:
        return spec.checksum("md5").hex
    part_size = s3.head_object(Bucket=bucket, Key=key, PartNumber=1)["ContentLength"]
    return spec.checksums(max(part_size, 1), "md5").composite or ""


def damage_by_ranges(
    s3: Any, bucket: str, key: str, spec: DataSpec, range_size: int = PART
) -> Iterator[Damage]:
    """Yield what is wrong with an object, range by range; what is missing is not among it."""
    length = min(spec.size, s3.head_object(Bucket=bucket, Key=key)["ContentLength"])

    def look(start: int) -> list[Damage]:
        stop = min(start + range_size, length)
        got = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{stop - 1}")
        return list(spec.compare(got["Body"].read(), start))

    with ThreadPoolExecutor(THREADS) as pool:
        for damage in pool.map(look, range(0, length, range_size)):
            yield from damage


def size_of(text: str) -> int:
    """Return the bytes of a size such as 64MiB."""
    units = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
    number = text.rstrip("KMGTiB")
    return int(number) * units[text[len(number) :]]


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("action", choices=("put", "head", "get", "remove"))
    parser.add_argument("uri", help="s3://BUCKET/KEY")
    parser.add_argument("--size", type=size_of, default=1 << 30)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--dedup-ratio", default="1")
    parser.add_argument("--compress-ratio", default="1")
    parser.add_argument("--part-size", type=size_of, default=PART)
    parser.add_argument("--via", choices=("parts", "stream", "s3fs", "s3dlio"), default="parts")
    parser.add_argument("--endpoint-url")
    options = parser.parse_args()
    bucket, _, key = options.uri.removeprefix("s3://").partition("/")
    spec = DataSpec(options.size, options.seed, options.dedup_ratio, options.compress_ratio)
    import boto3

    s3 = boto3.client("s3", endpoint_url=options.endpoint_url)
    start = time.perf_counter()
    if options.action == "put":
        if is_there(s3, bucket, key):
            print(f"{options.uri}: is there; it is left as it is", file=sys.stderr)
            return 2
        if options.via in ("parts", "stream"):
            put = put_parts if options.via == "parts" else put_stream
            put(s3, bucket, key, spec, options.part_size)
        else:
            put_other = put_s3fs if options.via == "s3fs" else put_s3dlio
            put_other(options.endpoint_url, bucket, key, spec, options.part_size)
        rate = spec.size / (time.perf_counter() - start)
        print(f"{options.uri}: {spec.size} bytes sent, {rate / 1e6:.0f} MB/s")
        return 0
    wrong = wrong_by_head(s3, bucket, key, spec)
    print(f"{options.uri}: {wrong or 'right, by what the store says of it'}")
    if options.action == "head":
        return 0 if wrong is None else 1
    if options.action == "remove":
        if wrong is None:
            s3.delete_object(Bucket=bucket, Key=key)
        return 0 if wrong is None else 1
    damaged = 0
    for damage in damage_by_ranges(s3, bucket, key, spec, options.part_size):
        damaged += 1
        print(f"{damage.bytes} bytes at {damage.offset}: {damage.kind}")
    rate = spec.size / (time.perf_counter() - start)
    print(f"{options.uri}: read, {rate / 1e6:.0f} MB/s, {damaged} damaged ranges found")
    return 0 if wrong is None and damaged == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
