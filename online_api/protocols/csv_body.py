"""A body of CSV (RFC 4180, comma, UTF-8, with a header) as cells."""

import csv
import io
from collections.abc import Iterator
from typing import Final

from online_api.context import Limits
from online_api.problems import MALFORMED, ProblemError
from online_api.protocols.predict_body import require_count
from online_api.protocols.record_tables import Cells

_BYTE_ORDER_MARK: Final = "\ufeff"


def read_csv_body(body: bytes, limits: Limits) -> Cells:
    """The rows under the header. Blank lines are no rows.

    A first column without a name is the index that pandas writes: nothing reads it. Raises
    ProblemError.
    """
    # The csv module's own limit holds for the whole process; a higher one takes from nobody.
    csv.field_size_limit(max(csv.field_size_limit(), limits.max_body_bytes))
    rows = _rows(body)
    header = _checked_header(next(rows, None))
    found: list[list[str]] = []
    for row in rows:
        if len(row) != len(header):
            rule = "must have as many cells as the header"
            raise _malformed(f"row {len(found) + 1} of the body {rule}")
        found.append(row)
        if len(found) > limits.max_records:
            break
    require_count(len(found), limits)
    return Cells(header, found)


def _rows(body: bytes) -> Iterator[list[str]]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed("the body is not UTF-8") from None
    lines = io.StringIO(text.removeprefix(_BYTE_ORDER_MARK), newline="\n")
    try:
        yield from filter(None, csv.reader(lines, strict=True))
    except csv.Error:
        rule = "a quote stays open, or text follows a closed one"
        raise _malformed(f"the body is not CSV: {rule}") from None


def _checked_header(header: list[str] | None) -> list[str]:
    if header is None:
        raise _malformed("the body must begin with a header that names the columns")
    if "" in header[1:]:
        place = header.index("", 1)
        raise _malformed(f"column {place + 1} of the header has no name")
    if len(set(header)) < len(header):
        raise _malformed("the header must name no column twice")
    return header


def _malformed(detail: str) -> ProblemError:
    return ProblemError(MALFORMED, detail)
