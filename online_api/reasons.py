"""`?reasons=K`: how many reasons a request asks for with each score."""

from typing import Final
from urllib.parse import parse_qsl

from online_api.problems import INVALID_PARAMETER, REASONS_UNAVAILABLE, ProblemError
from scoring.errors import ReasonsUnavailable
from scoring.model import ModelBundle

REASONS: Final = "reasons"

_RULE: Final = f"the query parameter '{REASONS}' must be given once, as an integer from 0 on"


def requested_reasons(query: bytes, model: ModelBundle) -> int:
    """The number asked for, 0 when none. Other parameters are not read.

    Raises ProblemError: `invalid-parameter`, or `reasons-unavailable` when the model gives none.
    """
    if not query:
        return 0
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    given = [value for name, value in pairs if name == REASONS]
    return available_reasons(_count(given) if given else 0, model)


def available_reasons(count: int, model: ModelBundle) -> int:
    """The number asked for. Raises ProblemError when the model gives none and some are asked."""
    if count:
        try:
            model.require_explainer()
        except ReasonsUnavailable as error:
            raise ProblemError(REASONS_UNAVAILABLE, str(error)) from None
    return count


def _count(given: list[str]) -> int:
    (text, *others) = given
    if others or not (text.isascii() and text.isdecimal()):
        raise ProblemError(INVALID_PARAMETER, _RULE)
    try:
        return int(text)
    except ValueError:  # more digits than Python reads
        raise ProblemError(INVALID_PARAMETER, _RULE) from None
