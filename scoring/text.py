"""Text cells to values: what a record is in formats that carry no types, such as CSV.

A cell becomes the value JSON decoding would have produced for it, so that validation gives the
same verdict on the same record in either form. A cell counts as it stands: nothing is stripped,
grouped (`1,000`, `1_000`) or read by locale, and only ASCII digits are digits. A cell that does not
spell a value of its kind stays a string, and validation says so.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from scoring.schema import FieldType

_INTEGER: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_NOT_FINITE: Final = re.compile(r"[+-]?(?:nan|inf|infinity)", re.ASCII | re.IGNORECASE)


def parse_cell(kind: FieldType, text: str | None) -> object:
    """The value a cell holds for a feature of type `kind`; never raises.

    - Empty or None: None. Text has no way to tell an empty string from a null.
    - integer, long, float, double: `3`, `+3`, `-3` are an int; `3.0`, `.5`, `5.`, `1e-3` a float;
      `nan`, `inf`, `infinity` in any case and with a sign the float of that name. Whether a float
      fits an integer feature (3.0 does, 3.5 does not) is for validation.
    - boolean: `true` and `false` in any case; `1` and `0` are no booleans, as in JSON.
    - string, and datetime (ISO 8601, for validation to read): the text itself.
    """
    if not text:
        return None
    return _PARSERS[kind](text)


def _number(text: str) -> object:
    if _INTEGER.fullmatch(text):
        try:
            return int(text)
        except ValueError:  # more digits than Python converts; no feature holds such a number
            return float(text)
    if _DECIMAL.fullmatch(text) or _NOT_FINITE.fullmatch(text):
        return float(text)
    return text


def _boolean(text: str) -> object:
    return _BOOLEANS.get(text.lower(), text)


def _as_is(text: str) -> object:
    return text


_BOOLEANS: Final[Mapping[str, bool]] = {"true": True, "false": False}

_PARSERS: Final[Mapping[FieldType, Callable[[str], object]]] = {
    FieldType.BOOLEAN: _boolean,
    FieldType.INTEGER: _number,
    FieldType.LONG: _number,
    FieldType.FLOAT: _number,
    FieldType.DOUBLE: _number,
    FieldType.STRING: _as_is,
    FieldType.DATETIME: _as_is,
}
