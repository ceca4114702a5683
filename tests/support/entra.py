"""A stand-in for Entra ID's token endpoint on 127.0.0.1, over TLS as clients demand it.

POST /<tenant>/oauth2/v2.0/token exchanges a federated token, as Kubernetes writes it into a pod,
for an access token ("Microsoft identity platform and the OAuth 2.0 client credentials flow", third
case, learn.microsoft.com). Everything else is answered with 404.
"""

import json
import os
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.support.identity import CLIENT, TENANT
from tests.support.kafka.access import access_token
from tests.support.kafka.certificates import make_certificates

_JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass
class Entra:
    """What was asked and given, and how to answer from now on.

    Tokens are valid for `lifetime` seconds and for the audience that was asked for, unless
    `audience` names another. With a `refusal` (an AADSTS text) no token is given. `host` is the
    authority's address. `paths` are those of all requests, `scopes` those a token was given for.
    """

    host: str
    ca_file: Path
    federated_token_file: Path
    federated_token: str = "ey.federated.token"
    lifetime: int = 3600
    audience: str | None = None
    refusal: str | None = None
    paths: list[str] = field(default_factory=list)
    scopes: list[str] = field(default_factory=list)
    issued: list[str] = field(default_factory=list)

    def environment(self, *ca_files: Path) -> dict[str, str]:
        """This process's with the identity in it; its CA and those of `ca_files` are trusted."""
        trusted = self.ca_file.with_name("trusted.pem")
        trusted.write_bytes(b"".join(path.read_bytes() for path in (self.ca_file, *ca_files)))
        return os.environ | {
            "AZURE_AUTHORITY_HOST": f"https://{self.host}/",
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": CLIENT,
            "AZURE_FEDERATED_TOKEN_FILE": str(self.federated_token_file),
            "AZURE_TOKEN_CREDENTIALS": "WorkloadIdentityCredential",
            "SSL_CERT_FILE": str(trusted),
            "REQUESTS_CA_BUNDLE": str(trusted),
        }

    def answer(self, path: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Status and body for a request."""
        self.paths.append(path)
        if path != f"/{TENANT}/oauth2/v2.0/token":
            return 404, {"error": "not_found"}
        asked = {
            "grant_type": "client_credentials",
            "client_id": CLIENT,
            "client_assertion_type": _JWT_BEARER,
            "client_assertion": self.federated_token,
        }
        if any(form.get(name) != value for name, value in asked.items()):
            return 400, _refused("AADSTS50027: the assertion is not the one that was expected")
        if self.refusal is not None:
            return 400, _refused(self.refusal)
        self.scopes.append(form["scope"])
        return 200, self._token(form["scope"].removesuffix("/.default"))

    def _token(self, audience: str) -> dict[str, Any]:
        expires_at = int(time.time()) + self.lifetime
        token = access_token(
            aud=self.audience or audience, exp=expires_at, jti=str(len(self.issued))
        )
        self.issued.append(token)
        return {"token_type": "Bearer", "expires_in": self.lifetime, "access_token": token}


@contextmanager
def entra(directory: Path) -> Iterator[Entra]:
    """A running one, with a CA and a federated token of its own in `directory`."""
    ca_file, key_store = directory / "entra-ca.pem", directory / "entra.pem"
    make_certificates(ca_file, key_store)
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    state = Entra(f"127.0.0.1:{server.server_address[1]}", ca_file, directory / "federated-token")
    state.federated_token_file.write_text(state.federated_token, encoding="utf-8")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(key_store)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.RequestHandlerClass = _handler(state)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _refused(text: str) -> dict[str, Any]:
    return {"error": "invalid_client", "error_description": text}


def _handler(state: Entra) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._answer({name: values[0] for name, values in parse_qs(body).items()})

        def _answer(self, form: dict[str, str]) -> None:
            status, content = state.answer(self.path, form)
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Silent."""

    return Handler
