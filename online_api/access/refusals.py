"""Why a request is refused: the reasons, the answers to them, and the lines in the log.

Answers follow RFC 6750. Neither they nor the lines hold any part of a credential.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Final, Literal

from online_api.access.caller import Caller, Role
from online_api.problems import FORBIDDEN, UNAUTHORIZED, ProblemError

Reason = Literal[
    "no_credentials", "several_credentials", "malformed_credentials", "unknown_key",
    "unexpected_token", "malformed_token", "wrong_algorithm", "unknown_signing_key",
    "wrong_signature", "missing_claim", "wrong_issuer", "wrong_audience", "not_yet_valid",
    "expired", "missing_role",
]  # fmt: skip

WORDS: Final[Mapping[Reason, str]] = {
    "no_credentials": "send an API key or a bearer token",
    "several_credentials": "send one X-API-Key or one Authorization header, not more",
    "malformed_credentials": "send X-API-Key: KEY, or Authorization: Bearer and a key or a token",
    "unknown_key": "the key is not valid",
    "unexpected_token": "the server takes no bearer tokens",
    "malformed_token": "the token cannot be read",
    "wrong_algorithm": "the token must be signed with RS256",
    "unknown_signing_key": "the token names no signing key of the identity provider",
    "wrong_signature": "the signature of the token is not valid",
    "missing_claim": "the token must have the claims exp, nbf, iss and aud",
    "wrong_issuer": "the token comes from another issuer",
    "wrong_audience": "the token is meant for another audience",
    "not_yet_valid": "the token is not valid yet",
    "expired": "the token has expired",
}
"""What callers are told with a 401. A token's claims count only once its signature is valid."""

LINES_PER_WINDOW: Final = 10
WINDOW_SECONDS: Final = 60.0

logger = logging.getLogger(__name__)


class Refused(Exception):
    """Credentials that are not accepted."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


def unauthorized(reason: Reason) -> ProblemError:
    """The 401. A request without credentials is only told which scheme to use (section 3.1)."""
    words = WORDS[reason]
    challenge = 'Bearer realm="trilane"'
    if reason != "no_credentials":
        challenge += f', error="invalid_token", error_description="{words}"'
    return ProblemError(UNAUTHORIZED, words, headers={"www-authenticate": challenge})


def forbidden(role: Role) -> ProblemError:
    """The 403, which names the role."""
    challenge = f'Bearer realm="trilane", error="insufficient_scope", scope="{role}"'
    detail = f"the route asks for the role {role}"
    return ProblemError(FORBIDDEN, detail, headers={"www-authenticate": challenge})


class RefusalLog:
    """A line per refusal, at most ten a minute: refusals cost a caller nothing, lines cost disk."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._window_began = timer()
        self._lines = 0
        self._left_out = 0

    def refused(self, reason: Reason, caller: Caller | None = None) -> None:
        """Log it, or count it for the next line that is written."""
        if self._timer() - self._window_began >= WINDOW_SECONDS:
            self._window_began, self._lines = self._timer(), 0
        if self._lines == LINES_PER_WINDOW:
            self._left_out += 1
            return
        self._lines += 1
        extra = {"event": "access_refused", "reason": reason, "left_out": self._left_out}
        if caller is not None:
            extra["caller"] = caller.name
        logger.warning("access refused: %s", reason, extra=extra)
        self._left_out = 0
