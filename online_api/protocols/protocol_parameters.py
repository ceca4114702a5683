"""Parameters inside a body: which there are, and the one that asks for reasons."""

from collections.abc import Mapping
from typing import Any, Final

from online_api.problems import INVALID_PARAMETER, MAX_NAME_CHARACTERS, ProblemError
from online_api.reasons import REASONS, available_reasons, requested_reasons
from scoring.model import ModelBundle

_RULE: Final = f"the parameter '{REASONS}' must be given once, as an integer from 0 on"


def require_parameters(given: Mapping[str, Any], known: frozenset[str], place: str) -> None:
    """Refuse a parameter that would be ignored. Raises ProblemError."""
    for name in given:
        if name not in known:
            shown = name[:MAX_NAME_CHARACTERS]
            raise ProblemError(INVALID_PARAMETER, f"{place} has no parameter '{shown}' here")


def wanted_reasons(query: bytes, given: Mapping[str, Any], model: ModelBundle) -> int:
    """How many reasons are asked for, in the query or among the body's parameters.

    Raises ProblemError when it is no number, asked for twice, or the model gives none.
    """
    asked = requested_reasons(query, model)
    if REASONS not in given:
        return asked
    count = given[REASONS]
    if asked or not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise ProblemError(INVALID_PARAMETER, _RULE)
    return available_reasons(count, model)
