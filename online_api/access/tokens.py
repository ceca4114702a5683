"""Bearer tokens of Entra ID: JSON Web Tokens (RFC 7519), checked as RFC 8725 asks.

The only door to PyJWT.
"""

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import jwt

from online_api.access.caller import NAME, ROLES, Caller
from online_api.access.issuer import Issuer
from online_api.access.key_set import SigningKey
from online_api.access.refusals import Reason, Refused
from online_api.access.signing_keys import SigningKeys

ALGORITHM: Final = "RS256"
"""The only one; what a token's header names is compared with it and never obeyed."""

LEEWAY_SECONDS: Final = 60
"""How far the clocks of issuer and server may be apart."""

MAX_REMEMBERED: Final = 4_096
"""Verified tokens that are remembered; beyond, the oldest is verified again."""

_REASONS: Final[tuple[tuple[type[Exception], Reason], ...]] = (
    (jwt.InvalidAlgorithmError, "wrong_algorithm"),
    (jwt.InvalidSignatureError, "wrong_signature"),
    (jwt.MissingRequiredClaimError, "missing_claim"),
    (jwt.InvalidIssuerError, "wrong_issuer"),
    (jwt.InvalidAudienceError, "wrong_audience"),
    (jwt.PyJWTError, "malformed_token"),
)
_NAME: Final = re.compile(NAME)
_NAME_CLAIMS: Final = ("azp", "appid", "oid", "sub")


@dataclass(frozen=True, slots=True)
class _Verified:
    caller: Caller
    key: SigningKey
    until: float


class TokenVerifier:
    """Says whose token it is; remembers the answer, by the token's hash, until the token expires.

    A remembered token is given up earlier when its signing key is no longer published. Nothing else
    revokes a token before it expires, remembered or not: its claims are what is asked.
    """

    def __init__(
        self,
        issuer: Issuer,
        keys: SigningKeys,
        now: Callable[[], datetime],
        max_remembered: int = MAX_REMEMBERED,
    ) -> None:
        self._issuer = issuer
        self._keys = keys
        self._now = now
        self._max_remembered = max_remembered
        self._remembered: dict[bytes, _Verified] = {}
        # PyJWT reads the clock itself; times are compared here with the clock that was given.
        self._decoder = jwt.PyJWT(
            {
                "require": ["exp", "nbf", "iss", "aud"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            }
        )

    @property
    def remembered(self) -> int:
        """How many tokens are remembered."""
        return len(self._remembered)

    async def caller(self, token: bytes) -> Caller:
        """The caller that the token names, perhaps without roles. Raises Refused.

        May wait for signing keys; raises ServiceUnavailable when they cannot be had.
        """
        now = self._now().timestamp()
        digest = hashlib.sha256(token).digest()
        known = self._remembered.get(digest)
        if known is not None:
            if now < known.until and await self._keys.find(known.key.kid) == known.key:
                return known.caller
            self._remembered.pop(digest, None)
        verified = await self._verified(token, now)
        if len(self._remembered) >= self._max_remembered:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[digest] = verified
        return verified.caller

    async def _verified(self, token: bytes, now: float) -> _Verified:
        kid = _kid(token)
        key = await self._keys.find(kid)
        if key is None:
            raise Refused("unknown_signing_key")
        try:
            claims = self._decoder.decode(
                token,
                key.public,
                [ALGORITHM],
                audience=self._issuer.audience,
                issuer=self._issuer.issuer,
            )
        except jwt.PyJWTError as error:
            raise Refused(_reason(error)) from None
        if now < _moment(claims["nbf"]) - LEEWAY_SECONDS:
            raise Refused("not_yet_valid")
        until = _moment(claims["exp"]) + LEEWAY_SECONDS
        if now >= until:
            raise Refused("expired")
        return _Verified(Caller(_name(claims), _roles(claims)), key, until)


def _kid(token: bytes) -> str:
    """Which key the token says it is signed with. Raises Refused, before any key is looked for."""
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise Refused("malformed_token") from None
    if header.get("alg") != ALGORITHM:
        raise Refused("wrong_algorithm")
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise Refused("unknown_signing_key")
    return kid


def _reason(error: Exception) -> Reason:
    return next(reason for kind, reason in _REASONS if isinstance(error, kind))


def _moment(value: Any) -> float:
    """Seconds since 1970. Raises Refused when the claim is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Refused("malformed_token")
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused("malformed_token")
    return value


def _roles(claims: Mapping[str, Any]) -> frozenset[str]:
    """The app roles that are ours."""
    roles = claims.get("roles")
    if not isinstance(roles, list):
        return frozenset()
    return ROLES & {role for role in roles if isinstance(role, str)}


def _name(claims: Mapping[str, Any]) -> str:
    """The application, or else who it acts for; ids, never names of people."""
    for claim in _NAME_CLAIMS:
        value = claims.get(claim)
        if isinstance(value, str) and _NAME.fullmatch(value):
            return value
    return "unnamed"
