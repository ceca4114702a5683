"""The identity provider's keys: what is taken from it, and how often it is asked."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_api.access.key_set import MAX_BYTES, SigningKey, fetch_key_set, parse_key_set
from online_api.access.signing_keys import (
    MAX_AGE_SECONDS,
    RETRY_SECONDS,
    STALE_SECONDS,
    UNKNOWN_KID_SECONDS,
    SigningKeys,
)
from scoring.errors import ServiceUnavailable
from tests.support.identity import Clock, IdentityProvider, identity_provider, jwk, signing_key

GOOD_SET = json.dumps({"keys": [jwk("key-1", signing_key("key-1"))]}).encode()


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    """A provider that publishes key-1."""
    with identity_provider() as running:
        yield running


def kept(provider: IdentityProvider, clock: Clock, max_wait_seconds: float = 30.0) -> SigningKeys:
    """The keys of this provider."""
    fetch = partial(fetch_key_set, provider.jwks_url)
    return SigningKeys(fetch, clock.timer, max_wait_seconds)


async def settled(keys: SigningKeys, kid: str) -> SigningKey | None:
    """What is found once a fetch in the background, if there is one, is done."""
    await keys.find(kid)
    await others_done()
    return await keys.find(kid)


async def others_done() -> None:
    """Wait for every task but this one."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others)


async def test_known_keys_are_not_fetched_again(provider: IdentityProvider) -> None:
    """One fetch serves all tokens of an hour."""
    clock = Clock()
    keys = kept(provider, clock)
    for _ in range(100):
        found = await keys.find("key-1")
        assert found is not None
        assert found.numbers[1] == signing_key("key-1").public_key().public_numbers().n
    clock.pass_seconds(MAX_AGE_SECONDS)
    await settled(keys, "key-1")
    assert provider.fetches == 1


async def test_many_who_wait_share_one_fetch(provider: IdentityProvider) -> None:
    """It is in a thread: the loop turns while the provider thinks; a caller may give up."""
    provider.free.clear()
    keys = kept(provider, Clock())
    waiting = [asyncio.create_task(keys.find("key-1")) for _ in range(20)]
    await asyncio.to_thread(provider.asked.wait)
    waiting[0].cancel()
    await asyncio.sleep(0)
    provider.free.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert [key.kid for key in found[1:] if isinstance(key, SigningKey)] == ["key-1"] * 19
    assert provider.fetches == 1


async def test_a_new_key_is_fetched_and_a_withdrawn_one_forgotten(
    provider: IdentityProvider,
) -> None:
    """A kid that is not known shows the rotation."""
    clock = Clock()
    keys = kept(provider, clock)
    assert await keys.find("key-1")
    provider.published = ["key-2"]
    clock.pass_seconds(UNKNOWN_KID_SECONDS)
    assert await keys.find("key-1"), "nobody has asked yet"
    assert await keys.find("key-2")
    assert await keys.find("key-1") is None
    assert provider.fetches == 2


async def test_a_withdrawn_key_is_forgotten_within_the_hour(provider: IdentityProvider) -> None:
    """The set is fetched anew in the background, while the old key still answers."""
    clock = Clock()
    keys = kept(provider, clock)
    assert await keys.find("key-1")
    provider.published = ["key-2"]
    clock.pass_seconds(MAX_AGE_SECONDS + 1)
    provider.free.clear()
    assert await keys.find("key-1"), "does not wait"
    provider.free.set()
    assert await settled(keys, "key-1") is None


async def test_made_up_kids_do_not_send_us_to_the_provider(provider: IdentityProvider) -> None:
    """However many come, it is asked twice a minute."""
    clock = Clock()
    keys = kept(provider, clock)
    for second in range(61):
        for i in range(10):
            assert await keys.find(f"made-up-{second}-{i}") is None
        clock.pass_seconds(1)
    assert provider.fetches == 3


