"""Predictions as rows of one type: the same JSON as from dicts."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from scoring.model import ModelBundle
from scoring.predictions import PredictionRows
from scoring.records import Reasons
from scoring.score import score
from scoring.validation import validate_rows
from tests.support.toy import load_toy, records


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


@pytest.mark.parametrize("count", [0, 1, 7])
@pytest.mark.parametrize("explained", [False, True])
def test_rows_are_written_like_dicts(toy: ModelBundle, count: int, explained: bool) -> None:
    """With outlier and without, with reasons and without, for no record too."""
    valid = validate_rows(toy.schema, records(count), [str(i) for i in range(count)])
    scored = score(toy, valid.batch)
    if explained:
        places = np.tile(np.array([1, 0]), (count, 1))
        scored = replace(scored, reasons=Reasons(toy.schema.names, places, places * 0.5))
    expected = msgspec.json.encode(scored.predictions())
    assert msgspec.json.encode(PredictionRows(toy).rows(scored)) == expected


def test_a_model_without_detector_has_no_outlier(toy: ModelBundle) -> None:
    """The members are those of the answer."""
    bare = replace(toy, outlier=None, manifest=msgspec.structs.replace(toy.manifest, outlier=None))
    scored = score(bare, validate_rows(toy.schema, records(2), ["a", "b"]).batch)
    writer = PredictionRows(bare)
    assert writer.names == ("record_id", "score", "label")
    assert msgspec.json.encode(writer.rows(scored)) == msgspec.json.encode(scored.predictions())


ADDED = ("model", "causationid")


@pytest.mark.parametrize("explained", [False, True])
def test_what_is_added_stands_behind_a_prediction(toy: ModelBundle, explained: bool) -> None:
    """In the order of the names, behind reasons too; one value per record."""
    scored = score(toy, validate_rows(toy.schema, records(2), ["a", "b"]).batch)
    if explained:
        places = np.zeros((2, 1), dtype=np.intp)
        scored = replace(scored, reasons=Reasons(toy.schema.names, places, np.full((2, 1), 0.5)))
    model = {"name": "toy", "version": "7"}
    writer = PredictionRows(toy, ADDED)
    expected = [
        prediction | {"model": model, "causationid": cause}
        for prediction, cause in zip(scored.predictions(), ("e1", "e2"), strict=True)
    ]
    found = msgspec.json.encode(writer.rows(scored, [model] * 2, ["e1", "e2"]))
    assert found == msgspec.json.encode(expected)
    assert writer.names == PredictionRows(toy).names


def test_an_output_with_the_name_of_an_added_member_gets_a_prefix(toy: ModelBundle) -> None:
    """Both are there; nothing else is renamed."""
    writer = PredictionRows(toy, ("label",))
    assert writer.names == ("record_id", "score", "output.label", "outlier", "outlier_score")
    scored = score(toy, validate_rows(toy.schema, records(1), ["a"]).batch)
    [found] = msgspec.json.decode(msgspec.json.encode(writer.rows(scored, ["added"])))
    assert found["label"] == "added"
    assert found["output.label"] == scored.predictions()[0]["label"]
