"""Access at a real server: the tokens are signed here, the keys come over HTTP and from a file."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from online_api.access.key_file import hash_of
from tests.support.identity import (
    AUDIENCE,
    CLIENT,
    TENANT,
    IdentityProvider,
    claims_at,
    identity_provider,
    token,
)
from tests.support.online import GOOD, Server, open_server, problem
from tests.support.toy import make_bundle

KEY, NEXT_KEY, ADMIN_KEY = "trilane_portal", "trilane_portal-next", "trilane_operator"
KEYS = {KEY: "score", ADMIN_KEY: "admin"}


def write_keys(path: Path, roles: dict[str, str]) -> Path:
    """A file with these keys and their roles, exchanged in one step."""
    entries = [
        {"name": f"caller-{i}", "sha256": hash_of(key.encode()).hex(), "roles": [role]}
        for i, (key, role) in enumerate(roles.items())
    ]
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps({"keys": entries}))
    return aside.replace(path)


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    """An identity provider that publishes key-1."""
    with identity_provider() as running:
        yield running


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where everything is."""
    return tmp_path_factory.mktemp("access")


@pytest.fixture(scope="module")
def server(directory: Path, provider: IdentityProvider) -> Iterator[Server]:
    """A server with both kinds of credentials."""
    bundle = make_bundle(directory / "bundle", reference=0)
    keys = write_keys(directory / "keys.json", KEYS)
    with open_server(
        bundle,
        directory,
        api_keys_file=keys,
        entra_tenant=TENANT,
        entra_audience=AUDIENCE,
        entra_jwks_url=provider.jwks_url,
    ) as running:
        yield running
        assert running.stop() == 0


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """A connection to it."""
    with httpx.Client(base_url=server.url) as opened:
        yield opened


def bearer(text: str) -> dict[str, str]:
    """The header of a token or key."""
    return {"authorization": f"Bearer {text}"}


def fresh(**changed: Any) -> dict[str, Any]:
    """Claims of a token of now."""
    return claims_at(datetime.now(UTC), **changed)


def score(client: httpx.Client, headers: dict[str, str]) -> httpx.Response:
    """Have one record scored."""
    return client.post("/predict", json=[GOOD], headers=headers)


def until(condition: Callable[[], bool]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_keys_and_tokens_score(client: httpx.Client) -> None:
    """Both kinds at one server."""
    for headers in ({"x-api-key": KEY}, bearer(KEY), bearer(token(fresh()))):
        answer = score(client, headers)
        assert answer.status_code == 200, answer.text


def test_nobody_scores_without(client: httpx.Client) -> None:
    """On no route that scores; the answer says what to send."""
    for route in ("/predict", "/invocations", "/v2/models/toy/infer"):
        answer = client.post(route, json=[GOOD])
        problem(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"] == 'Bearer realm="trilane"'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (lambda: token(claims_at(datetime.now(UTC) - timedelta(hours=2))), "has expired"),
        (lambda: token(claims_at(datetime.now(UTC) + timedelta(hours=1))), "not valid yet"),
        (lambda: token(fresh(aud="another")), "another audience"),
        (lambda: token(fresh(iss="https://sts.windows.net/x/")), "another issuer"),
        (lambda: token(fresh(), signed_with="stranger"), "signature"),
        (lambda: token(fresh(), kid="stranger"), "names no signing key"),
        (lambda: token(fresh(), kid=None), "names no signing key"),
        (lambda: unsigned(fresh()), "RS256"),
        (lambda: "trilane_unknown", "key is not valid"),
    ],
)
def test_a_credential_that_is_not_good_is_refused(
    client: httpx.Client, text: Callable[[], str], words: str
) -> None:
    """With the reason, in the document and in the header."""
    answer = score(client, bearer(text()))
    assert words in problem(answer, 401, "unauthorized")["detail"]
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert words in answer.headers["www-authenticate"]


def unsigned(claims: dict[str, Any]) -> str:
    """A token that asks to be believed."""
    return jwt.encode(claims, "", "none", {"kid": "key-1"})


