"""What an uploader finds: leftovers, torn and damaged segments, and those of other processes."""

import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from adapters.spool_segment import FORMAT, encode_header
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
    for name in ("20260102", "20260101"):
        spools.leave(spools.batch(1, name), name=name)
    sink = RefusingSink()
    log = spools.open()
    log.append(spools.batch(1, "new"))
    log.close()
    assert spools.upload(sink.open)
    assert sink.entry_ids == ["20260101-0", "20260102-0", "new-0"]


def test_leftovers_of_another_model_keep_its_columns(spools: Spools) -> None:
    """The segment itself says what its columns are; the bundle may be gone."""
    other = wide_model(spools.model)
    log = spools.open(model=other)
    log.append(entries(other, WIDE_ROWS, "old"))
    log.close()
    opened: list[ModelDescription] = []
    sink = RefusingSink()

    def open_sink(model: ModelDescription) -> RefusingSink:
        opened.append(model)
        return sink

    assert spools.upload(open_sink)
    [table] = sink.tables
    assert [m.version for m in opened] == [other.version]
    assert set(table["model_digest"].to_pylist()) == {"another"}
    assert table["whole"].to_pylist() == [-3, None, 7]
    assert "x" not in table.column_names
    assert spools.counted("written", version="8") == 3


@pytest.mark.parametrize("cut", [1, 11, 12, 40])
def test_a_torn_last_frame_is_cut_off(spools: Spools, cut: int) -> None:
    """A frame that ends early costs itself and nothing else, wherever it ends."""
    path = spools.leave(*[spools.batch(2, name) for name in ("whole", "torn")])
    end = path.stat().st_size - len(spools.frame(2, "torn")) + cut
    os.truncate(path, end)
    sink = RefusingSink()
    assert spools.upload(sink.open)
    assert sink.entry_ids == ["whole-0", "whole-1"]
    assert spools.counted("dropped") == (2 if cut >= 12 else 0), "the prefix has the number"
    assert spools.files() == []


def test_a_damaged_frame_is_noticed(spools: Spools) -> None:
    """A flipped bit in a frame is not taken for an entry, and costs no other frame."""
    path = spools.leave(*[spools.batch(3, name) for name in ("whole", "damaged", "behind")])
    data = bytearray(path.read_bytes())
    data[len(data) - len(spools.frame(3, "behind")) - 3] ^= 1
    path.write_bytes(data)
    sink = RefusingSink()
    assert spools.upload(sink.open)
    assert sink.entry_ids == [f"{name}-{i}" for name in ("whole", "behind") for i in range(3)]
    assert (spools.counted("written"), spools.counted("dropped")) == (6, 3)
    assert spools.files() == []


def test_zeros_at_the_end_are_no_frame(spools: Spools) -> None:
    """A machine that loses power may leave zeros where data should be."""
    path = spools.leave(spools.batch(1, "whole"))
    with path.open("ab") as file:
        file.write(bytes(4096))
    sink = RefusingSink()
    assert spools.upload(sink.open)
    assert sink.entry_ids == ["whole-0"]


def test_a_segment_without_entries_vanishes(spools: Spools) -> None:
    """A process killed right after it made a segment left nothing that has to be uploaded."""
    spools.leave(name="header-only")
    (spools.directory / "empty.segment").touch()
    sink = RefusingSink()
    assert spools.upload(sink.open)
    assert sink.attempts == 0
    assert spools.files() == []


@pytest.mark.parametrize("damage", ["header", "layout", "format"])
def test_an_unreadable_segment_stops_nobody(spools: Spools, damage: str) -> None:
    """It is set aside for a person, counted, and those behind it are uploaded."""
    model = wide_model(spools.model) if damage == "layout" else spools.model
    path = spools.leave(spools.batch(3, "bad"), name="0", model=model)
    data = bytearray(path.read_bytes())
    if damage == "header":
        data[20] ^= 1
    if damage == "format":
        [number] = [i for i in range(12, 20) if data[i] == FORMAT]
        data[number] += 1
        header = data[12 : len(encode_header(model))]
        data[4:8] = zlib.crc32(header).to_bytes(4, "little")
    path.write_bytes(data)
    spools.leave(spools.batch(1, "good"))
    sink = RefusingSink()
    assert spools.upload(sink.open)
    assert sink.entry_ids == ["good-0"]
    assert [p.name for p in spools.files()] == ["0.unreadable"]
    known = {"header": ("unknown", "unknown"), "layout": ("toy", "8"), "format": ("toy", "7")}
    assert spools.counted("dropped", *known[damage]) == 3


def test_a_partial_write_leaves_whole_frames(tmp_path: Path) -> None:
    """A device that takes a part of a frame makes the append fail and leaves no half of it."""
    script = f"""
import resource, signal, sys
from pathlib import Path
from adapters.spool_segment import SegmentWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = SegmentWriter(Path({str(tmp_path / "1.segment")!r}), b"h" * 100)
writer.append(b"a" * 100, 1)
resource.setrlimit(resource.RLIMIT_FSIZE, (250, 250))
try:
    writer.append(b"b" * 100, 1)
except OSError:
    sys.exit(7)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == 7
    assert (tmp_path / "1.segment").read_bytes() == b"h" * 100 + b"a" * 100


def test_the_open_segment_of_another_process_is_left_alone(spools: Spools) -> None:
    """Logs on one directory write their own segments; a lock shows which are in use."""
    sink = RefusingSink()
    first, second = spools.open(), spools.open()
    first.append(spools.batch(1, "first"))
    second.append(spools.batch(1, "second"))
    second.close()
    assert spools.upload(sink.open)
    assert sink.entry_ids == ["second-0"]
    assert len(spools.files()) == 1
    first.append(spools.batch(1, "more"))
    first.close()
    assert spools.upload(sink.open)
    assert sink.entry_ids == ["second-0", "first-0", "more-0"]


def test_two_uploaders_take_a_segment_once(spools: Spools) -> None:
    """While one writes a segment to the sink, another passes it by."""
    spools.leave(spools.batch(1, "one"))
    late = RefusingSink()

    class Watched(RefusingSink):
        def write_table(self, table: pa.Table) -> None:
            assert spools.upload(late.open)
            super().write_table(table)

    sink = Watched()
    assert spools.upload(sink.open)
    assert (sink.entry_ids, late.entry_ids) == (["one-0"], [])


def test_a_killed_process_leaves_every_entry(spools: Spools, tmp_path: Path) -> None:
    """SIGKILL while it writes: every append that returned is uploaded by the next process."""
    script = f"""
import itertools
from pathlib import Path
from adapters.spool import SpooledInferenceLog
from adapters.telemetry import LaneMetrics
from tests.support.log_entries import entries
from tests.support.toy import NOW, load_toy, records
model = load_toy(Path({str(tmp_path / "other")!r}), reference=0)
log = SpooledInferenceLog(
    Path({str(spools.directory)!r}), model, LaneMetrics("online", "toy", "7"),
    rotate_seconds=3600.0, max_bytes=10**8, clock=lambda: NOW)
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
    assert spools.upload(sink.open)
    assert set(sink.entry_ids) >= {f"r{number}-0" for number in range(answered + 1)}
