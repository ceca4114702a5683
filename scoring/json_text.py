"""JSON to plain values, the same way in every lane.

msgspec decodes, because it is fast and strict. `NaN`, `Infinity` and numbers beyond a double, which
Python and others write although JSON has none of them, are read as floats that are not finite, so
that validation names the field instead of a lane refusing the whole text.
"""

import json
from typing import Any, Final

import msgspec

_DECODER: Final = msgspec.json.Decoder()


class NotJsonError(Exception):
    """The bytes are no JSON; the text says why and where, without repeating anything of them."""


def decode_json(data: bytes) -> Any:
    """The decoded value. Raises NotJsonError, whose text goes after "it " or a name."""
    try:
        return _DECODER.decode(data)
    except UnicodeDecodeError:
        raise NotJsonError("is not UTF-8") from None
    except RecursionError:
        raise NotJsonError("is nested too deeply") from None
    except msgspec.DecodeError as error:  # its text has a rule and a byte, never a value
        return _with_odd_numbers(data, f"is not JSON: {error}")


def _with_odd_numbers(data: bytes, reason: str) -> Any:
    try:
        value = json.loads(data.decode("utf-8"))
        msgspec.json.encode(value)  # fails on text with half a surrogate pair
    except (ValueError, RecursionError):
        raise NotJsonError(reason) from None
    return value
