"""Scores of a batch run as events: what readers of the scores hub get."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.event_hub.blocking import BlockingWriter
from adapters.event_hub.messages import Outgoing
from adapters.event_hub.ports import EventWriter
from adapters.event_hub.retries import Retries
from batch_scorer.plan import Plan, Shape
from batch_scorer.publishing import MOST_EVENTS, ScorePublisher, open_publisher
from batch_scorer.run_manifest import ModelReport
from batch_scorer.settings import BatchSettings
from scoring.errors import BrokerUnavailable, ConfigurationError
from scoring.identifiers import batch_entry_ids
from scoring.model import ModelBundle
from scoring.records import ScoredBatch
from scoring.score import score_valid
from scoring.validation import validate_rows
from stream_worker.handler import Handler
from stream_worker.repeats import Repeats
from tests.support.asyncapi import document_of, validator
from tests.support.broker import MemoryWriter, event, received
from tests.support.memory_hub import MemoryHub, MemoryHubWriter
from tests.support.reasons import explained
from tests.support.toy import EXAMPLE, NOW, expected_score, load_toy, records

FILE = "part=1/employees.csv"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


def plan_of(model: ModelBundle, **changes: str) -> Plan:
    """The plan of run `2026-11-23`, of records of the 22nd."""
    version = model.version
    times = {
        "run_id": "2026-11-23",
        "event_time": "2026-11-22T01:00:00+01:00",
        "started_at": "2026-11-23T02:30:00.250000+00:00",
    } | changes
    shape = Shape(
        record_id_column="record_id", chunk_records=65_536, reasons=0, columns={}, delimiter=",",
        quote='"', encoding="utf-8", decimal=".", output_format="parquet", published=True,
    )  # fmt: skip
    return Plan(
        format=1,
        input="file:///in",
        model=ModelReport(version.name, version.version, version.digest, None, "0" * 64),
        shape=shape,
        by_reference=False,
        bins={},
        files=[],
        **times,
    )


def scored_of(model: ModelBundle, rows: Sequence[Any], reasons: int = 0) -> ScoredBatch:
    """Records r0, r1, … as a unit scores them."""
    ids = [f"r{number}" for number in range(len(rows))]
    scored, rejected = score_valid(model, validate_rows(model.schema, rows, ids), reasons)
    assert not rejected
    return scored


@contextmanager
def publishing(model: ModelBundle, writer: EventWriter, **changes: str) -> Iterator[ScorePublisher]:
    """A publisher to `scores`."""
    with BlockingWriter(writer, Retries(60.0, 0.001, 0.002)) as blocking:
        yield ScorePublisher(plan_of(model, **changes), model, "scores", blocking)


def published(model: ModelBundle, scored: ScoredBatch, **changes: str) -> list[Outgoing]:
    """What is published of a unit whose rows are numbered from 1."""
    memory = MemoryWriter()
    with publishing(model, memory, **changes) as publisher:
        publisher.publish(FILE, range(1, len(scored) + 1), scored)
    return memory.messages


def test_a_score_event_of_a_run_is_as_documented(toy: ModelBundle) -> None:
    """Id, source, type, subject, time, key and data: the cause is a row of a file of a run."""
    (message,) = published(toy, scored_of(toy, [EXAMPLE]))
    found = json.loads(message.value)
    data = found.pop("data")
    assert found == {
        "specversion": "1.0",
        "id": batch_entry_ids("2026-11-23", FILE, toy.version.digest, [1])[0],
        "source": "trilane/toy",
        "type": "trilane.score.v1",
        "subject": "r0",
        "time": "2026-11-23T02:30:00.250000Z",
        "datacontenttype": "application/json",
    }
    assert data.pop("score") == pytest.approx(expected_score(EXAMPLE))
    assert data.pop("outlier_score") > 0
    assert data == {
        "record_id": "r0",
        "label": "Yes",
        "outlier": False,
        "model": {"name": "toy", "version": "7"},
        "causationid": "part=1/employees.csv#1",
        "causationsource": "urn:trilane:batch:2026-11-23",
        "causationtime": "2026-11-22T00:00:00Z",
    }
    assert (message.hub, message.key) == ("scores", b"r0")


def prediction_bytes(message: Outgoing) -> bytes:
    """The members of the prediction, as they were written."""
    start, end = message.value.index(b'"data":'), message.value.index(b'"model":')
    return message.value[start:end]


@pytest.mark.parametrize("reasons", [0, 2])
def test_both_lanes_publish_the_same_prediction(toy: ModelBundle, reasons: int) -> None:
    """To the byte, reasons included, with the same key and headers and in the same order."""
    model, rows = explained(toy), records(300)
    handler = Handler(model, "scores", "dead", 10_000, reasons)
    events = [received(event(f"r{n}", row), n) for n, row in enumerate(rows)]
    streamed = handler.compute(events, NOW).scores
    batched = published(model, scored_of(model, rows, reasons))
    assert [*map(prediction_bytes, batched)] == [*map(prediction_bytes, streamed)]
    assert (b'"reasons":' in prediction_bytes(batched[0])) == (reasons > 0)
    for one, other in zip(batched, streamed, strict=True):
        assert (one.hub, one.key, one.headers) == (other.hub, other.key, other.headers)
        shown, known = json.loads(one.value), json.loads(other.value)
        assert list(shown) == list(known)
        assert list(shown["data"]) == list(known["data"])


def test_the_schema_of_the_scores_hub_accepts_them(toy: ModelBundle) -> None:
    """The AsyncAPI document that the stream worker shows holds for both."""
    document = document_of(toy)
    described = validator(document, {"$ref": "#/components/schemas/ScoreEvent"})
    for message in published(toy, scored_of(toy, records(20))):
        described.validate(json.loads(message.value))


def test_a_unit_that_is_done_again_publishes_the_same_events(toy: ModelBundle) -> None:
    """Byte for byte, so that a reader drops all of them; other rows, files and runs give others."""
    scored = scored_of(toy, records(50))
    first = published(toy, scored)
    assert published(toy, scored) == first
    repeats = Repeats(1_000)
    ids = [json.loads(message.value)["id"] for message in first]
    assert all(map(repeats.first, ids))
    assert not any(map(repeats.first, ids))

    memory = MemoryWriter()
    with publishing(toy, memory) as publisher:
        publisher.publish("another.csv", range(1, 51), scored)
        publisher.publish(FILE, range(51, 101), scored)
    others = [e["id"] for e in memory.events("scores")]
    others += [json.loads(m.value)["id"] for m in published(toy, scored, run_id="2026-11-24")]
    assert all(map(repeats.first, others))


def test_a_large_unit_is_published_some_at_a_time_and_in_order(toy: ModelBundle) -> None:
    """Every record once, with the number of its row; the rows between them were rejected."""
    count = 2 * MOST_EVENTS + 7
    scored = scored_of(toy, records(count))
    sizes: list[int] = []

    class Counting(MemoryWriter):
        async def write(self, messages: Sequence[Outgoing]) -> None:
            sizes.append(len(messages))
            await super().write(messages)

    memory = Counting()
    with publishing(toy, memory) as publisher:
        publisher.publish(FILE, range(1, 2 * count, 2), scored)
    assert sizes == [MOST_EVENTS, MOST_EVENTS, 7]
    found = memory.events("scores")
    assert [e["subject"] for e in found] == [f"r{n}" for n in range(count)]
    causes = [e["data"]["causationid"] for e in found]
    assert causes == [f"{FILE}#{row}" for row in range(1, 2 * count, 2)]
    rows, digest = range(1, 2 * count, 2), toy.version.digest
    assert [e["id"] for e in found] == batch_entry_ids("2026-11-23", FILE, digest, rows)
    scores = [e["data"]["score"] for e in found]
    assert scores == scored.outputs["score"].tolist()


class Breaking(MemoryHubWriter):
    """A writer to a hub in memory that fails at every other write, before or after it arrived."""

    def __init__(self, hub: MemoryHub) -> None:
        super().__init__(hub, ["scores"])
        self.writes = 0

    async def write(self, messages: Sequence[Outgoing]) -> None:
        """Fail at the first, arrive at the second, arrive and fail at the third, and so on."""
        self.writes += 1
        if self.writes % 4 != 1:
            await super().write(messages)
        if self.writes % 2:
            raise BrokerUnavailable("the hub went away")


def test_a_hub_that_fails_in_the_middle_gets_everything(toy: ModelBundle) -> None:
    """What was not acknowledged is published again, and what arrived twice is the same event."""
    hub = MemoryHub(["scores"], 4)
    scored = scored_of(toy, records(3 * MOST_EVENTS))
    breaking = Breaking(hub)
    with publishing(toy, breaking) as publisher:
        publisher.publish(FILE, range(1, len(scored) + 1), scored)
    values = [e.value or b"" for partition in hub.events["scores"] for e in partition]
    assert (breaking.writes, len(values)) == (6, 4 * MOST_EVENTS)
    assert sorted(set(values)) == sorted(m.value for m in published(toy, scored))


@pytest.fixture
def settings_of(tmp_path: Path) -> Callable[..., BatchSettings]:
    """Settings with these for the hub."""

    def make(**hub: Any) -> BatchSettings:
        places: dict[str, Any] = {"bundle": tmp_path, "input": "in", "output": "out"}
        return BatchSettings(**places, publish=True, scores_hub="scores", **hub)

    return make


def test_settings_without_a_hub_are_refused(
    toy: ModelBundle, settings_of: Callable[..., BatchSettings]
) -> None:
    """Naming the flag, before anything is connected."""
    with (
        pytest.raises(ConfigurationError, match="--bootstrap-servers"),
        open_publisher(settings_of(), plan_of(toy), toy),
    ):
        pytest.fail("it was entered")


def test_a_hub_that_does_not_answer_is_noticed_at_the_start(
    toy: ModelBundle, settings_of: Callable[..., BatchSettings]
) -> None:
    """Nothing listens on port 1."""
    with (
        pytest.raises(BrokerUnavailable),
        open_publisher(settings_of(bootstrap_servers="127.0.0.1:1"), plan_of(toy), toy),
    ):
        pytest.fail("it was entered")
