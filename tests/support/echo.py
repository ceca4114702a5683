"""Whether an answer repeats what a request brought: a marker, or anything unusual.

What the protocols send back is let through: the request's id, a record's id, the `id` of an
inference request, and of a name that is not known its first 64 characters.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

VALUE = "hunter2-5551234"
"""Stands where a request has a text that is a value; no part of it may come back."""
NUMBER = 5551234
NAME = "unheard-of-name-" * 6
"""Stands where a request has a text that is a name; it may not come back as a whole."""

_NAMES = frozenset({"name", "columns"})
"""Members whose texts are names: of a tensor, of the columns of a table."""


def marked(value: Any, is_name: bool = False) -> Any:
    """JSON with markers in place of its texts and numbers, and of all else as it is."""
    if isinstance(value, dict):
        return {name: marked(item, name in _NAMES) for name, item in value.items()}
    if isinstance(value, list):
        return [marked(item, is_name) for item in value]
    if isinstance(value, str):
        return NAME if is_name else VALUE
    if isinstance(value, float):
        return NUMBER + 0.5
    return NUMBER if type(value) is int else value


def marked_csv(text: str) -> str:
    """CSV with markers in place of what its cells hold, the header aside."""
    header, line_break, rows = text.partition("\n")
    return header + line_break + re.sub(r"\w+", VALUE, rows)


def unusual(value: Any) -> Iterator[str]:
    """The texts among the values of a JSON document that no one else would have made up."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name not in _NAMES:
                yield from unusual(item)
    elif isinstance(value, list):
        for item in value:
            yield from unusual(item)
    elif isinstance(value, str) and len(value) >= 6 and len(set(value)) >= 4:
        yield value


def repeated(answer: bytes) -> str:
    """What an answer says beyond what it has to send back."""
    try:
        document = msgspec.json.decode(answer)
    except msgspec.DecodeError:
        return answer.decode("utf-8", "replace")
    if isinstance(document, dict):
        for name in ("id", "request_id"):
            document.pop(name, None)
        for prediction in document.get("predictions", []):
            if isinstance(prediction, dict):
                prediction.pop("record_id", None)
    return msgspec.json.encode(document).decode()
