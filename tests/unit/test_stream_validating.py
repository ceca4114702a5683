"""Events that are decoded straight to rows: nothing but the time it takes is different."""

import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.event_hub.messages import Headers, Received
from scoring.records import RecordBatch, Validated
from scoring.schema import Feature, FieldType, Schema
from scoring.typed_rows import typed_rows
from scoring.validation import validate_rows
from stream_worker.cloudevents import Event, EventDecoder
from stream_worker.handler import Handler
from stream_worker.validating import validated
from tests.support.broker import attributes, event, received
from tests.support.toy import load_toy

NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
MAX = 10_000
SCHEMA = Schema(
    tuple(
        Feature(name, kind, required)
        for name, kind, required in (
            ("name", FieldType.STRING, True),
            ("n", FieldType.LONG, True),
            ("small", FieldType.INTEGER, True),
            ("x", FieldType.DOUBLE, True),
            ("half", FieldType.FLOAT, True),
            ("flag", FieldType.BOOLEAN, True),
            ("at", FieldType.DATETIME, True),
            ("maybe", FieldType.DOUBLE, False),
            ("some", FieldType.LONG, False),
            ("said", FieldType.STRING, False),
        )
    ),
    frozenset({"comment"}),
)

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.integers(-3, 3), st.floats(),
    st.sampled_from([3.0, 1e300, 2**31, 2**63, "3", "", "é", "2026-03-02T10:00:00Z", [1], {}]),
)  # fmt: skip
GOOD = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["junior", "senior", "é"]),
        "n": st.integers(-(2**63), 2**63 - 1),
        "small": st.integers(-5, 5),
        "x": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-5, 5),
        "half": st.floats(width=32, allow_nan=False, allow_infinity=False),
        "flag": st.booleans(),
        "at": st.just("2026-03-02T10:00:00Z"),
    },
    optional={
        "maybe": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "said": st.none() | st.just("a"),
        "some": st.none() | st.integers(-5, 5),
        "comment": VALUES,
    },
)
SUBJECTS = st.sampled_from(["17", "é", "", None, "s" * 256, "s" * 257])
BINARY: Headers = tuple(
    (f"ce_{name}", value)
    for name, value in (("specversion", b"1.0"), ("id", b"e1"), ("source", b"s"), ("type", b"t"))
)


@st.composite
def data(draw: st.DrawFn) -> Any:
    """A good record most of the time, or one with something wrong, or anything."""
    record: dict[str, Any] = draw(GOOD)
    what = draw(st.integers(0, 9))
    if what == 0:
        record[draw(st.sampled_from([*record, "extra"]))] = draw(VALUES)
    elif what == 1:
        del record[draw(st.sampled_from(list(record)))]
    elif what == 2:
        return draw(VALUES)
    return record


@st.composite
def messages(draw: st.DrawFn, records: st.SearchStrategy[Any]) -> tuple[bytes | None, Headers]:
    """Value and headers of an event in either mode, or of something that is none."""
    record, what = draw(records), draw(st.integers(0, 13))
    if what == 0:
        return draw(st.binary(max_size=9) | st.just(b"x" * (MAX + 1)) | st.none()), ()
    if what <= 3:
        subject = draw(SUBJECTS)
        headers = BINARY if subject is None else (*BINARY, ("ce_subject", subject.encode()))
        return json.dumps(record).encode(), headers
    attributes: dict[str, Any] = {"subject": draw(SUBJECTS)}
    if what in (4, 5, 6):
        name = draw(st.sampled_from(["id", "source", "type", "time", "specversion", "traceparent"]))
        attributes[name] = draw(VALUES | st.sampled_from(["0.3", "2026-03-02T10:00:00"]))
    raw = event("e1", record, **attributes)
    if what == 7:  # some byte is another one, or the text ends too early
        place = draw(st.integers(0, len(raw) - 1))
        raw = raw[:place] + draw(st.binary(max_size=1)) + raw[place + 1 :]
    return raw, ()


def decoders() -> tuple[EventDecoder, EventDecoder]:
    """Of plain JSON, and of rows of the schema."""
    rows = typed_rows(SCHEMA, None)
    assert rows is not None
    return EventDecoder(MAX), EventDecoder(MAX, rows.row)


@settings(max_examples=400, deadline=None)
@given(messages(data()))
def test_an_event_is_the_same_with_and_without_a_row(message: tuple[bytes | None, Headers]) -> None:
    """The same attributes or the same broken rule, whatever was sent; asked for plain data, the
    decoder of rows gives it.
    """
    plain, quick = decoders()
    given_event = received(message[0], headers=message[1])
    expected, found = plain.decode(given_event), quick.decode(given_event)
    assert repr(quick.decode(given_event, plain=True)) == repr(expected)  # as NaN is not itself
    if isinstance(found, Event) and isinstance(expected, Event):
        assert not expected.typed
        assert found.typed or repr(found.data) == repr(expected.data)
        assert attributes(found) == attributes(expected)
    else:
        assert found == expected


def same_batch(found: RecordBatch, expected: RecordBatch) -> None:
    """Ids and bits."""
    assert found.record_ids == expected.record_ids
    for one, other in zip(found.columns, expected.columns, strict=True):
        assert one.dtype == other.dtype
        if one.dtype == object:
            assert one.tolist() == other.tolist()
        else:
            assert one.tobytes() == other.tobytes()


