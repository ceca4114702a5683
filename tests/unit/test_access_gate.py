"""Who gets in: settings, headers, answers, and what is logged of those who do not."""

import json
import logging
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_api.access.caller import ANONYMOUS, Caller, Role
from online_api.access.credentials import MAX_BYTES, credential_in
from online_api.access.gate import Access, open_access
from online_api.access.issuer import issuer_of
from online_api.access.key_file import hash_of
from online_api.access.refusals import (
    LINES_PER_WINDOW,
    WINDOW_SECONDS,
    WORDS,
    Reason,
    Refused,
    unauthorized,
)
from online_api.context import Sources
from online_api.problems import FORBIDDEN, UNAUTHORIZED, UNAVAILABLE, ProblemError
from online_api.settings import OnlineSettings
from scoring.errors import ConfigurationError
from tests.support.identity import (
    AUDIENCE,
    CLIENT,
    ISSUER,
    TENANT,
    Clock,
    IdentityProvider,
    bearer,
    claims_at,
    identity_provider,
    token,
)

KEY, ADMIN_KEY = b"trilane_portal", b"trilane_operator"
ENTRA: dict[str, Any] = {"entra_tenant": TENANT, "entra_audience": AUDIENCE}

Headers = Sequence[tuple[bytes, bytes]]


def settings_of(**values: Any) -> OnlineSettings:
    """Settings of a server."""
    return OnlineSettings(bundle=Path("bundle"), **values)


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    """A portal that may score, and an operator."""
    entries = [
        {"name": name, "sha256": hash_of(key).hex(), "roles": [role]}
        for name, key, role in [("portal", KEY, "score"), ("operator", ADMIN_KEY, "admin")]
    ]
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": entries}))
    return path


class Rig:
    """An access over keys and tokens, with its provider and clock."""

    def __init__(self, provider: IdentityProvider, keys_file: Path) -> None:
        self.provider, self.clock = provider, Clock()
        settings = settings_of(api_keys_file=keys_file, entra_jwks_url=provider.jwks_url, **ENTRA)
        self.access = open_access(settings, Sources(now=self.clock.now, timer=self.clock.timer))


@pytest.fixture
async def rig(keys_file: Path) -> AsyncIterator[Rig]:
    """Both kinds of credentials."""
    with identity_provider() as provider:
        yield Rig(provider, keys_file)


def api_key(key: bytes) -> Headers:
    """ASGI headers with this key."""
    return [(b"host", b"test"), (b"x-api-key", key)]


async def refusal(access: Access, headers: Headers, role: Role = "score") -> ProblemError:
    """The problem that these headers get."""
    with pytest.raises(ProblemError) as caught:
        await access.require(headers, role)
    return caught.value


async def test_keys_and_tokens_say_who_calls(rig: Rig) -> None:
    """A key in either header, a token in one; the scheme's case does not matter."""
    portal = Caller("portal", frozenset({"score"}))
    for headers in (
        api_key(KEY),
        api_key(b" " + KEY + b"\t"),
        bearer(KEY.decode()),
        [(b"authorization", b"bEARER   " + KEY)],
    ):
        assert await rig.access.caller(headers) == portal
    assert await rig.access.caller(bearer(token())) == Caller(CLIENT, frozenset({"score"}))
    assert rig.access.configured


async def test_roles_open_routes(rig: Rig) -> None:
    """`admin` includes `score`; who lacks a role is told which."""
    for good in (api_key(ADMIN_KEY), bearer(token(claims_at(roles=["admin"])))):
        for role in ("score", "admin"):
            await rig.access.require(good, role)
    for scorer in (api_key(KEY), bearer(token())):
        await rig.access.require(scorer, "score")
        problem = await refusal(rig.access, scorer, "admin")
        assert problem.kind is FORBIDDEN
        assert problem.detail == "the route asks for the role admin"
        assert problem.headers["www-authenticate"] == (
            'Bearer realm="trilane", error="insufficient_scope", scope="admin"'
        )
    assert (await refusal(rig.access, bearer(token(claims_at(roles=[]))))).kind is FORBIDDEN


async def test_a_request_without_credentials_is_told_the_scheme(rig: Rig) -> None:
    """And no error code, for it made none (RFC 6750, section 3.1)."""
    problem = await refusal(rig.access, [(b"host", b"test")])
    assert problem.kind is UNAUTHORIZED
    assert problem.headers == {"www-authenticate": 'Bearer realm="trilane"'}


