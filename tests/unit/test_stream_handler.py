"""Steps 1 to 3 of the stream lane, and what 4 and 5 publish."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from adapters.event_hub.messages import Received
from scoring.identifiers import derived_id
from scoring.model import ModelBundle
from stream_worker.handler import Handler
from tests.support.broker import SOURCE, event, published, received
from tests.support.reasons import expected_reasons, explained
from tests.support.toy import EXAMPLE, expected_score, load_toy, records

NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
MAX = 10_000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("bundle"), reference=0)


def handler_of(model: ModelBundle, reasons: int = 0) -> Handler:
    """A handler with a small limit."""
    return Handler(model, "scores", "dead", MAX, reasons)


async def test_a_score_event_is_as_documented(model: ModelBundle) -> None:
    """Id, source, type, subject, time, key and data of a score event."""
    writer = await published(model, NOW, MAX, event("e1", EXAMPLE, "17"))
    (found,) = writer.events("scores")
    data = found.pop("data")
    assert found == {
        "specversion": "1.0",
        "id": derived_id(SOURCE, "e1", model.version.digest),
        "source": "trilane/toy",
        "type": "trilane.score.v1",
        "subject": "17",
        "time": "2026-03-02T12:30:00Z",
        "datacontenttype": "application/json",
    }
    assert data.pop("score") == pytest.approx(expected_score(EXAMPLE))
    assert data.pop("outlier_score") > 0
    assert data == {
        "record_id": "17",
        "label": "Yes",
        "outlier": False,
        "model": {"name": "toy", "version": "7"},
        "causationid": "e1",
        "causationsource": SOURCE,
        "causationtime": "2026-03-02T11:30:00Z",
    }
    assert writer.messages[0].key == b"17"
    assert dict(writer.messages[0].headers)["content-type"].startswith(b"application/cloudevents")


async def test_a_dead_letter_is_as_documented(model: ModelBundle) -> None:
    """Id, type, subject, key and data of a dead letter; the original bytes come back."""
    raw = event("e1", EXAMPLE | {"n": "secret"}, "17")
    writer = await published(model, NOW, MAX, raw)
    (found,) = writer.events("dead")
    assert found["id"] == derived_id(SOURCE, "e1", model.version.digest)
    assert found["type"] == "trilane.rejection.v1"
    assert found["subject"] == "17"
    assert base64.b64decode(found["data"].pop("original")) == raw
    assert found["data"] == {
        "code": "wrong_type",
        "detail": "n: must be an integer",
        "attempts": 1,
        "record_id": "17",
        "model": {"name": "toy", "version": "7"},
        "causationid": "e1",
        "causationsource": SOURCE,
        "hub": "events",
        "partition": 2,
        "offset": 0,
        "original_headers": [],
        "original_key": "aw==",
        "original_time": "2026-03-02T12:00:00Z",
    }
    assert writer.messages[0].key == b"17"


def without(field: str) -> dict[str, Any]:
    """The example without one field."""
    return {name: value for name, value in EXAMPLE.items() if name != field}


POISON: dict[str, tuple[bytes | None, str]] = {
    "missing field": (event("p", without("x")), "missing_field"),
    "wrong type": (event("p", EXAMPLE | {"n": "3"}), "wrong_type"),
    "null": (event("p", EXAMPLE | {"name": None}), "null_value"),
    "unknown field": (event("p", EXAMPLE | {"extra": 1}), "unknown_field"),
    "out of range": (event("p", EXAMPLE | {"n": 2**70}), "out_of_range"),
    "NaN": (event("p", EXAMPLE | {"x": float("nan")}), "not_finite"),
    "no JSON": (b"{", "malformed"),
    "not UTF-8": (b'{"id": "\xff\xfe"}', "malformed"),
    "tombstone": (None, "malformed"),
    "no object": (event("p", [1, 2]), "malformed"),
    "no data": (event("p", None), "malformed"),
    "no subject": (event("p", EXAMPLE).replace(b"subject", b"object"), "invalid_record_id"),
    "long subject": (event("p", EXAMPLE, "s" * 257), "invalid_record_id"),
    "oversized": (b"x" * (MAX + 1), "too_large"),
}  # fmt: skip


@pytest.mark.parametrize("kind", POISON)
async def test_a_poisonous_event_is_rejected_and_its_neighbours_are_scored(
    model: ModelBundle, kind: str
) -> None:
    """One dead letter with the right code; the events around it get the scores they get alone."""
    poison, code = POISON[kind]
    first, last = records(2)
    writer = await published(model, NOW, MAX, event("a", first), poison, event("b", last))
    (dead,) = writer.events("dead")
    assert dead["data"]["code"] == code
    assert dead["data"]["offset"] == 1
    scores = {e["subject"]: e["data"]["score"] for e in writer.events("scores")}
    assert scores == {
        "a": pytest.approx(expected_score(first)),
        "b": pytest.approx(expected_score(last)),
    }


async def test_an_undecodable_event_is_identified_by_its_place(model: ModelBundle) -> None:
    """Its dead letter is keyed like the event and has an id from hub, partition and offset."""
    writer = await published(model, NOW, MAX, b"{")
    (dead,) = writer.events("dead")
    assert dead["id"] == derived_id("events", "2", "0", model.version.digest)
    assert dead["data"]["causationid"] is None
    assert "subject" not in dead
    assert writer.messages[0].key == b"k"


async def test_no_dead_letter_exceeds_the_limit(model: ModelBundle) -> None:
    """The original is left out where base64 would make the dead letter too large, and a long
    detail is shortened.
    """
    many = {f"field-{i}-{'x' * 120}": 1 for i in range(20)}
    values = [b"x" * (MAX + 1), b"{" + b" " * (MAX - 2), event("many", EXAMPLE | many)]
    writer = await published(model, NOW, MAX, *values)
    codes = [e["data"]["code"] for e in writer.events("dead")]
    assert codes == ["too_large", "malformed", "unknown_field"]
    assert [e["data"]["original"] is None for e in writer.events("dead")] == [True, True, False]
    assert len(writer.events("dead")[2]["data"]["detail"]) == 2000
    assert all(len(m.value) <= MAX for m in writer.messages)


def test_results_add_up_and_keep_their_order(model: ModelBundle) -> None:
    """Scored plus rejected is received; log entries stand scored first, rejected after."""
    rows = records(6)
    values = [event(f"e{i}", row) for i, row in enumerate(rows)]
    values[1], values[4] = b"{", event("e4", {})
    batch = [received(value, offset) for offset, value in enumerate(values)]
    results = handler_of(model).compute(batch, NOW)
    assert [e.id for e in results.events] == ["e0", "e2", "e3", "e5"]
    assert [r.rejection.position for r in results.rejected] == [1, 4]
    assert len(results.entries) == len(results.scored) + len(results.rejected) == 6
    digest = model.version.digest
    assert list(results.entries.entry_ids) == [
        *(derived_id(SOURCE, f"e{i}", digest) for i in (0, 2, 3, 5)),
        derived_id("events", "2", "1", digest),
        derived_id(SOURCE, "e4", digest),
    ]
    assert results.entries.request_id == "events/2/0-5"


def test_event_time_falls_back_to_the_hub(model: ModelBundle) -> None:
    """The event's time, else the time the hub gave it, else now; the score says it too."""
    batch = [received(event("a", EXAMPLE)), received(event("b", EXAMPLE, time=None), 1)]
    for offset, unknown in ((2, -1), (3, 10**17)):
        batch.append(msgspec.structs.replace(batch[1], offset=offset, timestamp_ms=unknown))
    results = handler_of(model).compute(batch, NOW)
    at = [datetime(2026, 3, 2, 11, 30, tzinfo=UTC), datetime(2026, 3, 2, 12, 0, tzinfo=UTC)]
    assert list(results.entries.event_times) == [*at, NOW, NOW]
    told = [json.loads(m.value)["data"]["causationtime"] for m in results.scores]
    assert told == [f"{time:%Y-%m-%dT%H:%M:%SZ}" for time in (*at, NOW, NOW)]


