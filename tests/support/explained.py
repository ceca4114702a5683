"""Small fitted models with the reasons that packaging chooses for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from bundling.native import native_model
from bundling.parity.proof import parity_batch
from bundling.reasons.choice import choose_reasons
from bundling.reasons.encoded import Served
from bundling.reasons.margins import native_frame
from scoring.explainers import open_reasons
from scoring.manifest import OutputColumn, OutputSpec, ReasonsSpec
from scoring.model import Explainer
from scoring.records import Column, RecordBatch
from scoring.schema import Schema
from scoring.validation import validate_rows

NUMBERS = ("age", "income", "years", "size")
TEXTS = ("team", "city")
SCHEMA = Schema.from_signature(
    [{"name": name, "type": "double"} for name in NUMBERS]
    + [{"name": name, "type": "string"} for name in TEXTS]
)


@dataclass(frozen=True, slots=True)
class EstimatorBackend:
    """A fitted scikit-learn estimator as a backend; one column per class, or `prediction`."""

    estimator: Any
    names: tuple[str, ...]
    schema: Schema = SCHEMA

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """Probabilities where there are classes, else what `predict` gives."""
        frame = native_frame(self.schema, batch)
        many = len(self.names) > 1
        found = self.estimator.predict_proba(frame) if many else self.estimator.predict(frame)
        values = np.asarray(found).reshape(len(batch), len(self.names))
        if values.dtype.kind == "f":
            values = values.astype(np.float64)
        return {name: values[:, place] for place, name in enumerate(self.names)}


class NoBackend:
    """For what is explained without asking the backend."""

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """Fails the test."""
        raise AssertionError(f"the backend was asked for {len(batch)} records")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What `choose_reasons` chose, opened as a lane opens it."""

    spec: ReasonsSpec
    explainer: Explainer | None
    batch: RecordBatch

    def sums(self) -> NDArray[np.float64]:
        """Base and contributions of every record of the batch added up."""
        assert self.explainer is not None, self.spec.detail
        found = self.explainer.explain(self.batch)
        return np.asarray(found.base + found.contributions.sum(axis=1))


def numbers_schema(count: int) -> Schema:
    """So many double columns."""
    return Schema.from_signature([{"name": f"x{i}", "type": "double"} for i in range(count)])


def numbers_batch(values: NDArray[np.float64]) -> RecordBatch:
    """Rows of numbers as records."""
    return RecordBatch(tuple(str(i) for i in range(len(values))), tuple(values.T.copy()))


def people(count: int = 240, seed: int = 0) -> pd.DataFrame:
    """Records of `SCHEMA` as a DataFrame."""
    rng = np.random.default_rng(seed)
    numbers = {name: rng.normal(size=count) * (i + 1) for i, name in enumerate(NUMBERS)}
    texts = {
        name: pd.Series(rng.choice(["red", "blue", "dark_red"], size=count), dtype=object)
        for name in TEXTS
    }
    return pd.DataFrame(numbers | texts)


def target(frame: pd.DataFrame) -> NDArray[np.float64]:
    """A number that depends on most features, with an interaction and some noise."""
    rng = np.random.default_rng(1)
    value = frame["age"] + 0.4 * frame["income"] * (frame["team"] == "red") - 0.2 * frame["years"]
    return np.asarray(value + 0.5 * rng.normal(size=len(frame)))


def encoder(numbers: Any = None) -> Any:
    """Scaled numbers beside one-hot texts."""
    return make_column_transformer(
        (StandardScaler() if numbers is None else numbers, list(NUMBERS)),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), list(TEXTS)),
    )


def fitted(final: Any, classes: int = 0, numbers: Any = None) -> Pipeline:
    """A pipeline fitted on `people`, for so many classes, or for a number if that is 0."""
    frame = people()
    value = target(frame)
    labels: dict[int, Any] = {0: value, 2: value > 0.3, 3: np.digitize(value, [-0.5, 0.5])}
    with np.errstate(over="ignore"):
        return make_pipeline(encoder(numbers), final).fit(frame, labels[classes])


def as_batch(frame: pd.DataFrame, schema: Schema = SCHEMA) -> RecordBatch:
    """The rows as a batch."""
    rows = frame.to_dict("records")
    return validate_rows(schema, rows, list(range(len(rows)))).batch


def output_of(names: tuple[str, ...], positive: str | None, kind: Any = "double") -> OutputSpec:
    """Outputs as packaging describes them."""
    if positive is None:
        return OutputSpec("columns", list(names), [OutputColumn(name, kind) for name in names])
    negative = next(name for name in names if name != positive)
    columns = [OutputColumn("score", "double"), OutputColumn("label", "string")]
    return OutputSpec("binary", list(names), columns, positive, negative, 0.5)


def chosen_for(
    estimator: Any,
    work: Path,
    names: tuple[str, ...] = ("prediction",),
    positive: str | None = None,
    *,
    kind: Any = "double",
    reference: RecordBatch | None = None,
    backend: Any = None,
) -> Chosen:
    """Choose and open the reasons of a fitted estimator over `SCHEMA`."""
    frame = people()
    known = as_batch(frame)
    rows = [dict(zip(SCHEMA.names, row, strict=True)) for row in frame.itertuples(index=False)]
    batch = parity_batch(SCHEMA, rows).slice(0, 400)
    backend = EstimatorBackend(estimator, names) if backend is None else backend
    served = Served(SCHEMA, output_of(names, positive, kind), backend, 32)
    reference = known if reference is None else reference
    spec = choose_reasons(native_model(estimator), served, batch, reference, work)
    explainer, _ = open_reasons(work, spec, SCHEMA, backend, 32)
    return Chosen(spec, explainer, known)
