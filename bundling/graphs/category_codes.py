"""The codes of several columns of one kind, text or numbers, as nodes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from bundling.graphs.conversion import Conversion
from bundling.graphs.writer import GraphWriter
from bundling.native import NotCompilable

CodeBlock = tuple[NDArray[np.float64], bool]
"""One column's codes (categories + 1, outputs), the last row for an unknown category; and whether
an unknown one is refused, in which case that row means nothing."""


class CategoryGroup:
    """Columns of one kind. A record's value in a column is a slot, a row of one long table: first
    the slots of the first column's values, the last of them for the unknown, and so on.
    """

    def __init__(self, categories: list[list[Any]], blocks: list[CodeBlock]) -> None:
        self._categories = categories
        self._blocks = blocks
        self._rows: list[NDArray[np.intp]] = []  # per column: the row of its block for each slot

    def encoded(self, writer: GraphWriter, matrix: str, text: bool, conversion: Conversion) -> str:
        """The codes (n, outputs) in the graph's float type."""
        plain = self._one_hot(writer, matrix, text, conversion)
        if plain:
            return plain
        slots = self._text_slots if text else self._number_slots
        return self._codes(writer, slots(writer, matrix, conversion), conversion)

    def _one_hot(self, writer: GraphWriter, matrix: str, text: bool, conversion: Conversion) -> str:
        """Codes (n, categories) of which each is 1 for its own category: no table is needed.

        The usual case, in the fewest nodes; empty for any other.
        """
        if not all(_is_plain(block, refuses) for block, refuses in self._blocks):
            return ""
        if text:
            ids, words = self._ids(writer, matrix, conversion)
            wanted = [words.index(key) for values in self._keys(conversion) for key in values]
            constant = writer.constant([wanted], np.int64)
            equal = writer.node("Equal", [self._spread(writer, ids), constant])
        else:
            equal = self._equal(writer, matrix, conversion)
        return writer.node("Cast", [equal], to=conversion.element)

    def _text_slots(self, writer: GraphWriter, matrix: str, conversion: Conversion) -> str:
        """Slots (n, columns) int64: one dictionary for all columns, then an offset for each."""
        ids, words = self._ids(writer, matrix, conversion)
        for values in self._keys(conversion):
            place: dict[str | None, int] = {key: row for row, key in enumerate(values)}
            self._rows.append(np.array([place.get(w, len(values)) for w in [*words, None]]))
        if len(self._categories) == 1:
            return ids
        offsets = np.arange(len(self._categories)) * (len(words) + 1)
        return writer.node("Add", [ids, writer.constant([offsets], np.int64)])

    def _number_slots(self, writer: GraphWriter, matrix: str, conversion: Conversion) -> str:
        """Slots (n, columns) int64: each value is compared with the categories of its column."""
        sizes = [len(values) for values in self._categories]
        # A column's unknown slot, minus the way from it to the slot of the category that is equal.
        steps = np.zeros((sum(sizes), len(sizes)))
        starts = np.concatenate([[0], np.cumsum(sizes)])
        for column, size in enumerate(sizes):
            steps[starts[column] : starts[column + 1], column] = np.arange(size) - size
            self._rows.append(np.arange(size + 1))
        unknown = np.cumsum(np.array(sizes) + 1) - 1
        equal = self._equal(writer, matrix, conversion)
        hits = writer.node("Cast", [equal], to=TensorProto.DOUBLE)
        back = writer.node("MatMul", [hits, writer.constant(steps)])
        slots = writer.node("Add", [back, writer.constant([unknown.astype(np.float64)])])
        return writer.node("Cast", [slots], to=TensorProto.INT64)

    def _keys(self, conversion: Conversion) -> list[list[str]]:
        return [[conversion.key(value) for value in values] for values in self._categories]

    def _ids(
        self, writer: GraphWriter, matrix: str, conversion: Conversion
    ) -> tuple[str, list[str]]:
        """Each text's place among all words (n, columns), their number for an unknown one."""
        keys = self._keys(conversion)
        if any(len(set(values)) != len(values) for values in keys):
            raise NotCompilable("an encoder tells several kinds of null apart")
        words = sorted({key for values in keys for key in values})
        ids = writer.node(
            "LabelEncoder",
            [matrix],
            "ai.onnx.ml",
            keys_strings=words,
            values_int64s=list(range(len(words))),
            default_int64=len(words),
        )
        return ids, words

    def _spread(self, writer: GraphWriter, matrix: str) -> str:
        """Each column once for each of its categories, (n, categories)."""
        columns = np.repeat(np.arange(len(self._categories)), [len(v) for v in self._categories])
        if np.array_equal(columns, np.arange(len(self._categories))):
            return matrix
        return writer.node("Gather", [matrix, writer.constant(columns, np.int64)], axis=1)

    def _equal(self, writer: GraphWriter, matrix: str, conversion: Conversion) -> str:
        """Whether a number is the category, (n, categories) bool."""
        flat = np.array([float(v) for values in self._categories for v in values])
        spread = self._spread(writer, matrix)
        equal = writer.node("Equal", [spread, writer.constant([flat], conversion.dtype)])
        if not np.isnan(flat).any():
            return equal
        missing = writer.node("IsNaN", [spread])
        both = writer.node("And", [missing, writer.constant([np.isnan(flat)], np.bool_)])
        return writer.node("Or", [equal, both])

    def _codes(self, writer: GraphWriter, slots: str, conversion: Conversion) -> str:
        """The codes (n, outputs) in the graph's float type."""
        tables = [block[rows] for (block, _), rows in zip(self._blocks, self._rows, strict=True)]
        if all(table.shape[1] == 1 for table in tables):
            flat = writer.constant(np.concatenate(tables)[:, 0], conversion.dtype)
            found = writer.node("Gather", [flat, slots])
        else:
            found = _spread(writer, slots, tables, conversion)
        return self._guarded(writer, slots, found, conversion)

    def _guarded(self, writer: GraphWriter, slots: str, found: str, conversion: Conversion) -> str:
        """Fail on an unknown category where the encoder does: a look-up beyond a table's end."""
        bad = [
            (rows == len(values)) & refuses
            for values, (_, refuses), rows in zip(
                self._categories, self._blocks, self._rows, strict=True
            )
        ]
        if not np.concatenate(bad).any():
            return found
        table = writer.constant(np.concatenate(bad).astype(np.int64), np.int64)
        zero = writer.constant([0.0], conversion.dtype)
        nothing = writer.node("Gather", [zero, writer.node("Gather", [table, slots])])
        axis = writer.constant([1], np.int64)
        return writer.node("Add", [found, writer.node("ReduceSum", [nothing, axis], keepdims=1)])


