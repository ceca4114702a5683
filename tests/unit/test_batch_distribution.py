"""Distributions of scores: what is counted, and that the counts of parts add up."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch_scorer.distribution import BINS, Distribution, bins_of, measured, merged
from scoring.errors import BundleError
from scoring.manifest import OutputColumn, OutputSpec, ReferenceSpec
from scoring.model import ModelBundle
from tests.support.run_manifests import UNIT_BINS, labels, scored
from tests.support.toy import load_toy

REFERENCE = "reference/reference.parquet"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """A binary model with a detector."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


def with_columns(
    toy: ModelBundle, bundle: Path, columns: dict[str, str], stored: dict[str, list[float]] | None
) -> ModelBundle:
    """The toy with these outputs by name and type, and with a reference of its scores."""
    names = list(columns)
    output = OutputSpec("columns", names, [OutputColumn(n, columns[n]) for n in names])  # type: ignore[arg-type]
    reference = None
    if stored is not None:
        (bundle / REFERENCE).parent.mkdir(parents=True)
        pq.write_table(pa.table(stored), bundle / REFERENCE)
        reference = ReferenceSpec(REFERENCE, len(next(iter(stored.values()))))
    manifest = msgspec.structs.replace(
        toy.manifest, output=output, reference=reference, outlier=None
    )
    return replace(toy, manifest=manifest)


def test_a_batch_is_counted_by_bin_and_by_value() -> None:
    """Numbers with sum and range, labels and flags by value; outlier columns with a detector."""
    scores = np.array([0.0, 0.049, 0.05, 0.5, 0.999, 1.0])
    found = measured(
        {"score": UNIT_BINS}, scored({"score": scores, "label": labels(scores)}, scores)
    )
    counts = [0, 2, 1, *[0] * 8, 1, *[0] * 8, 2, 0]
    assert found["score"] == Distribution(6, float(scores.sum()), 0.0, 1.0, counts)
    assert found["score"].mean == pytest.approx(2.598 / 6)
    assert found["label"] == Distribution(6, values={"No": 3, "Yes": 3})
    assert found["outlier"] == Distribution(6, values={"false": 4, "true": 2})
    assert found["outlier_score"] == Distribution(6, float(scores.sum()), 0.0, 1.0, [])


def test_bins_have_their_lower_edge_and_the_last_its_upper_one() -> None:
    """What lies outside is counted at the ends; without bins there are none."""
    values = np.array([-9.0, 1.0, 1.5, 2.0, 3.0, 3.0001, 99.0])
    found = measured({"y": [1.0, 2.0, 3.0]}, scored({"y": values, "z": values}))
    assert found["y"].counts == [1, 2, 2, 2]
    assert (found["z"].counts, found["z"].minimum, found["z"].maximum) == ([], -9.0, 99.0)


def test_integers_have_figures_and_values() -> None:
    """As numbers and, while there are few, by value."""
    found = measured({}, scored({"grade": np.array([2, 1, 2, -3])}))["grade"]
    assert found == Distribution(4, 2.0, -3.0, 2.0, [], {"-3": 1, "1": 1, "2": 2})


def test_units_add_up_to_the_whole() -> None:
    """Counts are those of one measurement, and the same order gives the same bits."""
    scores = np.random.default_rng(1).beta(2, 5, 10_000)
    whole = measured({"score": UNIT_BINS}, scored({"score": scores, "label": labels(scores)}))
    parts = [
        measured({"score": UNIT_BINS}, scored({"score": part, "label": labels(part)}))
        for part in np.split(scores, [17, 17, 4000, 9999])
    ]
    sums: list[dict[str, Distribution]] = [{}, {}]
    for place in (0, 1):
        for part in parts:
            sums[place] = merged(sums[place], part)
    assert sums[0] == sums[1]
    assert sums[0]["label"] == whole["label"]
    assert sums[0]["score"].total == pytest.approx(whole["score"].total, rel=1e-12)
    assert msgspec.structs.replace(sums[0]["score"], total=0.0) == msgspec.structs.replace(
        whole["score"], total=0.0
    )


def test_too_many_values_are_dropped_for_good() -> None:
    """In whatever order they come, 50 are kept and 51 are not; later ones do not begin anew."""
    parts = [measured({}, scored({"n": np.arange(a, b)})) for a, b in ((0, 30), (20, 50), (50, 51))]
    fifty = merged(parts[0], parts[1])["n"]
    assert (len(fifty.values), sum(fifty.values.values())) == (50, 60)
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        found = merged(merged(parts[order[0]], parts[order[1]]), parts[order[2]])
        again = merged(found, parts[0])["n"]
        assert (again.count, again.values) == (91, {})
    assert measured({}, scored({"n": np.arange(51)}))["n"].values == {}


