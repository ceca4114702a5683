"""What the benchmark of the stream worker looks with: its books, its events, its figures."""

import json
import threading
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from adapters.event_hub.messages import Received
from benchmarks.stream.__main__ import SECTIONS, main
from benchmarks.stream.accounts import Account
from benchmarks.stream.bench import storage_gone
from benchmarks.stream.check import Outcome, faultless, wrong
from benchmarks.stream.events import (
    KINDS,
    EventMaker,
    EventPlan,
    event_id,
    number_of,
    poison_key,
    subject,
)
from benchmarks.stream.follow import Progress
from benchmarks.stream.metrics import by_label, total
from benchmarks.stream.survival import schedule
from scoring.identifiers import derived_id
from stream_worker.handler import Handler
from tests.support.toy import NOW, load_toy, make_bundle

METRICS = """# HELP trilane_records_total Records received, by outcome.
trilane_records_total{lane="stream",outcome="scored"} 7.0
trilane_records_total{lane="stream",outcome="rejected"} 1.2e+03
trilane_records_created{lane="stream",outcome="scored"} 1.7e+09
trilane_up 1.0
"""


def test_books_find_nothing_where_nothing_is_wrong() -> None:
    """A repeated score and a repeated log entry are no faults."""
    assert faultless().faults() == {}


@pytest.mark.parametrize(("fault", "outcome"), list(wrong()), ids=str)
def test_books_report_each_fault(fault: str, outcome: Outcome) -> None:
    """Under its own name, and nothing else."""
    assert set(outcome.faults()) == {fault}


def test_entries_of_undecoded_events_go_by_place() -> None:
    """A dead letter without a cause is known by its key, its log entry by hub and offset."""
    account = Account(1, 1, "d", {0: "malformed"})
    data = {"causationid": None, "code": "malformed", "hub": "h", "partition": 2, "offset": 9}
    account.dead_letter(poison_key(0), {"id": "x", "data": data})
    assert account.check_log([derived_id("h", "2", "9", "d")] * 2) == 1
    assert account.complete
    assert account.settled() == {}
    assert (account.scores, account.dead_letters) == (0, 1)


def test_every_poison_gets_its_code(tmp_path: Path) -> None:
    """The handler of the worker gives each kind the code it is named for, and scores the rest."""
    bundle = make_bundle(tmp_path / "bundle", reference=50)
    plan = EventPlan(str(bundle), 64, 8, poison_share=0.25)
    maker, poison = EventMaker(plan), plan.poison()
    events = [
        Received("events", 0, n, 0, maker.key(n), maker.value(n), ()) for n in range(plan.count)
    ]
    handler = Handler(load_toy(tmp_path / "loaded"), "scores", "dead", 900_000)
    results = handler.compute(events, NOW)
    codes = {r.rejection.position: str(r.rejection.code) for r in results.rejected}
    assert codes == poison
    assert Counter(codes.values()) == dict.fromkeys(KINDS, 2)
    good = [n for n in range(plan.count) if n not in poison]
    assert [event.id for event in results.events] == [event_id(n) for n in good]
    assert [m.key for m in results.scores] == [subject(n, 8).encode() for n in good]


def test_poison_begins_where_it_is_told_to() -> None:
    """The share is that of the events from there on; the same seed gives the same events."""
    plan = EventPlan("", 1_000, 10, poison_share=0.6, poison_from=500)
    assert len(plan.poison()) == 300
    assert min(plan.poison()) >= 500
    assert plan.poison() == plan.poison()
    other = msgspec.structs.replace(plan, seed=plan.seed + 1)
    assert other.poison() != plan.poison()


def test_numbers_are_read_back() -> None:
    """From the cause where there is one, else from the key; strangers have none."""
    assert number_of(event_id(17), b"s1") == 17
    assert number_of(None, poison_key(4)) == 4
    assert number_of(None, b"s4") is None
    assert number_of("other", b"s4") is None
    assert number_of(None, None) is None


async def test_reading_ends_when_all_is_there_and_nothing_more_comes() -> None:
    """The workers are stopped first, off the event loop; then what they still published counts."""
    account = Account(1, 1, "d")
    stopped: list[threading.Thread] = []
    progress = Progress(account, lambda: stopped.append(threading.current_thread()), 1e9)
    assert not await progress.done(came=False)
    assert stopped == []
    account.score(b"s0", {"id": "x", "subject": "s0", "data": {"causationid": "e0"}})
    assert not await progress.done(came=True)
    assert len(stopped) == 1
    assert stopped[0] is not threading.main_thread()


async def test_reading_ends_without_what_is_lost() -> None:
    """When nothing came for too long; the workers are left running."""
    stopped: list[int] = []
    progress = Progress(Account(1, 1, "d"), lambda: stopped.append(1), -1.0)
    assert await progress.done(came=False)
    assert stopped == []


def test_samples_are_summed_by_name_and_label() -> None:
    """Other families and comments do not count."""
    assert total(METRICS, "trilane_records_total", {}) == 1207
    assert total(METRICS, "trilane_records_total", {"outcome": "scored"}) == 7
    assert total(METRICS, "trilane_none", {}) == 0
    assert total(METRICS, "trilane_up", {}) == 1
    found = by_label(METRICS, "trilane_records_total", "outcome")
    assert found == {"scored": 7, "rejected": 1200}


def test_brokers_are_killed_among_the_workers() -> None:
    """Neither first nor last, and each where workers are killed before and after."""
    assert "".join(what[0] for what in schedule(6, 2)) == "wwbwwbww"
    assert schedule(2, 0) == ["worker", "worker"]


def test_a_storage_that_is_gone_comes_back(tmp_path: Path) -> None:
    """With what it had; meanwhile nothing can be made below it."""
    storage = tmp_path / "storage"
    storage.mkdir()
    (storage / "file").write_text("kept")
    with storage_gone(storage), pytest.raises(OSError, match="Not a directory"):
        (storage / "other").write_text("lost")
    assert [p.name for p in storage.iterdir()] == ["file"]


def test_no_bundle_is_not_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and words that say what to do."""
    assert main(["check", "--bundle", str(tmp_path)]) == 2
    assert "make demo" in capsys.readouterr().err


def test_an_unknown_section_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is started."""
    with pytest.raises(SystemExit) as error:
        main(["speed"])
    assert error.value.code == 2
    assert "no section speed" in capsys.readouterr().err


def test_every_section_is_documented() -> None:
    """By the command that runs it."""
    text = (Path(__file__).parents[2] / "docs" / "benchmarks-stream.md").read_text("utf-8")
    for name in SECTIONS:
        assert f"`python -m benchmarks.stream {name}`" in text


def test_events_are_json_but_for_poison(tmp_path: Path) -> None:
    """Ids grow with the number, subjects repeat."""
    maker = EventMaker(EventPlan(str(make_bundle(tmp_path, reference=0)), 20, 5))
    event = json.loads(maker.value(12))
    assert (event["id"], event["subject"], maker.key(12)) == ("e12", "s2", b"s2")
