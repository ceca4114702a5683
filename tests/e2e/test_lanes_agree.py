"""The promise of the product: the same record gets the same score in every lane, exactly."""

from pathlib import Path

import pytest

from local_stack.lanes import largest_difference
from scoring.manifest import Manifest, read_manifest
from tests.support.bundles import RealBundle
from tests.support.everywhere import score_everywhere


def manifest_of(real: RealBundle) -> Manifest:
    """The bundle's manifest."""
    return read_manifest(real.bundle)


def test_all_employees_score_identically_in_every_lane(
    attrition: RealBundle, tmp_path: Path
) -> None:
    """1,470 employees, online one by one and in hundreds, from events, from a CSV file."""
    assert manifest_of(attrition).backend.kind == "onnx"
    score_everywhere(attrition, tmp_path, per_request=100, reasons=5)


def test_a_regression_on_numbers_scores_identically_in_every_lane(
    foreign: dict[str, RealBundle], tmp_path: Path
) -> None:
    """Compiled, with its own output name instead of score and label."""
    manifest = manifest_of(foreign["fuel"])
    assert manifest.backend.kind == "onnx"
    assert [c.name for c in manifest.output.columns] == ["prediction"]
    score_everywhere(foreign["fuel"], tmp_path, per_request=37, reasons=3)


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
    score_everywhere(foreign["grades"], tmp_path, per_request=37, reasons=3)


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
