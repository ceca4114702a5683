"""From a request's headers to the one credential it carries."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from online_api.access.refusals import Refused

MAX_BYTES: Final = 16_384
"""Longer credentials are not looked at."""

_VISIBLE: Final = re.compile(rb"[\x21-\x7e]+")
_BEARER: Final = re.compile(rb"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
"""RFC 6750, section 2.1; RFC 9110 makes the scheme case-insensitive."""


@dataclass(frozen=True, slots=True)
class Credential:
    """An API key, or a token: three parts with dots between them (RFC 7515, section 7.1)."""

    secret: bytes = field(repr=False)
    is_token: bool


def credential_in(headers: Sequence[tuple[bytes, bytes]]) -> Credential:
    """The credential among ASGI headers, whose names are lower-case. Raises Refused.

    Two are refused even when one is good: parts of the system might each believe another one.
    """
    found = [item for item in headers if item[0] in (b"x-api-key", b"authorization")]
    if not found:
        raise Refused("no_credentials")
    if len(found) > 1:
        raise Refused("several_credentials")
    name, value = found[0]
    value = value.strip(b" \t")
    match = (_VISIBLE if name == b"x-api-key" else _BEARER).fullmatch(value)
    if match is None or len(value) > MAX_BYTES:
        raise Refused("malformed_credentials")
    if name == b"x-api-key":
        return Credential(value, is_token=False)
    return Credential(match[1], is_token=match[1].count(b".") == 2)
