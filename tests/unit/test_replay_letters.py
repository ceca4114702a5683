"""Dead letters hold what a replay needs, and a replay reads them."""

import json
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.event_hub.messages import Headers, Received
from scoring.errors import ConfigurationError
from scoring.records import ModelVersion, Rejection, RejectionCode, Violation
from stream_worker.dead_letter import dead_letter
from stream_worker.replay.filters import Filters
from stream_worker.replay.letters import Letter, read_letter
from stream_worker.replay.settings import Code, ReplaySettings

NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
MODEL = ModelVersion("toy", "7", "d" * 64)
REJECTION = Rejection(0, "17", (Violation("n", RejectionCode.WRONG_TYPE, "must be an integer"),))
HEADERS: Headers = (("ce_id", b"a"), ("h", b"\xff\x00"), ("h", b""))
EVENT = Received("events", 2, 5, 1772452800123, b"\xffkey", b"\xff{value", HEADERS)


def letter_of(received: Received, max_bytes: int = 900_000) -> tuple[Letter, bytes]:
    """The dead letter of an event, read again, and its bytes."""
    message = dead_letter("dead", received, None, REJECTION, MODEL, 1, NOW, max_bytes)
    letter = read_letter(Received("dead", 0, 0, 1, message.key, message.value, message.headers))
    assert letter is not None
    return letter, message.value


_HEADERS = st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.binary())).map(tuple)
_MILLISECONDS = st.integers(-1, 250_000_000_000_000)
_BYTES = st.none() | st.binary()


@given(_BYTES, _BYTES, _HEADERS, _MILLISECONDS)
def test_an_event_comes_back_as_it_was(
    value: bytes | None, key: bytes | None, headers: Headers, milliseconds: int
) -> None:
    """Place, value, key, headers and the hub's time, whatever they hold."""
    event = Received("events", 3, 2**40, milliseconds, key, value, headers)
    letter, _ = letter_of(event)
    assert letter.replayable
    assert letter.event() == event


def test_the_members_are_as_documented() -> None:
    """Their order, and the form of those that a replay needs."""
    _, value = letter_of(EVENT)
    data = json.loads(value)["data"]
    assert list(data) == [
        *("code", "detail", "attempts", "record_id", "model", "causationid", "causationsource"),
        *("hub", "partition", "offset"),
        *("original", "original_headers", "original_key", "original_time"),
    ]
    assert data["original_headers"] == [["ce_id", "YQ=="], ["h", "/wA="], ["h", ""]]
    assert data["original_key"] == "/2tleQ=="
    assert data["original_time"] == "2026-03-02T12:00:00.123000Z"


@pytest.mark.parametrize(
    "large",
    [
        Received("events", 2, 5, 1, b"k", b"v" * 900, ()),
        Received("events", 2, 5, 1, b"k" * 900, b"v", ()),
        Received("events", 2, 5, 1, b"k", b"v", (("h", b"h" * 900),)),
        Received("events", 2, 5, 1, b"k", b"v", (("h" * 900, b"h"),)),
    ],
    ids=["value", "key", "header", "name"],
)
def test_all_of_the_event_is_left_out_or_nothing(large: Received) -> None:
    """Where it would make the dead letter too large, the members are there and null."""
    letter, value = letter_of(large, max_bytes=1000)
    assert len(value) <= 1000
    names = ("original", "original_headers", "original_key", "original_time")
    assert {name: json.loads(value)["data"][name] for name in names} == dict.fromkeys(names)
    assert not letter.replayable
    assert letter_of(large)[0].replayable


def test_a_dead_letter_of_before_is_replayable() -> None:
    """Without the members that were added, it has the value."""
    _, value = letter_of(EVENT)
    document = json.loads(value)
    for name in ("original_headers", "original_key", "original_time"):
        del document["data"][name]
    letter = read_letter(Received("dead", 0, 0, 1, None, json.dumps(document).encode(), ()))
    assert letter is not None
    assert letter.replayable
    assert letter.event() == Received("events", 2, 5, -1, None, EVENT.value, ())
    document["data"]["original"] = None
    letter = read_letter(Received("dead", 0, 0, 1, None, json.dumps(document).encode(), ()))
    assert letter is not None
    assert not letter.replayable


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "trilane.score.v1"},
        {"id": "../../etc"},
        {"id": "d" * 32 + "\n"},
        {"time": "2026-03-02T12:00:00"},
        {"data": {}},
        {"data": None},
    ],
)
def test_what_is_no_dead_letter_is_none(changes: dict[str, Any]) -> None:
    """Events of other types and forms."""
    _, value = letter_of(EVENT)
    document = json.dumps(json.loads(value) | changes).encode()
    assert read_letter(Received("dead", 0, 0, 1, None, document, ())) is None


@pytest.mark.parametrize("value", [None, b"", b"{", b"\xff", b"[" * 100_000, b'{"original": "*"}'])
def test_what_is_no_event_is_none(value: bytes | None) -> None:
    """Bytes of any kind."""
    assert read_letter(Received("dead", 0, 0, 1, None, value, ())) is None


@pytest.mark.parametrize("name", ["original", "original_key", "original_time"])
def test_a_member_of_another_form_makes_it_none(name: str) -> None:
    """Text that is no base64, and no time."""
    _, value = letter_of(EVENT)
    document = json.loads(value)
    document["data"][name] = "*"
    assert read_letter(Received("dead", 0, 0, 1, None, json.dumps(document).encode(), ())) is None


FITTING: dict[str, Any] = {
    "codes": frozenset({"wrong_type", "malformed"}),
    "since": NOW,
    "until": datetime(2026, 3, 2, 12, 31, tzinfo=UTC),
    "record_id": "17",
    "model_version": "7",
    "place": ("events", 2),
    "offset": 5,
}
OTHER: dict[str, Any] = {
    "codes": frozenset({"malformed"}),
    "since": datetime(2026, 3, 2, 12, 31, tzinfo=UTC),
    "until": NOW,
    "record_id": "18",
    "model_version": "8",
    "place": ("events", 3),
    "offset": 6,
}


def test_every_filter_must_fit() -> None:
    """All of them let the dead letter through, and each alone can keep it out."""
    letter, _ = letter_of(EVENT)
    assert Filters("toy").take(letter)
    assert Filters("toy", **FITTING).take(letter)
    for name, value in OTHER.items():
        assert not Filters("toy", **FITTING | {name: value}).take(letter), name
    assert not Filters("toy", place=("others", 2)).take(letter)


def test_dead_letters_of_another_model_are_left() -> None:
    """Its events are none of this model's."""
    letter, _ = letter_of(EVENT)
    assert not Filters("another").take(letter)


def test_settings_become_filters() -> None:
    """Each flag is the filter of its name."""
    settings = ReplaySettings.model_validate(
        {
            "bundle": "b", "code": ["wrong_type", "malformed"], "since": NOW,
            "until": FITTING["until"], "record_id": "17", "model_version": "7",
            "events_hub": "events", "hub_partition": 2, "offset": 5,
        }
    )  # fmt: skip
    assert settings.filters("toy") == Filters("toy", **FITTING)
    open_ = ReplaySettings.model_validate({"bundle": "b"})
    assert open_.filters("toy") == Filters("toy")
    lone = ReplaySettings.model_validate({"bundle": "b", "offset": 0})
    with pytest.raises(ConfigurationError, match="--hub-partition"):
        lone.filters("toy")


def test_every_code_of_a_dead_letter_can_be_asked_for() -> None:
    """All codes, but that of a request, which only the online API gives."""
    assert set(get_args(Code)) == {*map(str, RejectionCode)} - {"request_rejected"}
