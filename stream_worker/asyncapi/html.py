"""HTML whose text is escaped by construction: whatever is no `Markup` yet becomes text."""

from html import escape
from typing import Final

_VOID: Final = frozenset({"link", "meta"})


class Markup(str):
    """Text that is HTML."""

    __slots__ = ()


def element(name: str, /, *children: str | None, **attributes: str) -> Markup:
    """An element; a child of None is nothing. `class_` stands for `class`, `aria_label` for
    `aria-label`.
    """
    told = "".join(f' {_attribute(key)}="{escape(text)}"' for key, text in attributes.items())
    if name in _VOID:
        return Markup(f"<{name}{told}>")
    return Markup(f"<{name}{told}>{joined(*children)}</{name}>")


def joined(*children: str | None) -> Markup:
    """The children one after the other."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else escape(child)
            for child in children
            if child is not None
        )
    )


def code(text: str) -> Markup:
    """Something that is written exactly so."""
    return element("code", text)


def block(text: str) -> Markup:
    """Something to copy; one click selects all of it."""
    return element("pre", code(text), tabindex="0", title="One click selects all")


def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")
