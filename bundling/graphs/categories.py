"""Encoders of categories as ONNX, all columns at once and in float64.

skl2onnx's own work column by column and in float32, and do not know nulls in text. What an encoder
gives for a category is not worked out again here: the fitted encoder is asked for each of them.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from bundling.graphs.category_codes import CategoryGroup, CodeBlock
from bundling.graphs.conversion import Conversion, is_null, is_text, joined
from bundling.graphs.writer import GraphWriter
from bundling.native import NotCompilable


def encoder_width(encoder: Any) -> int:
    """How many outputs an encoder has."""
    return sum(block.shape[1] for block, _ in _code_blocks(encoder))


def _code_blocks(encoder: Any) -> list[CodeBlock]:
    """The codes of every column, by the encoder itself."""
    categories = [list(values) for values in encoder.categories_]
    refuses = getattr(encoder, "handle_unknown", "ignore") == "error"
    rows = max(len(values) for values in categories) + 1
    table = np.empty((rows, len(categories)), dtype=object)
    for column, values in enumerate(categories):
        last = values[0] if refuses else _unseen(values)
        table[:, column] = [*values, *[last] * (rows - len(values))]
    if all(values.dtype.kind in "iufb" for values in encoder.categories_):
        table = table.astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of feature names, which the table has none of
        codes = encoder.transform(table)
    codes = np.asarray(codes.todense() if hasattr(codes, "todense") else codes, np.float64)
    ends = np.cumsum(_widths(encoder, codes.shape[1]))
    parts = np.split(codes, ends[:-1], axis=1)
    return [
        (part[: len(values) + 1], refuses) for part, values in zip(parts, categories, strict=True)
    ]


def _widths(encoder: Any, total: int) -> list[int]:
    """How many outputs each column has."""
    columns = len(encoder.categories_)
    own = getattr(encoder, "_n_features_outs", None)  # of a OneHotEncoder
    return list(own) if own is not None else [total // columns] * columns


def _is_text(categories: Sequence[Any]) -> bool:
    return any(isinstance(value, str) for value in categories)


def _unseen(values: Sequence[Any]) -> Any:
    """A value of the same kind that is none of these."""
    known = [value for value in values if not is_null(value)]
    if known and not isinstance(known[0], str):
        return float(max(known)) + 1.0
    return max((str(value) for value in known), default="") + "+"


def encoded_categories(writer: GraphWriter, operator: Any, conversion: Conversion) -> str:
    """Append an encoder: text columns and numeric ones each at once, then in its own order."""
    encoder = operator.raw_operator
    blocks = _code_blocks(encoder)
    texts: list[int] = []
    numbers: list[int] = []
    for variable in operator.inputs:
        width = variable.type.shape[1]
        start = len(texts) + len(numbers)
        (texts if is_text(variable) else numbers).extend(range(start, start + width))
    if [i in texts for i in range(len(blocks))] != [_is_text(c) for c in encoder.categories_]:
        # skl2onnx puts the columns of some encoders together before, numbers and text as one type.
        raise NotCompilable("an encoder of text and numbers together has no compiled form")
    found = []
    for columns, kind in ((texts, True), (numbers, False)):
        if columns:
            matrix = joined(writer, [v for v in operator.inputs if is_text(v) is kind])
            group = CategoryGroup(
                [list(encoder.categories_[i]) for i in columns], [blocks[i] for i in columns]
            )
            found.append(group.encoded(writer, matrix, kind, conversion))
    if len(found) == 1:
        return found[0]
    widths = [block.shape[1] for block, _ in blocks]
    places = np.split(np.arange(sum(widths)), np.cumsum(widths)[:-1])
    order = np.argsort(np.concatenate([places[i] for i in [*texts, *numbers]]))
    both = writer.node("Concat", found, axis=1)
    return writer.node("Gather", [both, writer.constant(order, np.int64)], axis=1)
