"""What a spool finds: leftovers, torn and damaged segments, and those of other processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.spool_segment import encode_frame
from scoring.model import ModelDescription
from tests.support.log_entries import WIDE_ROWS, RefusingSink, entries, wide_model
from tests.support.spool import Spools, open_spools


@pytest.fixture
def spools(tmp_path: Path) -> Iterator[Spools]:
    """Spools on an empty directory."""
    with open_spools(tmp_path) as opened:
        yield opened


def test_leftovers_go_first(spools: Spools) -> None:
    """Segments of an earlier process are uploaded before this one's, the oldest first."""
    for name in ("20260101", "20260102"):
        frame = encode_frame(spools.batch(1, name))
        spools.leave(frame, name=name)
    sink = RefusingSink()
    log = spools.open(sink.open)
    log.append(spools.batch(1, "new"))
    log.close()
    assert sink.entry_ids == ["20260101-0", "20260102-0", "new-0"]


def test_leftovers_of_another_model_keep_its_columns(spools: Spools) -> None:
    """The segment itself says what its columns are; the bundle may be gone."""
    other = wide_model(spools.model)
    spools.leave(encode_frame(entries(other, WIDE_ROWS, "old")), model=other)
    opened: list[ModelDescription] = []
    sink = RefusingSink()

    def open_sink(model: ModelDescription) -> RefusingSink:
        opened.append(model)
        return sink

    spools.open(open_sink).close()
    [table] = sink.tables
    assert [m.version for m in opened] == [other.version]
    assert set(table["model_digest"].to_pylist()) == {"another"}
    assert table["whole"].to_pylist() == [-3, None, 7]
    assert "x" not in table.column_names


@pytest.mark.parametrize("cut", [1, 11, 12, 40])
def test_a_torn_last_frame_is_cut_off(spools: Spools, cut: int) -> None:
    """A frame that ends early costs itself and nothing else, wherever it ends."""
    frames = [encode_frame(spools.batch(2, name)) for name in ("whole", "torn")]
    path = spools.leave(*frames)
    end = path.stat().st_size - len(frames[1]) + cut
    os.truncate(path, end)
    sink = RefusingSink()
    spools.open(sink.open).close()
    assert sink.entry_ids == ["whole-0", "whole-1"]
    assert spools.counted("dropped") == (2 if cut >= 12 else 0), "the prefix has the number"
    assert spools.files() == []


def test_a_damaged_frame_is_noticed(spools: Spools) -> None:
    """A flipped bit in a frame is not taken for an entry."""
    frames = [encode_frame(spools.batch(1, name)) for name in ("whole", "damaged")]
    path = spools.leave(*frames)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    sink = RefusingSink()
    spools.open(sink.open).close()
    assert sink.entry_ids == ["whole-0"]


def test_zeros_at_the_end_are_no_frame(spools: Spools) -> None:
    """A machine that loses power may leave zeros where data should be."""
    path = spools.leave(encode_frame(spools.batch(1, "whole")))
    with path.open("ab") as file:
        file.write(bytes(4096))
    sink = RefusingSink()
    spools.open(sink.open).close()
    assert sink.entry_ids == ["whole-0"]


def test_a_segment_without_entries_vanishes(spools: Spools) -> None:
    """A process killed right after it made a segment left nothing that has to be uploaded."""
    spools.leave(name="header-only")
    (spools.directory / "empty.segment").touch()
    sink = RefusingSink()
    spools.open(sink.open).close()
    assert sink.attempts == 0
    assert spools.files() == []


@pytest.mark.parametrize("damage", ["header", "layout"])
def test_an_unreadable_segment_stops_nobody(spools: Spools, damage: str) -> None:
    """It is set aside for a person, counted, and those behind it are uploaded."""
    frame = encode_frame(spools.batch(3, "bad"))
    model = wide_model(spools.model) if damage == "layout" else spools.model
    path = spools.leave(frame, name="0", model=model)
    if damage == "header":
        data = bytearray(path.read_bytes())
        data[20] ^= 1
        path.write_bytes(data)
    spools.leave(encode_frame(spools.batch(1, "good")))
    sink = RefusingSink()
    spools.open(sink.open).close()
    assert sink.entry_ids == ["good-0"]
    assert [p.name for p in spools.files()] == ["0.unreadable"]
    assert spools.counted("dropped") == (3 if damage == "layout" else 0)


def test_leftovers_count_against_the_size(spools: Spools) -> None:
    """The bound is on the directory, not on one process's part of it."""
    path = spools.leave(encode_frame(spools.batch(9, "old")))
    dead = RefusingSink(refusals=10**9)
    log = spools.open(dead.open, max_bytes=path.stat().st_size + 100)
    log.append(spools.batch(1, "new"))
    assert spools.counted("dropped") == 1


def test_a_partial_write_leaves_whole_frames(tmp_path: Path) -> None:
    """A device that takes a part of a frame makes the append fail and leaves no half of it."""
    script = f"""
import resource, signal, sys
from pathlib import Path
from adapters.spool_segment import SegmentWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = SegmentWriter(Path({str(tmp_path / "1.segment")!r}), b"h" * 100)
writer.append(b"a" * 100)
resource.setrlimit(resource.RLIMIT_FSIZE, (250, 250))
try:
    writer.append(b"b" * 100)
except OSError:
    sys.exit(7)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == 7
    assert (tmp_path / "1.segment").read_bytes() == b"h" * 100 + b"a" * 100


def test_the_open_segment_of_another_process_is_left_alone(spools: Spools) -> None:
    """Two logs on one directory upload their own segments; a lock shows which are in use."""
    first_sink, second_sink = RefusingSink(), RefusingSink()
    first, second = spools.open(first_sink.open), spools.open(second_sink.open)
    first.append(spools.batch(1, "first"))
    second.append(spools.batch(1, "second"))
    second.close()
    assert second_sink.entry_ids == ["second-0"]
    assert len(spools.files()) == 1
    first.append(spools.batch(1, "more"))
    first.close()
    assert first_sink.entry_ids == ["first-0", "more-0"]


def test_a_killed_process_leaves_every_entry(spools: Spools, tmp_path: Path) -> None:
    """SIGKILL while it writes: every append that returned is uploaded by the next process."""
    script = f"""
import itertools
from pathlib import Path
from adapters.spool import SpooledInferenceLog
from adapters.telemetry import LaneMetrics
from tests.support.log_entries import RefusingSink, entries
from tests.support.toy import NOW, load_toy, records
model = load_toy(Path({str(tmp_path / "other")!r}), reference=0)
log = SpooledInferenceLog(
    Path({str(spools.directory)!r}), RefusingSink().open, model,
    LaneMetrics("online", "toy", "7"), 3600.0, 10**8, lambda: NOW)
for number in itertools.count():
    log.append(entries(model, records(1), f"r{{number}}"))
    print(number, flush=True)
"""
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=root, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == "50\n":
                process.send_signal(signal.SIGKILL)
                break
        answered = 50 + sum(1 for _ in process.stdout)
    sink = RefusingSink()
    spools.open(sink.open).close()
    assert set(sink.entry_ids) >= {f"r{number}-0" for number in range(answered + 1)}
