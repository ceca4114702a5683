"""Paths with wildcards."""

import fnmatch
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from scoring.errors import ConfigurationError

_WILDCARDS: Final = re.compile(r"[*?[]")
_ANY_DEPTH: Final = "**"


def split_glob(url: str) -> tuple[str, str] | None:
    """The longest part of a URL or path without a wildcard, and the pattern below it; None when
    there is no wildcard. `data/2026-*/x.csv` is `data` and `2026-*/x.csv`.

    Raises ConfigurationError for a wildcard that is none of a path, such as in a container's name.
    """
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    found = _WILDCARDS.search(rest)
    if found is None:
        return None
    base, slash, _ = rest[: found.start()].rpartition("/")
    if not slash and separator:
        raise ConfigurationError(f"{url}: wildcards belong behind the first slash")
    if not slash:
        return ".", rest
    return f"{scheme}{separator}{base or '/'}", rest[len(base) + 1 :]


def matches(path: str, pattern: str) -> bool:
    """Whether a pattern means a file, or a directory that the file lies in.

    `*`, `?` and `[..]` are as in shells, within a name and with upper and lower case; `**` is any
    number of directories, none included.
    """
    parts = tuple(part for part in pattern.split("/") if part)
    return _matches(tuple(path.split("/")), parts)


def _matches(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """In time that grows with the product of both: a set of places in the pattern, step by step."""
    places = _skipping({0}, pattern)
    for name in path:
        if len(pattern) in places:
            return True
        stays = {p for p in places if pattern[p] == _ANY_DEPTH}
        moves = {p + 1 for p in places - stays if _name(pattern[p]).match(name)}
        places = _skipping(stays | moves, pattern)
    return len(pattern) in places


def _skipping(places: set[int], pattern: Sequence[str]) -> set[int]:
    """With the places behind each `**`, which may stand for nothing."""
    found = set(places)
    for place in sorted(places):
        while place < len(pattern) and pattern[place] == _ANY_DEPTH:
            place += 1
            found.add(place)
    return found


@lru_cache(maxsize=256)
def _name(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))
