"""Rows of a CSV file to ids and typed columns."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from adapters.record_files.chunks import ReadOptions, Records
from adapters.record_files.csv_cells import cell_parser, cell_values, texts
from adapters.record_files.csv_rows import Cells
from scoring.schema import Schema
from scoring.text import parse_cell
from scoring.values import Coded, Values

_NULL: Final = (None,)


class Columns:
    """What of each row of `width` cells is needed, and its values. Of a column that the model does
    not know only that it is there.
    """

    def __init__(self, header: Cells, schema: Schema, id_column: str, options: ReadOptions) -> None:
        self.width = len(header)
        self._id = header.index(id_column)
        self._decimal = options.dialect.decimal
        kinds = {feature.name: feature.type for feature in schema.features}
        self._typed = [(i, name, kinds[name]) for i, name in enumerate(header) if name in kinds]
        self._constants: dict[str, Sequence[Any]] = {
            name: (parse_cell(kinds[name], text),)
            for name, text in options.constants.items()
            if name in kinds and name not in header
        }
        unknown = (n for n in header if n not in schema.known and n != id_column)
        self._constants |= dict.fromkeys(unknown, _NULL)
        self.needed = sorted({self._id, *(place for place, _, _ in self._typed)})

    def of_rows(self, rows: list[Cells]) -> tuple[Sequence[Any], Records]:
        """Ids and columns of rows of cells."""
        columns: dict[str, Values] = {}
        for place, name, kind in self._typed:
            parse = cell_parser(kind, self._decimal)
            columns[name] = [parse(row[place]) for row in rows]
        return [row[self._id] or None for row in rows], columns | self._repeated(len(rows))

    def of_table(self, table: pa.Table) -> tuple[Sequence[Any], Records]:
        """The same of a table of text that has the `needed` columns, each named by its place."""
        columns: dict[str, Values] = {
            name: cell_values(table.column(str(place)), kind, self._decimal)
            for place, name, kind in self._typed
        }
        ids = texts(table.column(str(self._id)))
        return ids, columns | self._repeated(len(table))

    def _repeated(self, count: int) -> dict[str, Values]:
        codes = np.zeros(count, dtype=np.int32)
        return {name: Coded(value, codes) for name, value in self._constants.items()}