def test_what_is_not_scoring_is_open_or_asks_for_its_role(client: httpx.Client) -> None:
    """Probes answer anyone; /model asks for `score` and /metrics for `admin`."""
    for route in ("/livez", "/readyz"):
        assert client.get(route).status_code == 200
    for route in ("/model", "/metrics"):
        problem(client.get(route), 401, "unauthorized")
        assert client.get(route, headers=bearer(ADMIN_KEY)).status_code == 200
    assert client.get("/model", headers=bearer(KEY)).status_code == 200
    answer = client.get("/metrics", headers=bearer(token(fresh())))
    assert "admin" in problem(answer, 403, "forbidden")["detail"]
    assert 'scope="admin"' in answer.headers["www-authenticate"]
    admin = bearer(token(fresh(roles=["admin"])))
    assert client.get("/metrics", headers=admin).status_code == 200
    problem(score(client, bearer(token(fresh(roles=[])))), 403, "forbidden")


def test_two_authorization_headers_are_refused(client: httpx.Client) -> None:
    """Also when both are good."""
    headers = [("authorization", f"Bearer {KEY}")] * 2
    answer = client.post("/predict", json=[GOOD], headers=headers)
    assert "not more" in problem(answer, 401, "unauthorized")["detail"]


def test_keys_change_while_the_server_runs(
    server: Server, client: httpx.Client, directory: Path
) -> None:
    """A new one beside the old one, then alone; a broken file in between changes nothing."""
    path = directory / "keys.json"

    def works(key: str) -> bool:
        return score(client, {"x-api-key": key}).status_code == 200

    assert not works(NEXT_KEY)
    write_keys(path, KEYS | {NEXT_KEY: "score"})
    until(lambda: works(NEXT_KEY))
    assert works(KEY)
    path.write_text(f'{{"keys": [{{"{KEY}": 1}}]}}')
    until(lambda: works(KEY) and bool(server.events("api_keys_invalid")))
    write_keys(path, {NEXT_KEY: "score", ADMIN_KEY: "admin"})
    until(lambda: not works(KEY))
    assert works(NEXT_KEY)
    write_keys(path, KEYS)
    until(lambda: works(KEY))


def test_no_credential_is_logged(server: Server, client: httpx.Client) -> None:
    """Refused requests are told with their reason; callers by name."""
    good, bad = token(fresh()), token(fresh(), signed_with="stranger")
    for text in (good, bad, "trilane_in-no-file"):
        score(client, bearer(text) | {"x-request-id": f"told-{len(text)}"})
    until(lambda: server.lines[-1].get("request_id") == f"told-{len(text)}")
    lines = json.dumps(server.lines)
    assert server.events("access_refused")
    assert CLIENT in lines
    for text in (good, bad, KEY, NEXT_KEY, ADMIN_KEY, "trilane_in-no-file"):
        assert text not in lines
        assert text.rpartition(".")[2] not in lines


def test_without_access_it_listens_on_this_machine_only(directory: Path, tmp_path: Path) -> None:
    """Whatever address was asked for, and it says so; everyone who reaches it may score."""
    with open_server(directory / "bundle", tmp_path, host="0.0.0.0") as open_to_all:  # noqa: S104
        assert open_to_all.url.startswith("http://127.0.0.1:")
        assert open_to_all.events("loopback_only")
        with httpx.Client(base_url=open_to_all.url) as client:
            assert score(client, {}).status_code == 200
            assert client.get("/metrics").status_code == 200
        assert open_to_all.stop() == 0


def test_signing_keys_rotate_while_the_server_runs(directory: Path, tmp_path: Path) -> None:
    """Both keys are taken, made-up ones are not looked for, and an outage is nobody's fault."""
    with (
        identity_provider("key-1", "key-2") as provider,
        open_server(
            directory / "bundle",
            tmp_path,
            entra_tenant=TENANT,
            entra_audience=AUDIENCE,
            entra_jwks_url=provider.jwks_url,
        ) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        provider.status = 500
        answer = score(client, bearer(token(fresh())))
        problem(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        provider.status = 200
        until(lambda: score(client, bearer(token(fresh()))).status_code == 200)
        assert score(client, bearer(token(fresh(), kid="key-2"))).status_code == 200
        assert server.events("signing_keys_unavailable")
        fetches = provider.fetches
        for number in range(50):
            made_up = token(fresh(), kid=f"made-up-{number}", signed_with="stranger")
            problem(score(client, bearer(made_up)), 401, "unauthorized")
        assert provider.fetches <= fetches + 1
        assert server.stop() == 0
