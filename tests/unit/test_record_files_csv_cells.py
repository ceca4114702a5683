"""Columns of cells at once: what `parse_cell` makes of each of them."""

from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from adapters.record_files.csv_cells import Decimal, cell_parser, cell_values, texts
from scoring.schema import Feature, FieldType
from scoring.text import parse_cell
from scoring.values import Coded, Values, check_values

CELLS = [
    *("-0", "-0.0", "-.0", "-0e5", "0", "+3", "007", "-12", "3.0", "5.", ".5", "1e5", "1E-3", "1e"),
    *("1,5", "-0,0", "1.5,2", "0x1", "1_0", "٣", "-", ".", "e5", "--1", "1-2", " 1", "1 ", "", "x"),
    *("1.7976931348623157e308", "1e999", "1e-400", "3.4028236e38", "2.2250738585072011e-308"),
    *("2147483648", "9007199254740993", "-9223372036854775808", "9223372036854775808", "8.5e-1"),
    *("0.1000000000000000055511151231257827", "nan", "-inf", "true", "2026-03-02"),
    *("0" * 30, "1" * 400),
]


def column(cells: list[str]) -> pa.ChunkedArray:
    """Cells as the readers have them, not all in one piece."""
    return pa.chunked_array([cells[:1], cells[1:]], pa.large_string())


@pytest.mark.parametrize("kind", FieldType)
@pytest.mark.parametrize("decimal", [".", ","])
def test_cells_of_a_column_are_what_each_is(kind: FieldType, decimal: Decimal) -> None:
    """The same bits and the same violations, whatever stands beside a cell."""
    for cells in [[cell] for cell in CELLS] + [[*pair] for pair in combinations(CELLS, 2)]:
        _assert_alike(kind, decimal, cells)


@pytest.mark.parametrize("kind", FieldType)
def test_cells_that_come_again_and_again_are_codes(kind: FieldType) -> None:
    """From one cell in eight on, or fewer; the values are the same."""
    for pair in pairwise(CELLS):
        assert isinstance(_assert_alike(kind, ".", [*pair] * 8), Coded)
        assert not isinstance(_assert_alike(kind, ".", [*pair] * 7), Coded)


def _assert_alike(kind: FieldType, decimal: Decimal, cells: list[str]) -> Values:
    values, parse = cell_values(column(cells), kind, decimal), cell_parser(kind, decimal)
    for required in (True, False):
        feature = Feature("a", kind, required)
        expected = check_values(feature, [parse(cell) for cell in cells])
        assert _seen(check_values(feature, values)) == _seen(expected), (cells, feature)
    return values


def _seen(checked: tuple[Any, Any]) -> tuple[Any, ...]:
    values, broken = checked
    bits = values.tolist() if values.dtype == object else values.tobytes()
    return values.dtype, bits, broken


@pytest.mark.parametrize("kind", FieldType)
def test_a_point_is_what_cells_have_unless_told(kind: FieldType) -> None:
    """A cell alone is read by `parse_cell`."""
    parse = cell_parser(kind, ".")
    assert [repr(parse(cell)) for cell in CELLS] == [repr(parse_cell(kind, c)) for c in CELLS]


def test_a_decimal_comma_is_one_of_numbers_alone() -> None:
    """Other kinds keep their text, and so does what is no number."""
    cells = ["1,5", "1.5", "1,2,3", "3", ""]
    assert list(map(cell_parser(FieldType.DOUBLE, ","), cells)) == [1.5, "1.5", "1,2,3", 3, None]
    assert list(map(cell_parser(FieldType.STRING, ","), cells)) == [*cells[:4], None]


@pytest.mark.parametrize(("last", "form"), [("7", np.ndarray), ("", list), ("x", list)])
def test_many_numbers_are_an_array_where_that_says_the_same(last: str, form: type) -> None:
    """A null and what is no number need a value of their own."""
    cells = [str(n) for n in range(3000)] + [last]
    values = cell_values(column(cells), FieldType.DOUBLE, ".")
    assert isinstance(values, form)
    assert list(values) == [*range(3000), parse_cell(FieldType.DOUBLE, last)]


def test_a_part_of_a_column_is_read_alone() -> None:
    """What stands before and behind it in memory does not count."""
    part = column(["x", "1", "2", "y"])[1:3].combine_chunks()
    values = cell_values(pa.chunked_array([part]), FieldType.LONG, ".")
    assert isinstance(values, np.ndarray)
    assert values.tolist() == [1, 2]
    assert texts(part) == ["1", "2"]
