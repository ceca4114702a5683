"""The promise of the product: the same record gets the same score in every lane, exactly."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from local_stack.broker import run_broker
from local_stack.lanes import Lanes, free_ports, largest_difference
from local_stack.log_counts import wait_for_entries
from local_stack.population import read_records
from local_stack.processes import LocalProcesses
from scoring.bundle_schema import manifest_schema
from scoring.manifest import Manifest, read_manifest
from tests.support.bundles import RealBundle

WHEN = datetime(2026, 3, 2, 10, 30, tzinfo=UTC).isoformat()


def score_everywhere(real: RealBundle, directory: Path, hundreds: int) -> None:
    """Score every record one at a time, in groups, from events and from a file; compare all."""
    schema = manifest_schema(read_manifest(real.bundle))
    records = read_records(real.records, schema, real.id_column)
    with LocalProcesses(directory / "logs") as processes, run_broker() as broker:
        lanes = Lanes(processes, real.bundle, directory, broker, free_ports(), real.id_column)
        lanes.start()
        single = lanes.online(records, 1, WHEN).predictions
        grouped = lanes.online(records, hundreds, WHEN).predictions
        lanes.publish(real.records, WHEN)
        stream, dead_letters = lanes.stream(len(records))
        batch, manifest = lanes.batch(real.records, "test", WHEN)
        logged = wait_for_entries(lanes.storage, 4 * len(records), 30.0, lambda _: None)
    assert len(single) == len(records)
    assert dead_letters == []
    assert manifest["totals"] == {"received": len(records), "scored": len(records), "rejected": 0}
    assert largest_difference([single, grouped, stream, batch]) == 0
    assert logged == {
        ("online", "scored"): 2 * len(records),
        ("stream", "scored"): len(records),
        ("batch", "scored"): len(records),
    }


def manifest_of(real: RealBundle) -> Manifest:
    """The bundle's manifest."""
    return read_manifest(real.bundle)


def test_all_employees_score_identically_in_every_lane(
    attrition: RealBundle, tmp_path: Path
) -> None:
    """1,470 employees, online one by one and in hundreds, from events, from a CSV file."""
    assert manifest_of(attrition).backend.kind == "onnx"
    score_everywhere(attrition, tmp_path, hundreds=100)


def test_a_regression_on_numbers_scores_identically_in_every_lane(
    foreign: dict[str, RealBundle], tmp_path: Path
) -> None:
    """Compiled, with its own output name instead of score and label."""
    manifest = manifest_of(foreign["fuel"])
    assert manifest.backend.kind == "onnx"
    assert [c.name for c in manifest.output.columns] == ["prediction"]
    score_everywhere(foreign["fuel"], tmp_path, hundreds=37)


def test_a_custom_model_with_a_data_frame_scores_identically_in_every_lane(
    foreign: dict[str, RealBundle], tmp_path: Path
) -> None:
    """Not compilable: the registered model itself is called, and gives its own two outputs."""
    manifest = manifest_of(foreign["grades"])
    assert manifest.backend.kind == "pyfunc"
    assert [(c.name, c.type) for c in manifest.output.columns] == [
        ("grade", "string"),
        ("points", "double"),
    ]
    score_everywhere(foreign["grades"], tmp_path, hundreds=37)


@pytest.mark.parametrize("difference", ["value", "record", "type"])
def test_the_comparison_itself_can_fail(difference: str) -> None:
    """One bit, one missing record or one other label is seen."""
    lane = {"a": {"score": 0.1, "label": "No"}, "b": {"score": 0.2, "label": "No"}}
    other = {
        "value": lane | {"b": {"score": 0.2 + 3e-17, "label": "No"}},
        "record": {"a": lane["a"]},
        "type": lane | {"b": {"score": 0.2, "label": "Yes"}},
    }[difference]
    assert largest_difference([lane, other]) > 0