def _is_plain(block: NDArray[np.float64], refuses: bool) -> bool:
    """Whether each category sets an output of its own, and an unknown one none."""
    return not refuses and np.array_equal(block, np.eye(len(block))[:, :-1])


def _spread(
    writer: GraphWriter, slots: str, tables: list[NDArray[np.float64]], conversion: Conversion
) -> str:
    """Several outputs per column. One-hot codes are compared, others looked up row by row."""
    widths = [table.shape[1] for table in tables]
    if all(set(np.unique(t)) <= {0.0, 1.0} and (t.sum(axis=1) <= 1).all() for t in tables):
        # Which output a slot sets, counted over all columns; -1 for none.
        starts = np.concatenate([[0], np.cumsum(widths)[:-1]])
        sets = [
            np.where(table.any(axis=1), start + table.argmax(axis=1) if table.shape[1] else -1, -1)
            for table, start in zip(tables, starts, strict=True)
        ]
        chosen = writer.node("Gather", [writer.constant(np.concatenate(sets), np.int64), slots])
        columns = writer.constant(np.repeat(np.arange(len(tables)), widths), np.int64)
        spread = writer.node("Gather", [chosen, columns], axis=1)
        places = writer.constant([np.arange(sum(widths))], np.int64)
        equal = writer.node("Equal", [spread, places])
        return writer.node("Cast", [equal], to=conversion.element)
    if len(set(widths)) != 1:
        raise NotCompilable("an encoder gives its columns unlike numbers of codes")
    rows = writer.node("Gather", [writer.constant(np.concatenate(tables), conversion.dtype), slots])
    shape = writer.constant([-1, sum(widths)], np.int64)
    return writer.node("Reshape", [rows, shape])
