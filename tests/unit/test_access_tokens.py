"""Bearer tokens, signed here: whose they are, and every reason to refuse one."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from online_api.access.caller import Caller
from online_api.access.issuer import Issuer
from online_api.access.key_set import fetch_key_set, parse_key_set
from online_api.access.refusals import WORDS, Reason, Refused
from online_api.access.signing_keys import MAX_AGE_SECONDS, UNKNOWN_KID_SECONDS, SigningKeys
from online_api.access.tokens import LEEWAY_SECONDS, TokenVerifier
from scoring.errors import ServiceUnavailable
from tests.support.identity import (
    AUDIENCE,
    CLIENT,
    ISSUER,
    Clock,
    IdentityProvider,
    claims_at,
    identity_provider,
    jwk,
    signing_key,
    token,
)

NOBODY = "00000000-0000-0000-0000-000000000000"
SCORER = Caller(CLIENT, frozenset({"score"}))


class Rig:
    """A verifier, its provider and its clock."""

    def __init__(self, provider: IdentityProvider) -> None:
        self.clock, self.provider = Clock(), provider
        self.issuer = Issuer(ISSUER, AUDIENCE, provider.jwks_url)
        self.keys = SigningKeys(partial(fetch_key_set, provider.jwks_url), self.clock.timer)
        self.verifier = TokenVerifier(self.issuer, self.keys, self.clock.now)

    async def ask(self, text: str) -> Caller | Reason:
        """Whose token it is, or why nobody's."""
        try:
            return await self.verifier.caller(text.encode())
        except Refused as refusal:
            return refusal.reason


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """Over a provider that publishes key-1."""
    with identity_provider() as provider:
        yield Rig(provider)


def forged(header: object, claims: object, signature: bytes) -> str:
    """A token of any header and signature."""
    parts = json.dumps(header).encode(), json.dumps(claims).encode(), signature
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


async def test_a_token_is_its_applications(rig: Rig) -> None:
    """With the app roles that are known here; the second time nothing is asked or computed."""
    assert await rig.ask(token()) == SCORER
    both = token(claims_at(roles=["admin", "score", "Unknown.Role", 5]))
    assert await rig.ask(both) == Caller(CLIENT, frozenset({"admin", "score"}))
    assert await rig.ask(token(claims_at(aud=[AUDIENCE, "other"]))) == SCORER
    assert rig.provider.fetches == 1


@pytest.mark.parametrize("roles", [None, [], "score", {"score": 1}, ["Score"], ["score "], 1])
async def test_a_token_without_roles_of_ours_is_known_and_may_nothing(
    rig: Rig, roles: object
) -> None:
    """Who it is, is true all the same."""
    assert await rig.ask(token(claims_at(roles=roles))) == Caller(CLIENT, frozenset())


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"azp": None, "appid": "old-style"}, "old-style"),
        ({"azp": None, "oid": "principal"}, "principal"),
        ({"azp": None}, "subject"),
        ({"azp": "two\nlines"}, "subject"),
        ({"azp": "x" * 129}, "subject"),
        ({"azp": ["list"], "sub": None}, "unnamed"),
    ],
)
async def test_a_caller_is_named_by_an_id(rig: Rig, claims: dict[str, Any], name: str) -> None:
    """Of a form that a log line can take."""
    found = await rig.ask(token(claims_at(**claims)))
    assert isinstance(found, Caller)
    assert found.name == name


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": NOBODY}, "wrong_audience"),
        ({"aud": f"api://{AUDIENCE}"}, "wrong_audience"),
        ({"aud": [NOBODY]}, "wrong_audience"),
        ({"aud": 5}, "wrong_audience"),
        ({"aud": None}, "missing_claim"),
        ({"iss": ISSUER.replace("3f0c", "3f0d")}, "wrong_issuer"),
        ({"iss": f"{ISSUER}/"}, "wrong_issuer"),
        ({"iss": None}, "missing_claim"),
        ({"exp": None}, "missing_claim"),
        ({"nbf": None}, "missing_claim"),
        ({"exp": "9999999999"}, "malformed_token"),
        ({"exp": True}, "malformed_token"),
        ({"exp": float("nan")}, "malformed_token"),
        ({"exp": float("inf")}, "malformed_token"),
        ({"nbf": float("nan")}, "malformed_token"),
        ({"nbf": []}, "malformed_token"),
        ({"sub": 5}, "malformed_token"),
        ({"nbf": 10**400}, "not_yet_valid"),
    ],
)
async def test_a_claim_that_is_not_right_is_refused(
    rig: Rig, claims: dict[str, Any], reason: Reason
) -> None:
    """Also under a valid signature."""
    assert await rig.ask(token(claims_at(**claims))) == reason