@pytest.mark.parametrize(
    "key", [b"trilane_other", KEY[:-1], KEY + b"x", KEY.upper(), b"one.dot", b"a.b.c.d"]
)
async def test_a_wrong_key_is_wrong_and_nothing_more(rig: Rig, key: bytes) -> None:
    """Whatever is wrong with it, the answer is the same."""
    for headers in (api_key(key), bearer(key.decode())):
        problem = await refusal(rig.access, headers)
        assert (problem.kind, problem.detail) == (UNAUTHORIZED, "the key is not valid")
        assert problem.headers["www-authenticate"] == (
            'Bearer realm="trilane", error="invalid_token", '
            'error_description="the key is not valid"'
        )


@pytest.mark.parametrize(
    "headers",
    [
        [*bearer("one"), *bearer("two")],
        [(b"authorization", b"Bearer trilane_portal")] * 2,
        [*api_key(KEY), *api_key(KEY)],
        [*api_key(KEY), (b"authorization", b"Bearer trilane_portal")],
        [*api_key(KEY), (b"authorization", b"Basic dXNlcjpwYXNz")],
    ],
)
async def test_two_credentials_are_refused(rig: Rig, headers: Headers) -> None:
    """Also when each is good."""
    problem = await refusal(rig.access, headers)
    assert (problem.kind, problem.detail) == (UNAUTHORIZED, WORDS["several_credentials"])


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", value)]
        for value in (
            b"", b"Bearer", b"Bearer ", KEY, b"Basic " + KEY, b"Bearer\t" + KEY, b"BearerX " + KEY,
            b"Bearer a b", b"Bearer a, Bearer b", b"Bearer \xe9", b"Bearer a\x00", b"Bearer =a",
            b"Bearer " + b"a" * MAX_BYTES,
        )
    ] + [[(b"x-api-key", value)] for value in (b"", b" ", b"a b", b"\xe9", b"a" * (MAX_BYTES + 1))],
)  # fmt: skip
async def test_what_is_no_credential_is_refused(rig: Rig, headers: Headers) -> None:
    """With the form that is wanted."""
    problem = await refusal(rig.access, headers)
    assert (problem.kind, problem.detail) == (UNAUTHORIZED, WORDS["malformed_credentials"])


HEADER = st.tuples(
    st.sampled_from([b"authorization", b"x-api-key", b"host"]) | st.binary(),
    st.binary() | st.binary().map(lambda value: b"Bearer " + value),
)


@given(st.lists(HEADER, max_size=3))
def test_headers_hold_a_credential_or_are_refused(headers: Headers) -> None:
    """Whatever bytes arrive; and a credential is never shown by its repr."""
    try:
        found = credential_in(headers)
    except Refused:
        return
    assert any(found.secret in value for _, value in headers)
    assert not found.is_token or found.secret.count(b".") == 2
    assert repr(found) == f"Credential(is_token={found.is_token})"


async def test_each_kind_counts_only_where_it_is_configured(rig: Rig, keys_file: Path) -> None:
    """A token means nothing to a server with keys alone, nor a key to one with tokens alone."""
    clock = Clock()
    sources = Sources(now=clock.now, timer=clock.timer)
    keys = open_access(settings_of(api_keys_file=keys_file), sources)
    tokens = open_access(settings_of(entra_jwks_url=rig.provider.jwks_url, **ENTRA), sources)
    assert keys.configured
    assert tokens.configured
    assert (await keys.caller(api_key(KEY))).name == "portal"
    assert (await tokens.caller(bearer(token()))).name == CLIENT
    assert (await refusal(keys, bearer(token()))).detail == "the server takes no bearer tokens"
    assert (await refusal(tokens, api_key(KEY))).kind is UNAUTHORIZED


async def test_without_configuration_everyone_may_everything() -> None:
    """Headers are not looked at."""
    for access in (open_access(settings_of()), open_access(settings_of(anonymous=True))):
        assert not access.configured
        assert await access.require([(b"authorization", b"nonsense")], "admin") is ANONYMOUS


async def test_a_provider_that_is_away_is_not_the_callers_fault(rig: Rig, keys_file: Path) -> None:
    """503, which says to try again; keys work all the same, and so do known signing keys."""
    rig.provider.status = 500
    problem = await refusal(rig.access, bearer(token()))
    assert problem.kind is UNAVAILABLE
    await rig.access.require(api_key(KEY), "score")


@pytest.mark.parametrize("reason", WORDS)
def test_every_answer_fits_into_its_header(reason: Reason) -> None:
    """RFC 6750, section 3: no quotes, no backslash, nothing beyond ASCII."""
    challenge = unauthorized(reason).headers["www-authenticate"]
    assert re.fullmatch(r'Bearer realm="trilane"(, [a-z_]+="[ !#-\[\]-~]+")*', challenge)


