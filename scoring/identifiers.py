"""Identifiers that are derived, so that doing a thing again gives the same one."""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import repeat


def derived_id(*parts: str) -> str:
    """32 hexadecimal digits that depend on every part and on where one part ends.

    The first 128 bits of the SHA-256 of the parts, each preceded by its length in bytes.
    """
    return hashlib.sha256(b"".join(map(_piece, parts))).hexdigest()[:32]


def derived_ids(*parts: str | Sequence[str]) -> list[str]:
    """What `derived_id` gives for each row of parts; a text is the part of all rows.

    At least one part is a sequence; all have the same length.
    """
    columns = [_same(part) if isinstance(part, str) else _column(part) for part in parts]
    sha256, join = hashlib.sha256, b"".join
    return [sha256(join(row)).hexdigest()[:32] for row in zip(*columns, strict=False)]


def batch_entry_ids(run_id: str, file: str, digest: str, rows: Iterable[int]) -> list[str]:
    """The entry ids of rows of one file of a run, by their numbers in the file; `digest` is that of
    the bundle that scores.
    """
    return derived_ids("batch", run_id, file, [str(row) for row in rows], digest)


def _column(parts: Sequence[str]) -> Iterable[bytes]:
    if parts and parts.count(parts[0]) == len(parts):
        return repeat(_piece(parts[0]), len(parts))
    return map(_piece, parts)


def _same(part: str) -> Iterable[bytes]:
    return repeat(_piece(part))


def _piece(part: str) -> bytes:
    raw = part.encode("utf-8", "surrogatepass")
    return len(raw).to_bytes(8, "big") + raw
