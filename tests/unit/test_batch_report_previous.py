"""Which run is the one before."""

import uuid
from typing import Any

import msgspec
import pytest

from adapters.storage import Storage, open_storage
from batch_scorer.report import previous_run
from batch_scorer.report.previous import MOST_READ
from batch_scorer.run_manifest import RunManifest, run_directory, write_run_manifest
from tests.support.run_manifests import MODEL, input_report, run_manifest

NOW = run_manifest("2026-11-23")


@pytest.fixture
def output() -> Storage:
    """An output without runs."""
    return open_storage(f"memory://{uuid.uuid4()}")


def put(output: Storage, run_id: str, finished: str, **told: Any) -> RunManifest:
    """A run that stands in the output."""
    manifest = run_manifest(run_id, finished_at=finished, **told)
    write_run_manifest(output, manifest)
    return manifest


def found(output: Storage, manifest: RunManifest = NOW) -> str | None:
    """The id of the run before."""
    previous = previous_run(output, manifest)
    return None if previous is None else previous.run_id


def test_it_is_the_latest_that_was_over(output: Storage) -> None:
    """By the time at which it finished, not by its name; the run itself does not count."""
    put(output, "2026-11-21", "2026-11-21T02:00:00+00:00")
    put(output, "2026-11-20", "2026-11-22T02:00:00.5+00:00")
    put(output, "2026-11-22", "2026-11-22T02:00:00+00:00")
    write_run_manifest(output, NOW)
    assert found(output) == "2026-11-20"


def test_nothing_was_before(output: Storage) -> None:
    """An empty output, or one with runs that ended while this one ran."""
    assert found(output) is None
    put(output, "2026-11-22", "2026-11-23T01:00:01+00:00")
    assert found(output) is None


@pytest.mark.parametrize(
    "told",
    [
        {"outcome": "failed", "failure": "1 of 2 files could not be read"},
        {"model": msgspec.structs.replace(MODEL, name="other")},
        {"format": 1},
        {"record_id_column": "id"},
        {"inputs": [input_report("a.parquet")]},
    ],
)
def test_runs_that_cannot_be_compared_are_passed_over(
    output: Storage, told: dict[str, Any]
) -> None:
    """Failed, of another model, of an older format, or of another kind of input."""
    put(output, "2026-11-22", "2026-11-22T02:00:00+00:00", **told)
    put(output, "2026-11-21", "2026-11-21T02:00:00+00:00")
    assert found(output) == "2026-11-21"


def test_another_version_and_one_more_format_can_be_compared(output: Storage) -> None:
    """A new version of a model is what one wants to compare; compression is no other format."""
    told: dict[str, Any] = {
        "model": msgspec.structs.replace(MODEL, version="6", digest="c" * 64),
        "inputs": [input_report("b.parquet"), input_report("a.CSV.gz")],
    }
    put(output, "2026-11-22", "2026-11-22T02:00:00+00:00", **told)
    assert found(output) == "2026-11-22"


@pytest.mark.parametrize(
    "damage", [b"{", b"\xff", b'{"format": 2}', b"{}", b"2026", b'"finished_at"']
)
def test_a_damaged_manifest_is_passed_over(output: Storage, damage: bytes) -> None:
    """Somebody else's run must not fail this one."""
    output.write(f"{run_directory('2026-11-22')}/manifest.json", damage)
    good = put(output, "2026-11-21", "2026-11-21T02:00:00+00:00")
    bad_time = msgspec.structs.replace(good, run_id="2026-11-22b", finished_at="yesterday")
    write_run_manifest(output, bad_time)
    assert found(output) == "2026-11-21"


def test_of_many_runs_few_are_read(output: Storage) -> None:
    """Those whose ids come next below; numbers count as numbers, so 99 comes before 101."""
    other = msgspec.structs.replace(MODEL, name="other")
    put(output, "night-9", "2026-01-09T00:00:00+00:00")
    for night in range(100, 99 + MOST_READ):
        put(output, f"night-{night}", "2026-02-02T00:00:00+00:00", model=other)
        put(output, f"try-{night}", "2026-02-02T00:00:00+00:00")
    assert found(output, run_manifest("night-200")) == "night-9"
    put(output, "night-199", "2026-02-02T00:00:00+00:00", model=other)
    assert found(output, run_manifest("night-200")) is None


def test_runs_with_higher_ids_come_last(output: Storage) -> None:
    """A run that is caught up on later has the next day's run before it in time."""
    put(output, "2026-11-24", "2026-11-22T00:00:00+00:00")
    assert found(output) == "2026-11-24"
    put(output, "2026-11-22", "2026-11-21T00:00:00+00:00")
    assert found(output) == "2026-11-24"


def test_parts_and_other_files_are_no_runs(output: Storage) -> None:
    """Only a manifest directly below a run's directory counts."""
    raw = msgspec.json.encode(run_manifest("x", finished_at="2026-01-01T00:00:00+00:00"))
    for path in ("manifest.json", "run=x/scores/manifest.json", "old/run=x/manifest.json"):
        output.write(path, raw)
    assert found(output) is None