async def test_a_token_expires_by_our_clock(rig: Rig) -> None:
    """A minute after `exp`; also when it was verified before and is remembered."""
    remembered, fresh = token(), token(claims_at(jti="another"))
    assert await rig.ask(remembered) == SCORER
    rig.clock.pass_seconds(3600 + LEEWAY_SECONDS - 1)
    assert await rig.ask(remembered) == SCORER
    rig.clock.pass_seconds(1)
    assert await rig.ask(remembered) == "expired"
    assert await rig.ask(fresh) == "expired"


async def test_a_token_is_not_valid_before_its_time(rig: Rig) -> None:
    """But for a minute, by which clocks may differ."""
    begins = int(rig.clock.timer())
    text = token(claims_at(nbf=begins + LEEWAY_SECONDS + 1))
    assert await rig.ask(text) == "not_yet_valid"
    rig.clock.pass_seconds(1)
    assert await rig.ask(text) == SCORER


async def test_a_signature_by_another_key_is_refused(rig: Rig) -> None:
    """Whether it names a published key or one of its own; then the provider is asked once."""
    assert await rig.ask(token(signed_with="stranger")) == "wrong_signature"
    assert rig.provider.fetches == 1
    rig.clock.pass_seconds(UNKNOWN_KID_SECONDS)
    assert await rig.ask(token(kid="stranger")) == "unknown_signing_key"
    assert rig.provider.fetches == 2


async def test_an_altered_token_is_refused(rig: Rig) -> None:
    """Claims of one and signature of another; and a good one does not vouch for it."""
    good = token()
    assert await rig.ask(good) == SCORER
    header, _, signature = good.split(".")
    _, claims, _ = token(claims_at(roles=["admin"])).split(".")
    assert await rig.ask(f"{header}.{claims}.{signature}") == "wrong_signature"
    assert await rig.ask(f"{header}.{claims}.") == "wrong_signature"


@pytest.mark.parametrize("name", ["none", "None", "NONE", ""])
async def test_a_token_without_signature_is_refused(rig: Rig, name: str) -> None:
    """Before any key is looked for (RFC 8725, section 3.1)."""
    for signature in (b"", b"x" * 256):
        text = forged({"alg": name, "typ": "JWT", "kid": "key-1"}, claims_at(), signature)
        assert await rig.ask(text) == "wrong_algorithm"
    assert rig.provider.fetches == 0


async def test_the_public_key_is_no_shared_secret(rig: Rig) -> None:
    """HS256 over what everybody can read, in every form it could be read in."""
    public = signing_key("key-1").public_key()
    forms = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(jwk("key-1", signing_key("key-1"))).encode(),
    ]
    for secret in forms:
        unsigned = forged({"alg": "HS256", "typ": "JWT", "kid": "key-1"}, claims_at(), b"")[:-1]
        mac = hmac.digest(secret, unsigned.encode(), hashlib.sha256)
        text = f"{unsigned}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
        assert await rig.ask(text) == "wrong_algorithm"


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
async def test_only_one_algorithm_is_taken(rig: Rig, algorithm: str) -> None:
    """Others with the right key are refused too."""
    text = jwt.encode(claims_at(), signing_key("key-1"), algorithm, {"kid": "key-1"})
    assert await rig.ask(text) == "wrong_algorithm"


async def test_a_key_that_the_token_brings_along_is_not_used(rig: Rig) -> None:
    """Neither `jwk` nor `jku` in the header is looked at (RFC 8725, section 3.10)."""
    with identity_provider("stranger") as other:
        header = {"kid": "key-1", "jwk": jwk("key-1", signing_key("stranger"))}
        header["jku"] = other.jwks_url
        text = jwt.encode(claims_at(), signing_key("stranger"), "RS256", header)
        assert await rig.ask(text) == "wrong_signature"
        assert other.fetches == 0


async def test_a_token_must_name_its_key(rig: Rig) -> None:
    """Keys are not tried one after the other."""
    assert await rig.ask(token(kid=None)) == "unknown_signing_key"
    assert rig.provider.fetches == 0
    assert await rig.ask(token(kid="", signed_with="key-1")) == "unknown_signing_key"


