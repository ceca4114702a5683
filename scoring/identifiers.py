"""Identifiers that are derived, so that doing a thing again gives the same one."""

import hashlib


def derived_id(*parts: str) -> str:
    """32 hexadecimal digits that depend on every part and on where one part ends.

    The first 128 bits of the SHA-256 of the parts, each preceded by its length in bytes.
    """
    pieces: list[bytes] = []
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        pieces += (len(raw).to_bytes(8, "big"), raw)
    return hashlib.sha256(b"".join(pieces)).hexdigest()[:32]
