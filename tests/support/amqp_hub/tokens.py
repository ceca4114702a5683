"""Tokens of `$cbs`: shared access signatures, and JWTs if the server was given a secret for them.

A signature is HMAC-SHA256, keyed with the policy's key, of the resource as it stands in the token,
a line feed and the expiry (Microsoft, "Authorizing access to Event Hubs resources using Shared
Access Signatures").
"""

import base64
import hashlib
import hmac
import time
from dataclasses import dataclass
from urllib.parse import unquote_plus, urlsplit

import jwt

SAS = "servicebus.windows.net:sastoken"
JWT = "jwt"
JWT_AUDIENCE = "https://eventhubs.azure.net/"


class TokenRefusedError(Exception):
    """The words of the refusal; a token never appears in them."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may come in: the policy's name and key, and the HS256 secret of JWTs, empty for none."""

    name: str
    key: str
    jwt_secret: str = ""

    def check(self, token: str, kind: str, hub: str) -> None:
        """Raises TokenRefusedError unless the token is good for a hub."""
        if kind == SAS:
            self._check_signature(token, hub)
        elif kind == JWT and self.jwt_secret:
            self._check_jwt(token)
        else:
            raise TokenRefusedError("InvalidToken: the type of the token is not supported.")

    def _check_signature(self, token: str, hub: str) -> None:
        parts = dict(
            p.split("=", 1) for p in token.removeprefix("SharedAccessSignature ").split("&")
        )
        if parts.keys() != {"sr", "sig", "se", "skn"} or not parts["se"].isdecimal():
            raise TokenRefusedError("MalformedToken: The token is malformed.")
        signed = f"{parts['sr']}\n{parts['se']}".encode()
        digest = hmac.new(self.key.encode(), signed, hashlib.sha256).digest()
        given = unquote_plus(parts["sig"]).encode()
        if unquote_plus(parts["skn"]) != self.name or not hmac.compare_digest(
            base64.b64encode(digest), given
        ):
            raise TokenRefusedError("InvalidSignature: The token has an invalid signature.")
        if int(parts["se"]) <= time.time():
            raise TokenRefusedError("ExpiredToken: The token is expired.")
        if hub_of(unquote_plus(parts["sr"])) not in ("", hub):
            raise TokenRefusedError("InvalidAudience: The token is for another resource.")

    def _check_jwt(self, token: str) -> None:
        try:
            jwt.decode(token, self.jwt_secret, algorithms=["HS256"], audience=JWT_AUDIENCE)
        except jwt.InvalidTokenError as error:
            raise TokenRefusedError(f"InvalidToken: {type(error).__name__}.") from None


def hub_of(resource: str) -> str:
    """The hub in `sb://host/hub/...`; empty for the namespace itself."""
    return urlsplit(resource).path.strip("/").partition("/")[0]