def test_nothing_in_nothing_out(model: ModelBundle) -> None:
    """An empty batch has empty results."""
    results = handler_of(model).compute([], NOW)
    assert (len(results.scored), results.rejected, len(results.entries)) == (0, (), 0)


def test_dead_letters_say_which_try_they_come_from(model: ModelBundle) -> None:
    """And are the same otherwise, id included; scores do not change with the try."""
    handler = handler_of(model)
    results = handler.compute([received(event("a", EXAMPLE)), received(b"{", 1)], NOW)
    [first], [third] = (handler.dead_letters(results, attempt) for attempt in (1, 3))
    assert first.value.replace(b'"attempts":1', b'"attempts":3') == third.value
    assert (first.hub, [m.hub for m in results.scores]) == ("dead", ["scores"])


def test_steps_say_how_long_they_took(model: ModelBundle) -> None:
    """Each of them, in seconds."""
    results = handler_of(model).compute([received(event("a", EXAMPLE))], NOW)
    assert set(results.seconds) == {"decode", "validate", "score", "encode"}
    assert all(spent > 0 for spent in results.seconds.values())


def test_a_repeat_gives_the_same_ids(model: ModelBundle) -> None:
    """Whenever it is scored and however events are taken together, so that readers can tell."""
    batch = [received(event("a", EXAMPLE)), received(b"{", 1), received(event("b", EXAMPLE), 2)]

    def ids(batches: Sequence[Sequence[Received]], now: datetime) -> tuple[set[str], set[str]]:
        handler, events, entries = handler_of(model), set[str](), set[str]()
        for taken in batches:
            results = handler.compute(taken, now)
            messages = [*results.scores, *handler.dead_letters(results, 1)]
            events |= {json.loads(m.value)["id"] for m in messages}
            entries |= set(results.entries.entry_ids)
        return events, entries

    found = ids([batch], NOW)
    assert list(map(len, found)) == [3, 3]
    assert ids([[each] for each in batch], NOW + timedelta(hours=1)) == found


async def test_scores_carry_reasons_when_asked_for(model: ModelBundle) -> None:
    """As many as the setting says, in the place the online API has them; the rest is the same."""
    values = (event("a", EXAMPLE), b"{")
    writer = await published(explained(model), NOW, MAX, *values, reasons=2)
    ((found,), (dead,)) = writer.events("scores"), writer.events("dead")
    assert found["data"].pop("reasons") == expected_reasons(EXAMPLE, 2)
    assert dead["data"]["code"] == "malformed"
    plain = await published(model, NOW, MAX, *values)
    assert [found] == plain.events("scores")
