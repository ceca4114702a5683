"""The small pieces that every part of the document is made of."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from scoring.json_schema import Piece

JSON: Final = "application/json"
REQUEST_ID: Final = "3bdd35e1-b24b-4836-bc4c-390a894a5170"
"""In examples."""


def ref(name: str, kind: str = "schemas") -> Piece:
    """A reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def content(schema: Mapping[str, Any] | None, examples: Mapping[str, Any] | None = None) -> Piece:
    """A body of one media type; examples go by names in plain words."""
    piece: Piece = {} if schema is None else {"schema": dict(schema)}
    if examples:
        piece["examples"] = {
            re.sub("[^A-Za-z0-9]+", "-", name).lower(): {"summary": name, "value": value}
            for name, value in examples.items()
        }
    return piece


def named(name: str, example: Any) -> Piece:
    """The only example, or none when there is none."""
    return {} if example is None else {name: example}


def answer(
    description: str,
    contents: Mapping[str, Any],
    headers: Sequence[str] = (),
) -> Piece:
    """A response; every one carries the id of its request, `headers` are others."""
    return {
        "description": description,
        "headers": {name: ref(name, "headers") for name in ("X-Request-ID", *headers)},
        "content": dict(contents),
    }
