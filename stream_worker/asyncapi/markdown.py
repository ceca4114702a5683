"""The Markdown of the document's descriptions: paragraphs, lists, blocks and words of code."""

import re
from typing import Final

from stream_worker.asyncapi.html import Markup, block, code, element, joined

_FENCE: Final = re.compile(r"```\n(.*?)\n```", re.DOTALL)
_CODE: Final = re.compile(r"`([^`]+)`")


def from_markdown(text: str) -> Markup:
    """Paragraphs and what stands between them."""
    parts = _FENCE.split(text)
    found = [
        block(part) if place % 2 else joined(*map(_paragraph, part.strip().split("\n\n")))
        for place, part in enumerate(parts)
        if part.strip()
    ]
    return joined(*found)


def inline(text: str) -> Markup:
    """Words, some of them code."""
    parts = _CODE.split(text)
    return joined(*[code(part) if place % 2 else part for place, part in enumerate(parts)])


def _paragraph(text: str) -> Markup:
    lines = text.split("\n")
    if all(line.startswith("- ") for line in lines):
        return element("ul", *[element("li", inline(line[2:])) for line in lines])
    return element("p", inline(text))
