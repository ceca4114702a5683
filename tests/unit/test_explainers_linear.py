"""Contributions of linear models, from an encoded matrix back to features."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from scoring.errors import BundleError
from scoring.explainers import open_reasons
from scoring.explainers.encoded import EncodedExplainer, Encoding
from scoring.explainers.linear import LinearParameters, LinearTerms
from scoring.explainers.parameters import write_parameters
from scoring.manifest import ReasonsSpec
from tests.support.explained import NoBackend, numbers_batch, numbers_schema


def explainer(
    weights: NDArray[np.float64],
    means: NDArray[np.float64],
    bias: NDArray[np.float64],
    groups: list[int],
    features: int,
) -> EncodedExplainer:
    """Of a model on numbers that need no encoding."""
    base = bias + weights @ means
    terms = LinearTerms(LinearParameters(weights.tolist(), means.tolist(), base.tolist()))
    return EncodedExplainer(Encoding(None, numbers_schema(features), groups), terms)


def test_the_closed_form() -> None:
    """Each contribution is w (x - mean), the base the margin of the means."""
    rng = np.random.default_rng(0)
    values, weights, means = rng.normal(size=(9, 4)), rng.normal(size=(1, 4)), rng.normal(size=4)
    found = explainer(weights, means, np.array([0.7]), [0, 1, 2, 3], 4).explain(
        numbers_batch(values)
    )
    assert found.contributions == pytest.approx(weights * (values - means), abs=1e-15)
    assert found.base == pytest.approx(np.full(9, 0.7 + weights[0] @ means), abs=1e-15)
    margins = values @ weights[0] + 0.7
    assert found.base + found.contributions.sum(axis=1) == pytest.approx(margins, abs=1e-12)


def test_columns_add_up_to_their_feature() -> None:
    """In whatever order the columns stand; a feature without columns gets 0."""
    encoding = Encoding(None, numbers_schema(4), [2, 0, 2, 3, 0])
    terms = np.array([[[1.0, 10.0, 2.0, 100.0, 20.0]]])
    assert encoding.by_feature(terms).tolist() == [[[30.0, 0.0, 3.0, 100.0]]]


def test_the_highest_margin_is_explained() -> None:
    """Of several margins the highest in each record, the first of equals."""
    weights = np.array([[1.0], [-1.0], [0.0]])
    model = explainer(weights, np.zeros(1), np.array([0.0, 0.0, 0.5]), [0], 1)
    found = model.explain(numbers_batch(np.array([[2.0], [-3.0], [0.1], [0.5]])))
    assert found.base.tolist() == [0.0, 0.0, 0.5, 0.0]
    assert found.contributions[:, 0].tolist() == [2.0, 3.0, 0.0, 0.5]


@pytest.mark.parametrize("targets", [1, 3])
def test_bits_do_not_depend_on_the_batch(targets: int) -> None:
    """Features of 1 to 70 columns: summed the same alone, in part of a batch, and in a large one
    that is explained in parts.
    """
    rng = np.random.default_rng(targets)
    groups = np.repeat([0, 1, 2, 3], [70, 9, 1, 20]).tolist()
    values, means = rng.normal(size=(9000, 100)), rng.normal(size=100)
    weights, bias = rng.normal(size=(targets, 100)), rng.normal(size=targets)
    model = explainer(weights, means, bias, groups, 100)
    batch = numbers_batch(values)
    whole = model.explain(batch)
    for start, stop in [(0, 1), (5, 6), (17, 24), (4095, 4097), (8000, 9000)]:
        part = model.explain(batch.slice(start, stop))
        assert np.array_equal(part.contributions, whole.contributions[start:stop])
        assert np.array_equal(part.base, whole.base[start:stop])


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"\xff",
        b'{"weights": [[1.0]], "means": [0.0, 0.0], "base": [0.0]}',
        b'{"weights": [[1.0], [1.0, 2.0]], "means": [0.0], "base": [0.0, 0.0]}',
        b'{"weights": [], "means": [0.0], "base": []}',
    ],
)
def test_a_damaged_file_is_named(content: bytes, tmp_path: Path) -> None:
    """Whatever is wrong with it."""
    (tmp_path / "linear.json").write_bytes(content)
    spec = ReasonsSpec("linear", "", groups=[0], path="linear.json")
    with pytest.raises(BundleError, match=r"linear\.json is damaged"):
        open_reasons(tmp_path, spec, numbers_schema(1), NoBackend(), None)


def test_a_file_of_another_width_is_refused(tmp_path: Path) -> None:
    """Weights for more columns than the manifest has groups."""
    write_parameters(tmp_path / "linear.json", LinearParameters([[1.0, 2.0]], [0.0, 0.0], [0.0]))
    spec = ReasonsSpec("linear", "", groups=[0], path="linear.json")
    with pytest.raises(BundleError, match="another width"):
        open_reasons(tmp_path, spec, numbers_schema(1), NoBackend(), None)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """As any other file of a bundle."""
    spec = ReasonsSpec("linear", "", groups=[0], path="linear.json")
    with pytest.raises(BundleError, match=r"cannot read .*linear\.json"):
        open_reasons(tmp_path, spec, numbers_schema(1), NoBackend(), None)