async def test_a_provider_that_is_away_keeps_known_keys_for_a_day(
    provider: IdentityProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """Another kid cannot be judged meanwhile. The outage is one line, and its end another."""
    caplog.set_level("INFO")
    clock = Clock()
    keys = kept(provider, clock)
    assert await keys.find("key-1")
    provider.status = 500
    clock.pass_seconds(MAX_AGE_SECONDS + 1)
    for _ in range(3):
        assert await settled(keys, "key-1")
        with pytest.raises(ServiceUnavailable):
            await keys.find("key-2")
        clock.pass_seconds(RETRY_SECONDS)
    assert provider.fetches == 4, "asked again after a pause, however many tokens come"
    clock.at = Clock().at
    clock.pass_seconds(STALE_SECONDS)
    assert await settled(keys, "key-1")
    clock.pass_seconds(1)
    with pytest.raises(ServiceUnavailable):
        await keys.find("key-1")
    provider.status = 200
    clock.pass_seconds(RETRY_SECONDS)
    assert await keys.find("key-1")
    assert await keys.find("key-2") is None
    events = [vars(record)["event"] for record in caplog.records]
    fetched = "signing_keys_fetched"
    assert events == [fetched, "signing_keys_unavailable", fetched]


async def test_a_provider_that_hangs_is_waited_for_only_so_long(provider: IdentityProvider) -> None:
    """The request is answered; the fetch goes on and serves those who come later."""
    provider.free.clear()
    keys = kept(provider, Clock(), max_wait_seconds=0.01)
    with pytest.raises(ServiceUnavailable):
        await keys.find("key-1")
    provider.free.set()
    await others_done()
    assert await keys.find("key-1")
    assert provider.fetches == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>maintenance</html>",
        b"\xff",
        b"[]",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [1, null, {}, {"kty": "RSA", "kid": "key-1"}]}',
        GOOD_SET[:-1],
        GOOD_SET.ljust(MAX_BYTES + 1),
    ],
)
async def test_garbage_is_as_good_as_no_answer(provider: IdentityProvider, body: bytes) -> None:
    """Known keys go on, and nothing of it is believed."""
    clock = Clock()
    keys = kept(provider, clock)
    provider.body = body
    with pytest.raises(ServiceUnavailable):
        await keys.find("key-1")
    provider.body = None
    clock.pass_seconds(RETRY_SECONDS)
    assert await keys.find("key-1")
    provider.body = body
    clock.pass_seconds(MAX_AGE_SECONDS + 1)
    assert await settled(keys, "key-1")
    assert provider.fetches == 3


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(provider: IdentityProvider, status: int) -> None:
    """Keys come from the address in the settings."""
    with identity_provider() as other:
        provider.status, provider.location = status, other.jwks_url
        with pytest.raises(ServiceUnavailable, match=f"answered {status}"):
            fetch_key_set(provider.jwks_url)
        assert other.fetches == 0


def test_no_provider_and_a_silent_one_are_unavailable(provider: IdentityProvider) -> None:
    """Refused connections and timeouts are translated."""
    provider.free.clear()
    with pytest.raises(ServiceUnavailable, match="TimeoutError"):
        fetch_key_set(provider.jwks_url, timeout_seconds=0.05)
    with identity_provider() as gone:
        pass
    with pytest.raises(ServiceUnavailable, match="URLError"):
        fetch_key_set(gone.jwks_url)


def test_a_slow_body_is_given_up(provider: IdentityProvider) -> None:
    """The time for the whole body is bounded, not only that between its parts."""
    ticks = iter((0.0, 6.0))
    with pytest.raises(ServiceUnavailable, match="too slow"):
        fetch_key_set(provider.jwks_url, timeout_seconds=5.0, timer=lambda: next(ticks))


def test_a_proxy_is_not_asked_for_this_machine(
    provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the environment names."""
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert list(fetch_key_set(provider.jwks_url)) == ["key-1"]


def parsed(*keys: object) -> Mapping[str, SigningKey]:
    """The keys of a set with a good one and these."""
    good = jwk("good", signing_key("key-1"))
    return parse_key_set(json.dumps({"keys": [*keys, good]}).encode())


def test_only_rsa_signing_keys_are_taken_from_a_set() -> None:
    """One key that is of another kind, or broken, does not hide the others."""
    other = signing_key("key-2")
    assert set(parsed(jwk("plain", other), jwk("named", other, alg="RS256"))) == {
        "plain", "named", "good",
    }  # fmt: skip
    unusable: list[Any] = [
        jwk("x", other, use="enc"),
        jwk("x", other, alg="RS512"),
        jwk("x", other, kty="EC"),
        jwk("x", other, kty="oct", k="c2VjcmV0"),
        jwk("x", other, n="!"),
        jwk("x", other, n="é"),
        jwk("x", other, n=""),
        jwk("x", other, e="Ag"),
        jwk("x", other) | {"kid": 5},
        jwk("x", signing_key("short", 1024)),
        {k: v for k, v in jwk("x", other).items() if k != "kid"},
    ]
    for key in unusable:
        assert set(parsed(key)) == {"good"}, key


@given(st.binary() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_whatever_is_answered_is_keys_or_unavailable(body: bytes | str) -> None:
    """No answer of a provider is another error."""
    data = body if isinstance(body, bytes) else f'{{"keys": {body}}}'.encode()
    with pytest.raises(ServiceUnavailable):
        parse_key_set(data)
