"""A replay, without a broker."""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pytest

from adapters.event_hub.messages import Received
from adapters.storage import Storage, open_storage
from scoring.errors import BrokerUnavailable, TransientError
from scoring.identifiers import derived_id
from scoring.model import ModelBundle
from stream_worker.handler import Handler
from stream_worker.replay.filters import Filters
from stream_worker.replay.ledger import Ledger
from stream_worker.replay.lines import Lines
from stream_worker.replay.replaying import Ends, Replay
from stream_worker.replay.report import Counts, Report, Run
from tests.support.broker import SOURCE, MemoryLog, MemoryWriter, event, received
from tests.support.toy import EXAMPLE, expected_score, load_toy

NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
MAX = 10_000
EXTRA = EXAMPLE | {"extra": 1}


class Writer(MemoryWriter):
    """An `EventWriter` in memory."""

    async def connect(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        pass


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The model that rejected the events: it knows no field `extra`."""
    return load_toy(tmp_path_factory.mktemp("before"), reference=0)


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The model of now, which ignores `extra`."""
    directory = tmp_path_factory.mktemp("after")
    return load_toy(directory, reference=0, version="8", ignored=("comment", "extra"))


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """Empty storage."""
    return open_storage(tmp_path.as_uri())


def dead_letters(model: ModelBundle, values: Sequence[bytes | None]) -> list[Received]:
    """The dead letters of these events, in partition 1 of their hub."""
    handler = Handler(model, "scores", "dead", MAX)
    events = [received(value, offset) for offset, value in enumerate(values)]
    messages = handler.dead_letters(handler.compute(events, NOW), 1)
    assert len(messages) == len(values)
    return [
        Received("dead", 1, offset, 1, m.key, m.value, m.headers)
        for offset, m in enumerate(messages)
    ]


class Replayed:
    """What a run did."""

    def __init__(self, storage: Storage, model: ModelBundle, **options: Any) -> None:
        """`options` are those of `Run`, or `max_records`, `writer` and `log`."""
        self.writer: Writer = options.pop("writer", None) or Writer()
        self.log: MemoryLog = options.pop("log", None) or MemoryLog()
        self.report = Report()
        self.storage = storage
        self.heard: list[tuple[int, int]] = []
        max_records = options.pop("max_records", 500)
        told: dict[str, Any] = {
            "id": "r1", "started_at": NOW, "model": model.version, "dead_letters_hub": "dead",
            "scores_hub": "scores", "filters": Filters("toy"), "dry_run": False, "again": False,
        }  # fmt: skip
        self.run = Run(**told | options)
        ledger = Ledger(storage, self.run.id)
        self._replay = Replay(
            self.run,
            Handler(model, "scores", "dead", MAX),
            ledger,
            None if self.run.dry_run else Ends(self.writer, self.log, ledger),
            self.report,
            Lines(storage, self.run),
            max_records,
            lambda: NOW,
            lambda read, scored: self.heard.append((read, scored)),
        )

    async def all(self, events: Sequence[Received]) -> Self:
        """Replay these."""

        async def given() -> AsyncIterator[Received]:
            for one in events:
                yield one

        await self._replay.all(given())
        return self

    @property
    def counts(self) -> Counts:
        """What it counted; the sums are looked at."""
        c = self.report.counts
        assert c.read == c.foreign + c.repeated + c.distinct
        kept = c.filtered_out + c.already_replayed
        assert c.distinct == kept + c.no_original + c.scored + c.still_rejected
        return c

    def lines(self) -> list[dict[str, Any]]:
        """The lines of its report."""
        found = []
        for file in self.storage.list(self.run.path("")):
            if file.path.endswith(".jsonl"):
                found += [json.loads(x) for x in self.storage.read(file.path).splitlines()]
        return found


async def test_what_is_scored_now_is_published_and_logged(
    before: ModelBundle, after: ModelBundle, storage: Storage
) -> None:
    """The score is the one that the worker would have published; the log entry is no repeat of the
    rejection's; what is rejected again is only told.
    """
    letters = dead_letters(before, [event("a", EXTRA, "17"), event("b", {}, "18"), b"{"])
    done = await Replayed(storage, after).all(letters)

    (score,) = done.writer.messages
    same = Handler(after, "scores", "dead", MAX).compute([received(event("a", EXTRA, "17"))], NOW)
    assert [score] == list(same.scores)
    found = json.loads(score.value)
    assert found["id"] == derived_id(SOURCE, "a", after.version.digest)
    assert found["data"]["score"] == pytest.approx(expected_score(EXAMPLE))

    (entries,) = done.log.batches
    assert (entries.lane, entries.request_id, entries.rejected) == ("stream", "replay/r1", ())
    assert entries.entry_ids == [derived_id("stream-replay", SOURCE, "a", after.version.digest)]
    assert entries.event_times == [datetime(2026, 3, 2, 11, 30, tzinfo=UTC)]
    assert list(entries.scored.batch.record_ids) == ["17"]

    assert done.counts == Counts(read=3, distinct=3, scored=1, still_rejected=2)
    assert done.heard == [(3, 1)]
    shown = [(x["record_id"], x["code"], x["outcome"], x["new_code"]) for x in done.lines()]
    assert shown == [
        ("17", "unknown_field", "scored", None),
        ("18", "missing_field", "still_rejected", "missing_field"),
        (None, "malformed", "still_rejected", "malformed"),
    ]
    assert [x["id"] for x in done.lines()] == [json.loads(x.value or b"")["id"] for x in letters]


async def test_an_event_without_a_time_has_that_of_the_hub(
    before: ModelBundle, after: ModelBundle, storage: Storage
) -> None:
    """The event time of a replayed record is the one it would have had."""
    done = await Replayed(storage, after).all(dead_letters(before, [event("a", EXTRA, time=None)]))
    assert done.log.batches[0].event_times == [datetime(2026, 3, 2, 12, 0, tzinfo=UTC)]


async def test_an_event_in_binary_mode_has_its_headers(
    before: ModelBundle, after: ModelBundle, storage: Storage
) -> None:
    """Its attributes come from them."""
    headers = tuple(
        (f"ce_{name}", value)
        for name, value in {
            "specversion": b"1.0", "id": b"a", "source": b"s", "type": b"t", "subject": b"17",
        }.items()
    )  # fmt: skip
    handler = Handler(before, "scores", "dead", MAX)
    binary = received(json.dumps(EXTRA).encode(), 0, (*headers, ("h", b"\xff")))
    (message,) = handler.dead_letters(handler.compute([binary], NOW), 1)
    done = await Replayed(storage, after).all([Received("dead", 1, 0, 1, None, message.value, ())])
    assert done.writer.events("scores")[0]["data"]["causationsource"] == "s"


async def test_a_second_run_takes_none_again_unless_told(
    before: ModelBundle, after: ModelBundle, storage: Storage
) -> None:
    """What was scored is skipped by every later run; what was rejected is tried again."""
    letters = dead_letters(before, [event("a", EXTRA), event("b", {}), event("c", EXTRA)])
    first = await Replayed(storage, after, max_records=1).all(letters)
    assert first.counts == Counts(read=3, distinct=3, scored=2, still_rejected=1)
    second = await Replayed(storage, after, id="r2").all(letters)
    assert second.counts == Counts(read=3, distinct=3, already_replayed=2, still_rejected=1)
    assert second.writer.messages == []
    assert second.log.batches == []
    third = await Replayed(storage, after, id="r3", again=True).all(letters)
    assert third.counts == first.counts
    assert third.writer.messages == first.writer.messages
    fourth = await Replayed(storage, after, id="r4").all(letters)
    assert fourth.counts == second.counts


async def test_a_dry_run_leaves_nothing_but_its_report(
    before: ModelBundle, after: ModelBundle, storage: Storage
) -> None:
    """It counts what a run would do, and the run then does it."""
    letters = dead_letters(before, [event("a", EXTRA), event("b", {})])
    dry = await Replayed(storage, after, dry_run=True).all(letters)
    assert (dry.writer.messages, dry.log.batches) == ([], [])
    assert {file.path.split("/")[1] for file in storage.list("replays")} == {"run=r1"}
    real = await Replayed(storage, after, id="r2").all(letters)
    assert real.counts == dry.counts == Counts(read=2, distinct=2, scored=1, still_rejected=1)
    assert real.lines() == dry.lines()


async def test_everything_in_the_hub_is_counted(
    before: ModelBundle, after: ModelBundle, storage: Storage
) -> None:
    """Repeats, events of other kinds, dead letters without their event, and those kept out."""
    letters = dead_letters(before, [event("a", EXTRA), b"x" * (MAX + 1), event("b", {})])
    foreign = [received(None), received(b"{}"), received(event("a", EXAMPLE))]
    filters = Filters("toy", codes=frozenset({"unknown_field", "too_large"}))
    done = await Replayed(storage, after, filters=filters).all([*letters, *foreign, *letters[:2]])
    assert done.counts == Counts(
        read=8, foreign=3, repeated=2, distinct=3, filtered_out=1, no_original=1, scored=1
    )
    assert [x["outcome"] for x in done.lines()] == ["no_original", "scored"]


@pytest.mark.parametrize("where", ["hub", "log", "ledger"])
async def test_after_a_failure_the_batch_is_taken_again(
    before: ModelBundle, after: ModelBundle, storage: Storage, tmp_path: Path, where: str
) -> None:
    """Whatever failed: the next run publishes and logs it under the same ids."""
    letters = dead_letters(before, [event(name, EXTRA) for name in "abcd"])
    broken: dict[str, Any] = {}
    if where == "hub":
        broken["writer"] = Writer([BrokerUnavailable("no")])
    if where == "log":
        broken["log"] = MemoryLog(failures=1)
    if where == "ledger":
        (tmp_path / "replays").mkdir()
        (tmp_path / "replays" / "ledger").write_text("")  # in the way of the directory
    first = Replayed(storage, after, max_records=2, **broken)
    with pytest.raises(TransientError):
        await first.all(letters)
    if where == "ledger":
        (tmp_path / "replays" / "ledger").unlink()
    second = await Replayed(storage, after, id="r2", max_records=2).all(letters)
    assert second.counts == Counts(read=4, distinct=4, scored=4)
    ids = [derived_id(SOURCE, name, after.version.digest) for name in "abcd"]
    assert [e["id"] for e in second.writer.events("scores")] == ids
    assert len(first.writer.messages) == (0 if where == "hub" else 2)
    assert {e["id"] for e in first.writer.events("scores")} <= set(ids)
    assert sum(map(len, second.log.batches)) == 4


async def test_batches_are_bounded_by_records_and_bytes(
    before: ModelBundle, after: ModelBundle, storage: Storage
) -> None:
    """A run holds no more than a batch, whichever bound is met first."""
    letters = dead_letters(before, [event(str(n), EXTRA) for n in range(7)])
    done = await Replayed(storage, after, max_records=3).all(letters)
    assert [read for read, _ in done.heard] == [3, 6, 7]
    assert [len(b) for b in done.log.batches] == [3, 3, 1]
    padded = [
        Received("dead", 1, n, 1, None, (letter.value or b"") + b" " * 6_000_000, ())
        for n, letter in enumerate(letters)
    ]
    again = await Replayed(storage, after, id="r2", again=True).all(padded)
    assert [read for read, _ in again.heard] == [3, 6, 7]


async def test_lines_are_written_as_they_come(
    before: ModelBundle, after: ModelBundle, storage: Storage
) -> None:
    """Also while nothing is scored."""
    letters = dead_letters(before, [b"%d" % n + b"x" * MAX for n in range(5)])
    done = await Replayed(storage, after, max_records=2).all(letters)
    files = [file.path for file in storage.list("replays")]
    assert files == [f"replays/run=r1/outcomes-00000{n}.jsonl" for n in (1, 2, 3)]
    assert len(done.lines()) == done.counts.no_original == 5


async def test_the_report_tells_what_changed(
    before: ModelBundle, after: ModelBundle, storage: Storage
) -> None:
    """As JSON and for people; of a record it holds nothing."""
    letters = dead_letters(
        before,
        [event("a", EXTRA), event("b", EXTRA | {"n": "x"}), event("c", {}), event("d", EXTRA)],
    )
    done = await Replayed(storage, after).all(letters)
    document = json.loads(done.report.as_json(done.run, NOW))
    assert document == {
        "run_id": "r1",
        "started_at": "2026-03-02T12:30:00Z",
        "ended_at": "2026-03-02T12:30:00Z",
        "dry_run": False,
        "again": False,
        "model": {"name": "toy", "version": "8", "digest": after.version.digest},
        "dead_letters_hub": "dead",
        "scores_hub": "scores",
        "filters": {"model_name": "toy"},
        "counts": {
            "read": 4, "foreign": 0, "repeated": 0, "distinct": 4, "filtered_out": 0,
            "already_replayed": 0, "no_original": 0, "scored": 2, "still_rejected": 2,
        },
        "outcomes": [
            {"code": "missing_field", "outcome": "still_rejected", "new_code": "missing_field",
             "count": 1},
            {"code": "unknown_field", "outcome": "scored", "new_code": None, "count": 2},
            {"code": "unknown_field", "outcome": "still_rejected", "new_code": "wrong_type",
             "count": 1},
        ],
    }  # fmt: skip
    text = done.report.summary(done.run, "file:///r")
    assert "dead replayed with toy version 8, run r1" in text
    assert "unknown_field       scored                                         2" in text
    assert "unknown_field       still rejected: wrong_type                     1" in text
    assert "  still rejected                 2" in text
    assert text.endswith("report: file:///r")


def test_given_filters_are_in_the_report(after: ModelBundle, storage: Storage) -> None:
    """Those that leave it open are not."""
    filters = Filters("toy", frozenset({"malformed"}), since=NOW, place=("events", 0), offset=0)
    replayed = Replayed(storage, after, filters=filters, dry_run=True)
    document = json.loads(replayed.report.as_json(replayed.run, NOW))
    assert document["filters"] == {
        "model_name": "toy",
        "codes": ["malformed"],
        "since": "2026-03-02T12:30:00Z",
        "place": ["events", 0],
        "offset": 0,
    }
    assert "dry run" in replayed.report.summary(replayed.run, "")


def test_a_ledger_is_that_of_all_runs(storage: Storage) -> None:
    """Each run adds files of its own."""
    first, ids = Ledger(storage, "r1"), [derived_id(str(n)) for n in range(5)]
    first.add(ids[:2])
    first.add([])
    first.add(ids[2:3])
    second = Ledger(storage, "r2")
    second.add(ids[3:4])
    assert [i in second for i in ids] == [True, True, True, False, False]
    assert [i in Ledger(storage, "r3") for i in ids] == [True, True, True, True, False]
    assert len(storage.list("replays/ledger")) == 3
