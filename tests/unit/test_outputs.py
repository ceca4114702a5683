"""Outputs are of the promised type, never a null in disguise; and how packaging types them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

from bundling.config import ModelEntry
from bundling.outputs import output_spec
from scoring.backends.results import raw_columns
from scoring.errors import BundleError, ConfigurationError, ModelError
from scoring.manifest import BackendSpec, OutputColumn, OutputSpec
from scoring.model import ModelBundle
from scoring.outputs import OUTPUT_DTYPES, model_outputs, typed_output
from scoring.records import Column, RecordBatch
from scoring.score import score_valid
from scoring.validation import validate_rows
from tests.support.toy import NOW, load_toy, records


def objects(*values: Any) -> Column:
    """An array of objects."""
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("double", np.array([0.1], np.float32), [float(np.float32(0.1))]),
        ("double", np.array([1, 2]), [1.0, 2.0]),
        ("double", objects(1, 0.5), [1.0, 0.5]),
        ("long", np.array([1, 2], np.int32), [1, 2]),
        ("long", np.array([1.0, -2.0]), [1, -2]),
        ("long", objects(2**53 + 1, 2), [2**53 + 1, 2]),
        ("boolean", np.array([True]), [True]),
        ("boolean", objects(True, False), [True, False]),
        ("string", objects("a", "None"), ["a", "None"]),
        ("string", np.array(["a", "b"]), ["a", "b"]),
        ("string", np.array([1, 2]), ["1", "2"]),
    ],
)
def test_values_of_the_promised_type(kind: str, values: Column, expected: list[Any]) -> None:
    """Whole floats are longs, labels that are integers are text, and nothing is rounded."""
    column = typed_output("y", kind, values)
    assert column.tolist() == expected
    assert column.dtype == OUTPUT_DTYPES[kind]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("double", np.array([np.nan])),
        ("double", np.array([np.inf])),
        ("double", objects(1.0, None)),
        ("double", objects("1.5")),
        ("double", objects(10**400)),
        ("double", np.array(["1.5"])),
        ("long", np.array([2.7])),
        ("long", np.array([np.nan])),
        ("long", np.array([2.0**63])),
        ("long", np.array([2**63], np.uint64)),
        ("long", objects(1, None)),
        ("long", objects("1")),
        ("boolean", objects("No")),
        ("boolean", objects(True, None)),
        ("boolean", np.array([1])),
        ("string", objects("a", None)),
        ("string", np.array([np.nan])),
        ("string", np.array([1.5])),
    ],
)
def test_values_of_another_type_are_a_model_error(kind: str, values: Column) -> None:
    """A null is none of the values, and no value is bent to fit; the column is named."""
    with pytest.raises(ModelError, match="'y'"):
        typed_output("y", kind, values)


def test_a_missing_raw_column_is_named() -> None:
    """Also where the model returned others."""
    spec = OutputSpec("columns", ["y"], [OutputColumn("y", "double")])
    with pytest.raises(ModelError, match="no column 'y'"):
        model_outputs(spec, {"z": np.zeros(1)})


class Answers:
    """A backend whose result for a record is looked up by the record's `n`."""

    def __init__(self, answers: Mapping[int, Any], default: Any) -> None:
        self._answers = answers
        self._default = default

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """One value per record, as a pyfunc model in Python would return it."""
        found = [self._answers.get(n, self._default) for n in batch.columns[1].tolist()]
        return raw_columns(pd.Series(found, dtype=object), ["y"], len(batch))


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


@pytest.mark.parametrize(
    ("kind", "usual", "odd"),
    [
        ("double", 0.5, float("nan")),
        ("double", 0.5, None),
        ("double", 0.5, pd.NA),
        ("long", 5, None),
        ("long", 5, float("nan")),
        ("boolean", True, pd.NA),
        ("string", "a", None),
        ("string", "a", float("nan")),
        ("string", "a", pd.NaT),
        ("string", "a", {"a": 1}),
    ],
)
def test_a_null_in_an_output_rejects_that_record_alone(
    toy: ModelBundle, kind: Any, usual: Any, odd: Any
) -> None:
    """The others keep their outputs, of the promised type."""
    manifest = msgspec.structs.replace(
        toy.manifest,
        output=OutputSpec("columns", ["y"], [OutputColumn("y", kind)]),
        backend=BackendSpec("pyfunc", "model"),
        outlier=None,
    )
    model = ModelBundle(manifest, toy.schema, Answers({99: odd}, usual), None, NOW)
    rows = records(9)
    rows[4]["n"] = 99
    valid = validate_rows(toy.schema, rows, [str(i) for i in range(9)])
    scored, rejections = score_valid(model, valid)
    assert [(r.position, r.code) for r in rejections] == [(4, "model_error")]
    assert scored.outputs["y"].tolist() == [usual] * 8
    assert scored.outputs["y"].dtype == OUTPUT_DTYPES[kind]


def entry(positive_label: str | None = None) -> ModelEntry:
    """A configured model."""
    return ModelEntry("m", "champion", version="1", positive_label=positive_label)


def test_two_probabilities_and_a_positive_label_are_a_score_and_a_label() -> None:
    """The other class is the negative one."""
    spec = output_spec(entry("Yes"), ["No", "Yes"], {n: np.zeros(1) for n in ("No", "Yes")})
    assert (spec.kind, spec.positive, spec.negative) == ("binary", "Yes", "No")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"prediction": objects("Yes")}, r"prediction \(string\).*pyfunc_predict_fn"),
        ({"prediction": np.array([1])}, r"prediction \(long\).*predict_proba"),
        ({"No": np.zeros(1), "Maybe": np.zeros(1)}, r"not one of .* No \(double\), Maybe"),
        ({n: np.zeros(1) for n in ("No", "Yes", "Maybe")}, "not one of the model's two classes"),
        ({"No": objects("a"), "Yes": objects("b")}, "no probabilities"),
    ],
)
def test_a_positive_label_that_does_not_fit_says_what_the_model_gives(
    raw: dict[str, Column], words: str
) -> None:
    """The columns with their types, and what to change."""
    with pytest.raises(ConfigurationError, match=words):
        output_spec(entry("Yes"), list(raw), raw)


@pytest.mark.parametrize("name", ["record_id", "outlier", "outlier_score", "reasons"])
def test_reserved_names_are_refused(name: str) -> None:
    """An answer has members of these names already."""
    with pytest.raises(BundleError, match=f"'{name}' has a reserved name"):
        output_spec(entry(), [name], {name: np.zeros(1)})


def test_types_are_those_of_the_values_seen_at_packaging() -> None:
    """A null among them does not make text of a number."""
    raw = {
        "double": np.zeros(1),
        "long": objects(1, None),
        "boolean": objects(None, True),
        "string": objects("a"),
    }
    assert [(c.name, c.type) for c in output_spec(entry(), list(raw), raw).columns] == [
        (name, name) for name in raw
    ]


def test_the_toy_scores_a_whole_bundle(tmp_path: Path) -> None:
    """A compiled model's binary outputs keep their form."""
    model = load_toy(tmp_path / "b", reference=0)
    valid = validate_rows(model.schema, records(3), ["a", "b", "c"])
    scored, _ = score_valid(model, valid)
    assert [v.dtype for v in scored.outputs.values()] == [np.dtype(float), np.dtype(object)]