async def test_refusals_are_logged_with_their_reason_and_no_credential(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten a minute; the next line says how many were left out."""
    caplog.set_level(logging.DEBUG)
    secret = "trilane_secret-of-somebody"
    forged = token(signed_with="stranger")
    await refusal(rig.access, bearer(secret))
    await refusal(rig.access, bearer(forged))
    rig.clock.pass_seconds(1)
    await refusal(rig.access, api_key(KEY), "admin")
    for _ in range(100):
        await refusal(rig.access, [])
    lines = [vars(record) for record in caplog.records if record.levelno == logging.WARNING]
    assert len(lines) == LINES_PER_WINDOW
    assert [line["reason"] for line in lines[:4]] == [
        "unknown_key", "wrong_signature", "missing_role", "no_credentials",
    ]  # fmt: skip
    assert lines[2]["caller"] == "portal"
    assert {line["event"] for line in lines} == {"access_refused"}
    rig.clock.pass_seconds(WINDOW_SECONDS - 1)
    await refusal(rig.access, [])
    await refusal(rig.access, [])
    left_out = [vars(record)["left_out"] for record in caplog.records[-2:]]
    assert left_out == [103 - LINES_PER_WINDOW, 0]
    everything = json.dumps([vars(record) for record in caplog.records], default=str)
    assert secret not in everything
    assert not any(part in everything for part in forged.split("."))


def test_the_defaults_are_those_of_the_tenant() -> None:
    """Issuer and keys of the v2.0 endpoint; both can be set, for another cloud."""
    issuer = issuer_of(settings_of(**ENTRA))
    assert issuer is not None
    assert (issuer.issuer, issuer.audience) == (ISSUER, AUDIENCE)
    login = "https://login.microsoftonline.com"
    assert issuer.jwks_url == f"{login}/{TENANT}/discovery/v2.0/keys"
    other = {"entra_issuer": "https://issuer/", "entra_jwks_url": "https://keys/x?appid=1"}
    issuer = issuer_of(settings_of(**ENTRA, **other))
    assert issuer is not None
    assert (issuer.issuer, issuer.jwks_url) == tuple(other.values())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"entra_tenant": TENANT}, "entra_tenant needs entra_audience"),
        ({"entra_audience": AUDIENCE}, "entra_audience needs entra_tenant"),
        ({"entra_issuer": ISSUER}, "entra_issuer needs entra_tenant"),
        ({"entra_jwks_url": "https://h/keys"}, "entra_jwks_url needs entra_tenant"),
        (ENTRA | {"entra_tenant": "common"}, "must be the directory id"),
        (ENTRA | {"entra_tenant": "contoso.onmicrosoft.com"}, "must be the directory id"),
        (ENTRA | {"entra_tenant": f"{TENANT}/.."}, "must be the directory id"),
        (ENTRA | {"entra_jwks_url": "http://login.example/keys"}, "must be an https URL"),
        (ENTRA | {"entra_jwks_url": "http://127.0.0.1.example/keys"}, "must be an https URL"),
        (ENTRA | {"entra_jwks_url": "file:///etc/keys"}, "must be an https URL"),
        (ENTRA | {"entra_jwks_url": "https:///keys"}, "must be an https URL"),
        (ENTRA | {"entra_jwks_url": "https://[::1/keys"}, "is no URL"),
        (ENTRA | {"entra_jwks_url": "https://me:hunter2@h/keys"}, "must hold no credentials"),
        (ENTRA | {"entra_jwks_url": "https://hunter2@h/keys"}, "must hold no credentials"),
        (ENTRA | {"anonymous": True}, "anonymous contradicts"),
        ({"api_keys_file": Path("none.json")}, "cannot read none.json"),
    ],
)
def test_settings_that_do_not_fit_stop_the_start(values: dict[str, Any], words: str) -> None:
    """Each with what to repair; a credential in a URL is not repeated."""
    with pytest.raises(ConfigurationError, match=words) as caught:
        open_access(settings_of(**values))
    assert "hunter2" not in str(caught.value)


def test_keys_and_anonymous_contradict(keys_file: Path) -> None:
    """One of the two is a mistake."""
    with pytest.raises(ConfigurationError, match="anonymous contradicts"):
        open_access(settings_of(api_keys_file=keys_file, anonymous=True))


@pytest.mark.parametrize("host", ["127.0.0.1:80", "127.1.2.3", "[::1]", "localhost:8080"])
def test_keys_may_come_from_this_machine_in_clear(host: str) -> None:
    """Nobody else can answer there."""
    issuer = issuer_of(settings_of(**ENTRA, entra_jwks_url=f"http://{host}/keys"))
    assert issuer is not None
