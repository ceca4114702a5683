"""The features that moved a score most, from the contributions an explainer computes."""

import numpy as np

from scoring.model import ModelBundle
from scoring.records import Reasons, RecordBatch


def top_reasons(model: ModelBundle, batch: RecordBatch, count: int) -> Reasons:
    """The `count` strongest contributions of each record, by magnitude, ties in schema order.

    `batch` is not empty. Raises ModelError, ReasonsUnavailable.
    """
    contributions = model.require_explainer().explain(batch).contributions
    order = np.argsort(-np.abs(contributions), axis=1, kind="stable")[:, :count]
    return Reasons(model.schema.names, order, np.take_along_axis(contributions, order, axis=1))


def no_reasons(model: ModelBundle, count: int) -> Reasons:
    """Those of no records. Raises ReasonsUnavailable."""
    model.require_explainer()
    shape = (0, min(count, len(model.schema.names)))
    return Reasons(model.schema.names, np.empty(shape, np.intp), np.empty(shape))
