"""JSON decoding: strict, but for numbers that JSON does not have."""

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.json_text import NotJsonError, decode_json

_scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.floats()
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


def same(a: Any, b: Any) -> bool:
    """Equal, with NaN equal to itself."""
    return repr(a) == repr(b)


@given(_values)
def test_what_python_writes_is_read_back(value: Any) -> None:
    """NaN and the infinities included, wherever they stand."""
    assert same(decode_json(json.dumps(value).encode()), value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b'{"a": nan}', "is not JSON"),
        (b'{"a": 1} x', "is not JSON"),
        (b'["\xff"]', "is not UTF-8"),
        (b"[" * 100_000, "is nested too deeply"),
        (b'["\\ud800"]', "is not JSON"),
        (b'["\\ud800", NaN]', "is not JSON"),
    ],
)
def test_what_is_no_json_says_why(data: bytes, words: str) -> None:
    """Half a surrogate pair is no text either, beside an odd number or not."""
    with pytest.raises(NotJsonError, match=words):
        decode_json(data)


def test_a_number_beyond_a_double_is_infinite() -> None:
    """So that validation can name its field."""
    assert decode_json(b"[1e999, -1e999]") == [math.inf, -math.inf]


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Nothing else comes out, whatever came in."""
    with contextlib.suppress(NotJsonError):
        decode_json(data)