def checked(values: Sequence[tuple[bytes | None, Headers]]) -> tuple[Validated, Validated]:
    """The verdict of the quick path, and that of `validate_rows` over plain JSON."""
    plain, quick = decoders()
    taken = [received(value, at, headers) for at, (value, headers) in enumerate(values)]
    good = [r for r in taken if isinstance(plain.decode(r), Event)]
    events = [e for e in map(quick.decode, good) if isinstance(e, Event)]
    found = validated(SCHEMA, typed_rows(SCHEMA, None), quick, events, good)
    decoded = [e for e in map(plain.decode, good) if isinstance(e, Event)]
    expected = validate_rows(SCHEMA, [e.data for e in decoded], [e.subject for e in decoded])
    return found, expected


@settings(max_examples=300, deadline=None)
@given(st.lists(messages(data()), max_size=7))
def test_the_quick_path_gives_the_verdicts_of_validation(
    values: list[tuple[bytes | None, Headers]],
) -> None:
    """For any mix of good and bad events: the same records with the same bits in the same places,
    the same rejections with code and rule.
    """
    found, expected = checked(values)
    same_batch(found.batch, expected.batch)
    assert found.positions.tolist() == expected.positions.tolist()
    assert found.rejections == expected.rejections


GOOD_RECORD: Mapping[str, Any] = {
    "name": "a", "n": 1, "small": 2, "x": 0.5, "half": 0.5, "flag": True,
    "at": "2026-03-02T10:00:00Z",
}  # fmt: skip


@pytest.mark.parametrize("kinds", [*itertools.product("grsv", repeat=3)])
def test_rows_and_others_are_merged_in_order(kinds: tuple[str, ...]) -> None:
    """A good record, a bad one, one without an id, and a good one that cannot be decoded to a row,
    as it is no JSON in the narrow sense: in any order.
    """
    records = {
        "g": GOOD_RECORD,
        "r": {**GOOD_RECORD, "n": "text"},
        "s": GOOD_RECORD,
        "v": {**GOOD_RECORD, "comment": float("nan")},
    }
    values: list[tuple[bytes | None, Headers]] = [
        (event("e", records[kind], subject=None if kind == "s" else str(at), id=str(at)), ())
        for at, kind in enumerate(kinds)
    ]
    values = [
        (raw if kind != "s" else (raw or b"").replace(b'"subject"', b'"object"'), headers)
        for (raw, headers), kind in zip(values, kinds, strict=True)
    ]
    found, expected = checked(values)
    assert found.positions.tolist() == [at for at, kind in enumerate(kinds) if kind in "gv"]
    assert found.rejections == expected.rejections
    same_batch(found.batch, expected.batch)


@pytest.fixture(scope="module")
def handlers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Handler, Handler]:
    """One that decodes straight to rows, and one of the same model that cannot: a field that it
    ignores has a name that is none for a row.
    """
    model = load_toy(tmp_path_factory.mktemp("bundle"), reference=0)
    schema = dataclasses.replace(model.schema, ignored=model.schema.ignored | {'"'})
    other = dataclasses.replace(model, schema=schema)
    assert typed_rows(model.schema, None) is not None
    assert typed_rows(other.schema, None) is None
    return Handler(model, "scores", "dead", MAX), Handler(other, "scores", "dead", MAX)


TOY = st.fixed_dictionaries(
    {
        "x": st.floats(allow_nan=False, allow_infinity=False),
        "n": st.integers(0, 20),
        "flag": st.booleans(),
        "name": st.sampled_from(["junior", "senior"]),
    },
    optional={"comment": VALUES},
)


def everything(handler: Handler, taken: Sequence[Received]) -> dict[str, Any]:
    """What steps 1 to 3 made, but for the time they took; numbers as their bits."""
    results = handler.compute(taken, NOW)
    batch, scored = results.scored.batch, results.scored
    found = (*batch.columns, *scored.outputs.values(), scored.outlier_scores, scored.outliers)
    columns = [column for column in found if column is not None]
    entries = results.entries
    return {
        "ids": batch.record_ids,
        "bits": [
            c.tolist() if c.dtype == object else c.tobytes() for c in columns if c is not None
        ],
        "events": list(map(attributes, results.events)),
        "scores": results.scores,
        "rejected": [
            (r.received, r.event and attributes(r.event), r.rejection) for r in results.rejected
        ],
        "dead letters": handler.dead_letters(results, 1),
        "entry ids": entries.entry_ids,
        "times": entries.event_times,
        "request": entries.request_id,
    }


@settings(deadline=None)
@given(st.lists(messages(TOY | data()), max_size=7))
def test_both_handlers_do_the_same(
    handlers: tuple[Handler, Handler], values: list[tuple[bytes | None, Headers]]
) -> None:
    """For any mix of good and bad events: ids, scores bit by bit, rejections with their details,
    messages and log entries, all in the same order.
    """
    taken = [received(value, at, headers) for at, (value, headers) in enumerate(values)]
    quick, plain = (everything(handler, taken) for handler in handlers)
    assert quick == plain
