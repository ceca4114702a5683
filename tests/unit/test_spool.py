"""The spool at work: uploads, outages, its end, and its bounds."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.spool import retry_delay
from adapters.spool_segment import encode_frame, encode_header
from scoring.errors import ConfigurationError
from tests.support.log_entries import RefusingSink
from tests.support.spool import SOON, Spools, eventually, open_spools


@pytest.fixture
def spools(tmp_path: Path) -> Iterator[Spools]:
    """Spools on an empty directory."""
    with open_spools(tmp_path) as opened:
        yield opened


def wait_for_attempt(sink: RefusingSink) -> None:
    """Wait until the sink was tried once more."""
    tried = sink.attempts
    eventually(lambda: sink.attempts > tried)


def test_an_entry_is_on_disk_when_append_returns(spools: Spools) -> None:
    """One append, one frame in the open segment; nothing waits in memory."""
    log = spools.open(RefusingSink().open)
    batch = spools.batch(2, "one")
    log.append(batch)
    [segment] = spools.files()
    assert segment.read_bytes() == encode_header(spools.model) + encode_frame(batch)


def test_many_requests_become_one_table(spools: Spools) -> None:
    """A segment is one write to the sink, and gone when the sink has it."""
    sink = RefusingSink()
    log = spools.open(sink.open)
    for number in range(50):
        log.append(spools.batch(1, f"request-{number:02}"))
    log.close()
    assert len(sink.tables) == 1
    assert sink.entry_ids == [f"request-{number:02}-0" for number in range(50)]
    assert sink.tables[0]["request_id"].to_pylist() == [f"request-{n:02}" for n in range(50)]
    assert spools.files() == []
    assert (spools.counted("accepted"), spools.counted("written")) == (50, 50)


def test_entries_are_uploaded_at_the_interval(spools: Spools) -> None:
    """Nobody has to close the log for its entries to arrive."""
    sink = RefusingSink()
    log = spools.open(sink.open, SOON)
    log.append(spools.batch(3, "one"))
    eventually(lambda: len(sink.entry_ids) == 3)
    log.append(spools.batch(2, "two"))
    eventually(lambda: len(sink.entry_ids) == 5)
    eventually(lambda: spools.files() == [])


def test_an_outage_delays_and_loses_nothing(spools: Spools) -> None:
    """While the sink refuses, appends go on and the segment stays; afterwards all arrives."""
    sink = RefusingSink(refusals=10**9)
    log = spools.open(sink.open, SOON)
    log.append(spools.batch(1, "a"))
    eventually(lambda: sink.attempts >= 2)
    for name in "bcd":
        log.append(spools.batch(1, name))
        wait_for_attempt(sink)
    assert spools.counted("written") == 0
    assert len(spools.files()) == 2, "one that was tried, one open"
    sink.accept()
    log.close()
    assert sink.entry_ids == ["a-0", "b-0", "c-0", "d-0"]
    assert spools.counted("written") == 4


def test_waits_longer_after_every_refusal() -> None:
    """The interval doubles while the sink refuses, up to a minute or the interval itself."""
    delays = [retry_delay(5.0, failures) for failures in (0, 1, 2, 3, 4, 100_000)]
    assert delays == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    assert retry_delay(300.0, 3) == 300.0


def test_close_retries_within_its_deadline(spools: Spools) -> None:
    """A sink that refuses for a moment does not cost the last entries their upload."""
    sink = RefusingSink(refusals=3)
    log = spools.open(sink.open, SOON)
    log.append(spools.batch(2, "one"))
    log.close()
    assert sink.entry_ids == ["one-0", "one-1"]


def test_close_gives_up_at_its_deadline(spools: Spools) -> None:
    """What could not be uploaded in time is the next process's first upload."""
    dead = RefusingSink(refusals=10**9)
    log = spools.open(dead.open)
    log.append(spools.batch(2, "one"))
    began = time.monotonic()
    log.close(0.2)
    assert time.monotonic() - began < 2.0
    assert len(spools.files()) == 1
    sink = RefusingSink()
    spools.open(sink.open).close()
    assert sink.entry_ids == ["one-0", "one-1"]


def test_an_append_after_close_is_kept(spools: Spools) -> None:
    """A request that ends late is on disk all the same."""
    log = spools.open(RefusingSink().open)
    log.close()
    batch = spools.batch(1, "late")
    log.append(batch)
    [segment] = spools.files()
    assert segment.read_bytes().endswith(encode_frame(batch))


def test_a_full_spool_drops_and_counts(spools: Spools, caplog: pytest.LogCaptureFixture) -> None:
    """Beyond its size the spool takes no more, says so once, and takes more when it has room."""
    header, frame = encode_header(spools.model), encode_frame(spools.batch(2, "0"))
    limit = 2 * len(header) + 3 * len(frame)
    sink = RefusingSink(refusals=10**9)
    log = spools.open(sink.open, SOON, max_bytes=limit + len(header))
    log.append(spools.batch(2, "0"))
    eventually(lambda: sink.attempts >= 1)
    caplog.clear()
    for name in "1234":
        log.append(spools.batch(2, name))
    assert (spools.counted("accepted"), spools.counted("dropped")) == (6, 4)
    assert sum(p.stat().st_size for p in spools.files()) <= limit
    drops = [r.message for r in caplog.records if "dropped" in r.message]
    assert drops == ["inference log entries are dropped: the spool is full"]
    sink.accept()
    eventually(lambda: spools.counted("written") == 6 and spools.files() == [])
    log.append(spools.batch(2, "5"))
    log.close()
    assert sink.entry_ids == [f"{name}-{i}" for name in "0125" for i in range(2)]


def test_a_failing_disk_drops_and_counts(spools: Spools) -> None:
    """When the directory is gone, requests are still answered and the loss is counted."""
    sink = RefusingSink()
    log = spools.open(sink.open)
    spools.directory.rmdir()
    log.append(spools.batch(2, "lost"))
    assert spools.counted("dropped") == 2
    spools.directory.mkdir()
    log.append(spools.batch(1, "kept"))
    log.close()
    assert sink.entry_ids == ["kept-0"]


def test_a_segment_has_a_size(spools: Spools) -> None:
    """A busy or long outage makes several segments, each small enough to hold in memory."""
    log = spools.open(RefusingSink().open, segment_bytes=4000)
    for number in range(40):
        log.append(spools.batch(5, f"r{number}"))
    sizes = [p.stat().st_size for p in spools.files()]
    assert len(sizes) > 2
    assert max(sizes) < 8000


def test_a_directory_that_cannot_be_made_is_a_configuration_error(spools: Spools) -> None:
    """The start fails and names the directory."""
    spools.directory.write_text("a file")
    with pytest.raises(ConfigurationError, match="spool"):
        spools.open(RefusingSink().open)


def test_the_spool_is_readable_by_its_owner_only(spools: Spools) -> None:
    """Entries are personal data."""
    spools.open(RefusingSink().open).append(spools.batch(1, "one"))
    assert [p.stat().st_mode & 0o077 for p in spools.files()] == [0]
    assert spools.directory.stat().st_mode & 0o077 == 0