async def test_keys_rotate(rig: Rig) -> None:
    """A new key is taken when its first token comes; with the old key its tokens go as well."""
    old, new = token(), token(kid="key-2")
    assert await rig.ask(old) == SCORER
    rig.provider.published = ["key-1", "key-2"]
    assert await rig.ask(new) == "unknown_signing_key", "so soon after the last look"
    rig.clock.pass_seconds(UNKNOWN_KID_SECONDS)
    assert await rig.ask(new) == SCORER
    assert await rig.ask(old) == SCORER, "both are published"
    rig.provider.published = ["key-2"]
    assert await rig.ask(token(kid="made-up")) == "unknown_signing_key"
    rig.clock.pass_seconds(UNKNOWN_KID_SECONDS)
    assert await rig.ask(token(kid="made-up")) == "unknown_signing_key"
    assert await rig.ask(old) == "unknown_signing_key", "remembered, but its key is withdrawn"
    assert await rig.ask(new) == SCORER


async def test_a_kid_that_gets_another_key_gets_other_tokens(rig: Rig) -> None:
    """A remembered token counts under the key that verified it, not under the key's name."""
    text = token(claims_at(exp=int(rig.clock.timer()) + 10 * int(MAX_AGE_SECONDS)))
    assert await rig.ask(text) == SCORER
    rig.provider.body = json.dumps({"keys": [jwk("key-1", signing_key("other"))]}).encode()
    rig.clock.pass_seconds(UNKNOWN_KID_SECONDS)
    assert await rig.ask(token(kid="made-up")) == "unknown_signing_key"
    assert await rig.ask(text) == "wrong_signature"


async def test_while_the_provider_is_away_known_keys_go_on(rig: Rig) -> None:
    """New tokens too; a token whose key is not known cannot be judged."""
    rig.provider.status = 503
    with pytest.raises(ServiceUnavailable):
        await rig.ask(token())
    rig.provider.status = 200
    rig.clock.pass_seconds(UNKNOWN_KID_SECONDS)
    assert await rig.ask(token()) == SCORER
    rig.provider.status = 503
    rig.clock.pass_seconds(UNKNOWN_KID_SECONDS)
    with pytest.raises(ServiceUnavailable):
        await rig.ask(token(kid="key-2"))
    assert await rig.ask(token(claims_at(jti="new"))) == SCORER


async def test_what_is_remembered_is_bounded(rig: Rig) -> None:
    """The oldest goes, and is verified again when it comes back."""
    verifier = TokenVerifier(rig.issuer, rig.keys, rig.clock.now, max_remembered=2)
    for number in (1, 2, 3, 1, 1):
        text = token(claims_at(jti=str(number)))
        assert await verifier.caller(text.encode()) == SCORER
        assert verifier.remembered == min(number, 2) or number == 1
    rig.clock.pass_seconds(7200)
    with pytest.raises(Refused, match="expired"):
        await verifier.caller(text.encode())
    assert verifier.remembered == 1, "what has expired is forgotten when it comes"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
HEADERS = st.dictionaries(st.sampled_from(["kid", "typ", "crit", "b64", "zip", "x5c"]), JSON)


def outcome(text: str) -> Caller | Reason:
    """What comes of a token, where key-1 is known and no server is needed."""
    body = json.dumps({"keys": [jwk("key-1", signing_key("key-1"))]}).encode()
    clock = Clock()
    keys = SigningKeys(lambda: parse_key_set(body), clock.timer)
    verifier = TokenVerifier(Issuer(ISSUER, AUDIENCE, ""), keys, clock.now)
    try:
        return asyncio.run(verifier.caller(text.encode()))
    except Refused as refusal:
        return refusal.reason


@settings(max_examples=200, deadline=None)
@given(JSON | HEADERS, st.sampled_from(["RS256", "none", "HS256"]) | JSON, JSON, st.binary())
def test_no_forged_token_does_anything_but_be_refused(
    header: Any, algorithm: Any, claims: object, signature: bytes
) -> None:
    """Whatever its header says."""
    if isinstance(header, dict):
        header = {"kid": "key-1", "alg": algorithm} | header
    assert not isinstance(outcome(forged(header, claims, signature)), Caller)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(claims_at())), JSON, max_size=3))
def test_no_signed_claims_do_anything_but_be_taken_or_refused(changed: dict[str, Any]) -> None:
    """An identity provider may put anything into a token."""
    claims = json.dumps(claims_at() | changed).encode()
    text = jwt.PyJWS().encode(claims, signing_key("key-1"), "RS256", {"kid": "key-1"})
    found = outcome(text)
    assert isinstance(found, Caller) or found in WORDS


@given(st.text(st.characters(codec="utf-8")))
def test_text_that_is_no_token_is_refused(text: str) -> None:
    """As something that cannot be read."""
    assert outcome(text) == "malformed_token"
