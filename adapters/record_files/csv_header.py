"""What comes before the rows of a CSV file: how cells are told apart, and the names of columns."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from adapters.record_files.chunks import CsvDialect, ReadOptions, Source
from adapters.record_files.csv_rows import Cells, Marks, RowReader
from adapters.record_files.lines import TextAhead
from adapters.record_files.text_stream import codec_of
from scoring.errors import ConfigurationError, InputError
from scoring.records import Violation

_DELIMITERS: Final = (",", ";", "\t", "|")


def read_header(
    text: TextAhead, source: Source, encoding: str, id_column: str, options: ReadOptions
) -> tuple[Cells, RowReader] | None:
    """The names of the columns, renamed, and a reader of the rows behind them; None when the text
    has no row. `encoding` is what a row must be that is no text.

    Of several possible delimiters the first counts under which there is an id column. Blocks on
    the file. Raises InputError when the header cannot be used, ConfigurationError when the dialect
    cannot.
    """
    readers = [RowReader(text, marks, encoding) for marks in _possible(options.dialect)]
    found = [(_renamed(reader.peek(), options.columns), reader) for reader in readers]
    fitting = (pair for pair in found if isinstance(pair[0], list) and id_column in pair[0])
    header, reader = next(fitting, found[0])
    if header is None:
        return None
    reader.read()
    return _checked(header, source, id_column), reader


def check_dialect(dialect: CsvDialect) -> None:
    """Raises ConfigurationError when no file can be read so."""
    _possible(dialect)
    codec_of(dialect.encoding, b"")


def _possible(dialect: CsvDialect) -> list[Marks]:
    quote, delimiter = dialect.quote, dialect.delimiter
    if len(quote) > 1 or quote in ("\r", "\n"):
        raise ConfigurationError("the quote of a CSV file must be one character, or none")
    if delimiter == "auto":
        return [Marks(mark, quote) for mark in _DELIMITERS if mark != quote]
    if len(delimiter) != 1 or delimiter in ("\r", "\n", quote):
        raise ConfigurationError(
            "the delimiter of a CSV file must be 'auto' or one character, and not the quote"
        )
    return [Marks(delimiter, quote)]


def _renamed(
    header: Cells | Violation | None, columns: Mapping[str, str]
) -> Cells | Violation | None:
    if isinstance(header, list):
        return [columns.get(name, name) for name in header]
    return header


def _checked(header: Cells | Violation, source: Source, id_column: str) -> Cells:
    if isinstance(header, Violation):
        raise InputError(f"{source.url}: the header {header.rule}")
    # First, as a file without a header has values there, which are not to be repeated.
    if id_column not in header:
        raise InputError(
            f"{source.url}: the header has no column '{id_column}'; "
            "name the column with the record id by --record-id-column"
        )
    twice = min((name for name, count in Counter(header).items() if count > 1), default=None)
    if twice is not None:
        raise InputError(f"{source.url}: the header names '{twice}' more than once")
    return header
