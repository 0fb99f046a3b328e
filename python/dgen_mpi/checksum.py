# SPDX-License-Identifier: MIT OR Apache-2.0
"""Checksums as object stores have them: of data sets, of buffers, and joined from those of parts.

What a data set has is computed by `DataSpec.checksum` and `DataSpec.checksums`, without its bytes
being read from anywhere.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex

from dgen_mpi import _native
from dgen_mpi._arguments import refusal, size_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dgen_mpi._arguments import BufferLike

ALGORITHM = "crc64nvme"
"""What S3 takes by default."""

ALGORITHMS = ("crc64nvme", "crc32c", "crc32", "md5", "sha256")
"""All that are known, by the names that S3 has for them."""


class Checksum(NamedTuple):
    """The checksum of a range of a data set, or of bytes that stand for one.

    Attributes
    ----------
    algorithm
        One of `ALGORITHMS`.
    offset, length
        What it is of, in bytes.
    digest
        As it is written: the most significant byte first.
    """

    algorithm: str
    offset: int
    length: int
    digest: bytes

    @property
    def hex(self) -> str:
        """Digits of 16: for ``md5`` what S3 has for an ETag."""
        return self.digest.hex()

    @property
    def base64(self) -> str:
        """What S3 has for ``ChecksumCRC64NVME`` and the like, and HTTP for ``Content-MD5``."""
        return base64.b64encode(self.digest).decode("ascii")

    def __int__(self) -> int:
        """Return it as a number, as ``zlib.crc32`` does."""
        return int.from_bytes(self.digest, "big")


class PartChecksums(NamedTuple):
    """The checksums of all parts of a range, in its order.

    Attributes
    ----------
    algorithm
        One of `ALGORITHMS`.
    part_size
        The bytes of each part but the last.
    parts
        Those of the parts.
    whole
        That of all parts together where it can be joined from them, at no cost; None for ``md5``
        and ``sha256``, see `DataSpec.checksum`. S3 calls it that of the full object.
    """

    algorithm: str
    part_size: int
    parts: tuple[Checksum, ...]
    whole: Checksum | None

    @property
    def composite(self) -> str | None:
        """What S3 has for an object that was uploaded in these parts: the checksum of all digests.

        Of ``md5`` the ETag, without quotes, in digits of 16, otherwise in base64; and a hyphen and
        the number of parts. None for ``crc64nvme``, of which S3 knows none.
        """
        if self.algorithm == "crc64nvme":
            return None
        joined = _native.checksum(b"".join(part.digest for part in self.parts), self.algorithm)
        all_parts = Checksum(self.algorithm, 0, 0, joined)
        text = all_parts.hex if self.algorithm == "md5" else all_parts.base64
        return f"{text}-{len(self.parts)}"

    @classmethod
    def of(
        cls, algorithm: str, offset: int, length: int, part_size: int, digests: Sequence[bytes]
    ) -> PartChecksums:
        """Return those of parts whose digests are known, in a row from an offset on."""
        parts = tuple(
            Checksum(
                algorithm,
                offset + part_size * number,
                min(part_size, length - part_size * number),
                digest,
            )
            for number, digest in enumerate(digests)
        )
        whole = combine(parts) if algorithm.startswith("crc") else None
        return cls(algorithm, part_size, parts, whole)


def compute(buffer: BufferLike, algorithm: str = ALGORITHM, offset: SupportsIndex = 0) -> Checksum:
    """Return the checksum of the bytes of a buffer, which lie at an offset of something larger.

    Other Python threads run meanwhile. One thread, at the speeds that `DataSpec.checksum` tells.

    Parameters
    ----------
    buffer
        Memory in one piece (C order), of any type.
    algorithm
        One of `ALGORITHMS`.
    offset
        What `combine` then wants checksums to follow each other by.

    Raises
    ------
    UnsuitableBufferError
        For memory that is not in one piece.
    TypeError
        For what is no buffer.
    ValueError
        For an algorithm that is not known.
    """
    start = size_of(offset, "offset")
    digest = _native.checksum(buffer, algorithm)
    memory: Any = buffer
    return Checksum(algorithm, start, memoryview(memory).nbytes, digest)


def combine(checksums: Iterable[Checksum]) -> Checksum:
    """Return the checksum of what several are of, that follow each other without a gap.

    They are joined in their order, each in time O(log bytes) and whatever has computed them: ranks
    that have a part of the data each need to exchange nothing but these.

    Raises
    ------
    ValueError
        For none at all, for ``md5`` and ``sha256``, which cannot be joined, for several algorithms,
        for a digest of another length, and where one does not begin where the one before it ends.
    TypeError
        For what is no `Checksum`.
    OverflowError
        Where one that follows another is of 2**63 bytes and more.

    Examples
    --------
    >>> first, second = compute(b"12345", "crc32"), compute(b"6789", "crc32", offset=5)
    >>> combine([first, second]).hex
    'cbf43926'
    """
    parts = iter(checksums)
    first = next(parts, None)
    if first is None:
        raise ValueError("checksums: none to join; give one at least")
    _require_joinable(first)
    # Joined with nothing, so that its digest is looked at too.
    whole = _joined(first, compute(b"", first.algorithm))
    for part in parts:
        _require_joinable(part)
        if part.algorithm != whole.algorithm:
            raise refusal("algorithm", part.algorithm, f"{whole.algorithm}, as the others have")
        end = whole.offset + whole.length
        if part.offset != end:
            raise refusal("offset", part.offset, f"{end}, where the one before it ends")
        whole = _joined(whole, part)
    return whole


def _require_joinable(part: Checksum) -> None:
    if not isinstance(part, Checksum):
        raise TypeError(str(refusal("checksums", part, "a list of those that `compute` returns")))
    if part.algorithm not in ALGORITHMS or not part.algorithm.startswith("crc"):
        raise refusal(
            "algorithm", part.algorithm, "crc64nvme, crc32c, crc32; others are not joined"
        )


def _joined(one: Checksum, other: Checksum) -> Checksum:
    length = size_of(other.length, "length")
    digest = _native.combine_checksums(one.algorithm, one.digest, other.digest, length)
    return Checksum(one.algorithm, one.offset, one.length + length, digest)
