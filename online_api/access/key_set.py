"""The signing keys that an identity provider publishes: a JSON Web Key Set (RFC 7517)."""

import base64
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from online_api.access.issuer import is_loopback_url
from scoring.errors import ServiceUnavailable

MAX_BYTES: Final = 262_144
"""Entra ID's set has some tens of thousands."""

TIMEOUT_SECONDS: Final = 5.0
MIN_BITS: Final = 2048
MAX_BITS: Final = 8192


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An RSA key; equal to another when kid and numbers are."""

    kid: str
    numbers: tuple[int, int]
    public: RSAPublicKey = field(compare=False)


class _Key(msgspec.Struct, frozen=True):
    kty: str
    kid: str
    n: str
    e: str
    use: str = "sig"
    alg: str = "RS256"


class _KeySet(msgspec.Struct, frozen=True):
    keys: list[msgspec.Raw]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Keys come from the address that was configured and from nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        """A redirect is an answer like any other that is not 200."""


def fetch_key_set(
    url: str,
    timeout_seconds: float = TIMEOUT_SECONDS,
    timer: Callable[[], float] = time.monotonic,
) -> Mapping[str, SigningKey]:
    """The usable keys by kid. Blocks; `timeout_seconds` bounds every wait, and the body as a whole.

    Follows no redirect and reads no more than 256 KiB. Uses the proxy that the environment names,
    but not for this machine. Raises ServiceUnavailable.
    """
    direct = [urllib.request.ProxyHandler({})] if is_loopback_url(url) else []
    opener = urllib.request.build_opener(_NoRedirects, *direct)
    deadline = timer() + timeout_seconds
    body = bytearray()
    try:
        with opener.open(url, timeout=timeout_seconds) as answer:
            while part := answer.read1(65_536):
                body += part
                if len(body) > MAX_BYTES:
                    raise ServiceUnavailable(f"the key set is larger than {MAX_BYTES} bytes")
                if timer() > deadline:
                    raise ServiceUnavailable("the identity provider is too slow")
    except urllib.error.HTTPError as error:
        error.close()
        raise ServiceUnavailable(f"the identity provider answered {error.code}") from None
    except (OSError, http.client.HTTPException) as error:
        raise ServiceUnavailable(
            f"the identity provider does not answer: {type(error).__name__}"
        ) from error
    return parse_key_set(bytes(body))


def parse_key_set(body: bytes) -> Mapping[str, SigningKey]:
    """The keys that can verify RS256, by kid; others in the set are passed over.

    Raises ServiceUnavailable when there is none.
    """
    try:
        published = msgspec.json.decode(body, type=_KeySet).keys
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ServiceUnavailable("the identity provider answered something else") from None
    usable = [key for raw in published if (key := _usable(raw)) is not None]
    if not usable:
        raise ServiceUnavailable("the identity provider's key set has no RSA signing key")
    return {key.kid: key for key in usable}


def _usable(raw: msgspec.Raw) -> SigningKey | None:
    try:
        key = msgspec.json.decode(raw, type=_Key)
        if (key.kty, key.use, key.alg) != ("RSA", "sig", "RS256"):
            return None
        exponent, modulus = _number(key.e), _number(key.n)
        if not MIN_BITS <= modulus.bit_length() <= MAX_BITS:
            return None
        public = RSAPublicNumbers(exponent, modulus).public_key()
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        return None
    return SigningKey(key.kid, (exponent, modulus), public)


def _number(text: str) -> int:
    padded = text + "=" * (-len(text) % 4)
    return int.from_bytes(base64.b64decode(padded, altchars=b"-_", validate=True))
