"""An identity provider on 127.0.0.1: it publishes signing keys, and signs whatever it is asked to.

A token's claims are those of an Entra ID v2.0 access token for an application.
"""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.toy import NOW

TENANT = "3f0c1a52-77aa-4b1e-9a3a-0d5a2c1e8b10"
AUDIENCE = "9d5f3c1e-2b6a-4f0e-8c77-5a1be2d9f004"
ISSUER = f"https://login.microsoftonline.com/{TENANT}/v2.0"
CLIENT = "51e7d1b4-0c2d-4b53-9f0a-7f6f3f2f9a21"


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    at: datetime = NOW

    def now(self) -> datetime:
        """The time."""
        return self.at

    def timer(self) -> float:
        """The same in seconds."""
        return self.at.timestamp()

    def pass_seconds(self, seconds: float) -> None:
        """Move it on."""
        self.at += timedelta(seconds=seconds)


@cache
def signing_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """A key pair, the same for the same name."""
    return rsa.generate_private_key(65537, bits)


def jwk(kid: str, key: rsa.RSAPrivateKey, **members: Any) -> dict[str, Any]:
    """The public half as a JSON Web Key."""
    numbers = key.public_key().public_numbers()
    return {
        "kty": "RSA",
        "use": "sig",
        "kid": kid,
        "n": _base64url(numbers.n),
        "e": _base64url(numbers.e),
        **members,
    }


def claims_at(now: datetime = NOW, **changed: Any) -> dict[str, Any]:
    """A good token's claims at that time; a change to None leaves the claim out."""
    at = int(now.timestamp())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": at,
        "nbf": at,
        "exp": at + 3600,
        "azp": CLIENT,
        "sub": "subject",
        "ver": "2.0",
        "roles": ["score"],
    }
    return {name: value for name, value in (claims | changed).items() if value is not None}


def token(
    claims: dict[str, Any] | None = None, kid: str | None = "key-1", signed_with: str | None = None
) -> str:
    """A token signed with the key of that name; without one, with the key that it names."""
    headers = {} if kid is None else {"kid": kid}
    key = signing_key(signed_with or kid or "key-1")
    return jwt.encode(claims or claims_at(), key, "RS256", headers)


def bearer(text: str) -> list[tuple[bytes, bytes]]:
    """ASGI headers with this token."""
    return [(b"host", b"test"), (b"authorization", b"Bearer " + text.encode())]


@dataclass
class IdentityProvider:
    """What is published, how it is answered, and how often it was asked.

    `body` is sent instead of the key set, `status` instead of 200, with `location` if there is one.
    `asked` is set when the first question has arrived; while `free` is not set, answers wait.
    """

    published: list[str] = field(default_factory=lambda: ["key-1"])
    status: int = 200
    body: bytes | None = None
    location: str | None = None
    asked: threading.Event = field(default_factory=threading.Event)
    free: threading.Event = field(default_factory=threading.Event)
    fetches: int = 0
    jwks_url: str = ""

    def key_set(self) -> bytes:
        """The document."""
        if self.body is not None:
            return self.body
        return json.dumps({"keys": [jwk(kid, signing_key(kid)) for kid in self.published]}).encode()


@contextmanager
def identity_provider(*published: str) -> Iterator[IdentityProvider]:
    """A running provider; its `jwks_url` is an http URL."""
    state = IdentityProvider(list(published or ("key-1",)))
    state.free.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    server.daemon_threads = True
    state.jwks_url = f"http://127.0.0.1:{server.server_address[1]}/{TENANT}/discovery/v2.0/keys"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.free.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(state: IdentityProvider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.fetches += 1
            state.asked.set()
            state.free.wait()
            body = state.key_set()
            with suppress(ConnectionError):  # who gave up does not read the answer
                self.send_response(state.status)
                if state.location is not None:
                    self.send_header("Location", state.location)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silent."""

    return Handler


def _base64url(number: int) -> str:
    data = number.to_bytes((number.bit_length() + 7) // 8)
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
