"""Rows of CSV (RFC 4180) one by one: each is cells or has a rule it broke.

This is the reading that others have to agree with. A row that breaks the rules is unreadable alone:
reading goes on at the line after its first.
"""

import csv
from dataclasses import dataclass
from typing import Final

from adapters.record_files.lines import MAX_ROW_BYTES, TOO_LONG, TextAhead, not_text
from scoring.records import RejectionCode, Violation

Cells = list[str]

BAD_WIDTH: Final = Violation(None, RejectionCode.MALFORMED, "must have as many cells as the header")
_BAD_QUOTES: Final = Violation(
    None, RejectionCode.MALFORMED, "must be CSV: a quote stays open, or text follows a closed one"
)


@dataclass(frozen=True, slots=True)
class Marks:
    """The characters that cells are told apart by; without a `quote` no cell is quoted."""

    delimiter: str
    quote: str


class RowReader:
    """The rows of a text from where it stands; what is read is consumed, and nothing more."""

    def __init__(self, text: TextAhead, marks: Marks, encoding: str) -> None:
        # The csv module's own limit holds for the whole process; a higher one takes from nobody.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW_BYTES))
        self.marks = marks
        self._text = text
        self._lines = _RowLines(text)
        self._reader = csv.reader(
            self._lines,
            delimiter=marks.delimiter,
            quotechar=marks.quote or None,
            quoting=csv.QUOTE_MINIMAL if marks.quote else csv.QUOTE_NONE,
            strict=True,
        )
        self._not_text = not_text(encoding)

    def read(self) -> Cells | Violation | None:
        """The next row, None at the end. Blank lines are no rows. Blocks on the file."""
        row = self.peek()
        if isinstance(row, Violation) and row is not self._not_text:
            self._text.advance_line()
        else:
            self._text.advance(self._lines.size)
        return row

    def peek(self) -> Cells | Violation | None:
        """The same; the row stays to be read, blank lines before it do not."""
        while (row := self._row()) == []:
            self._text.advance(self._lines.size)
        return row

    def _row(self) -> Cells | Violation | None:
        self._lines.begin_row()
        try:
            cells = next(self._reader)
        except StopIteration:
            return None
        except _RowTooLongError:
            return TOO_LONG
        except csv.Error:
            return _BAD_QUOTES
        return cells if self._lines.decoded else self._not_text


class _RowTooLongError(Exception):
    """The row in hand is longer than a row may be."""


class _RowLines:
    """The lines of one row for the `csv` module, which decides how many of them it has."""

    def __init__(self, text: TextAhead) -> None:
        self._text = text
        self.size = 0
        self.decoded = True

    def begin_row(self) -> None:
        """What comes next belongs to another row."""
        self.size = 0
        self.decoded = True

    def __iter__(self) -> "_RowLines":
        return self

    def __next__(self) -> str:
        """The next line. Raises _RowTooLongError when the row gets too long with it."""
        line = self._text.line(MAX_ROW_BYTES - self.size, behind=self.size)
        if line is None:
            raise _RowTooLongError
        if not line:
            raise StopIteration
        self.size += len(line)
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError:
            self.decoded = False
            return line.decode("utf-8", "replace")