def test_a_long_text_is_no_label() -> None:
    """A report is no place for it: the output is not counted by value at all."""
    texts = np.array(["a", "b" * 257], dtype=object)
    assert measured({}, scored({"text": texts}))["text"] == Distribution(2)
    assert measured({}, scored({"text": texts[:1]}))["text"].values == {"a": 1}


def test_a_sum_beyond_doubles_is_none() -> None:
    """It cannot be written as JSON; everything else still can."""
    huge = measured({}, scored({"y": np.full(4, 1.7e308)}))
    assert (huge["y"].total, huge["y"].mean) == (None, None)
    both = merged(measured({}, scored({"y": np.array([1.7e308])})), huge)
    assert (both["y"].count, both["y"].total, both["y"].maximum) == (5, None, 1.7e308)
    assert msgspec.json.decode(msgspec.json.encode(both), type=dict[str, Distribution]) == both


def test_no_records_change_nothing() -> None:
    """Neither before others nor after them; a zero has no sign."""
    none = measured({"score": UNIT_BINS}, scored({"score": np.array([], dtype=np.float64)}))
    some = measured({"score": UNIT_BINS}, scored({"score": np.array([-0.0, 0.25])}))
    assert none["score"].mean is None
    assert merged(none, some) == merged(some, none) == merged({}, some) == some
    assert str(some["score"].minimum) == "0.0"


def test_probabilities_are_counted_between_0_and_1(toy: ModelBundle, tmp_path: Path) -> None:
    """The score of a binary model and the outlier score, without asking the reference."""
    assert bins_of(tmp_path, toy) == {"score": UNIT_BINS, "outlier_score": UNIT_BINS}
    assert len(UNIT_BINS) == BINS + 1


def test_outputs_that_sum_to_one_are_probabilities(toy: ModelBundle, tmp_path: Path) -> None:
    """In every record of the reference; a label beside them does not matter."""
    columns = {"a": "double", "b": "double", "c": "double", "label": "string"}
    stored = {"a": [0.2, 0.5], "b": [0.3, 0.5], "c": [0.5, 0.0]}
    model = with_columns(toy, tmp_path, columns, stored)
    assert bins_of(tmp_path, model) == dict.fromkeys("abc", UNIT_BINS)


@pytest.mark.parametrize(
    "stored",
    [
        {"a": [0.2, 0.5], "b": [0.3, 0.6]},
        {"a": [-1.0, 0.5], "b": [2.0, 0.5]},
    ],
)
def test_other_numbers_are_counted_over_their_range(
    toy: ModelBundle, tmp_path: Path, stored: dict[str, list[float]]
) -> None:
    """20 equal bins from the lowest to the highest score of the reference."""
    model = with_columns(toy, tmp_path, {"a": "double", "b": "double"}, stored)
    found = bins_of(tmp_path, model)
    assert found.keys() == {"a", "b"}
    for name, edges in found.items():
        assert (edges[0], edges[-1], len(edges)) == (min(stored[name]), max(stored[name]), 21)
        assert np.allclose(np.diff(edges), (edges[-1] - edges[0]) / 20)


@pytest.mark.parametrize(
    "stored", [None, {"a": [3.0, 3.0]}, {"a": [-1.7e308, 1.7e308]}, {"a": [1.0, 1.0 + 1e-15]}]
)
def test_without_a_usable_range_there_are_no_bins(
    toy: ModelBundle, tmp_path: Path, stored: dict[str, list[float]] | None
) -> None:
    """No reference, one value only, or a range that no 20 bins of doubles divide."""
    model = with_columns(toy, tmp_path, {"a": "double", "n": "long"}, stored)
    assert bins_of(tmp_path, model) == {}


@pytest.mark.parametrize("damage", ["gone", "text", "columns"])
def test_a_damaged_reference_is_a_damaged_bundle(
    toy: ModelBundle, tmp_path: Path, damage: str
) -> None:
    """The file is named."""
    model = with_columns(toy, tmp_path, {"a": "double"}, {"b" if damage == "columns" else "a": [1]})
    if damage == "gone":
        (tmp_path / REFERENCE).unlink()
    elif damage == "text":
        (tmp_path / REFERENCE).write_bytes(b"no Parquet")
    with pytest.raises(BundleError, match=r"reference\.parquet is not a readable Parquet file"):
        bins_of(tmp_path, model)
