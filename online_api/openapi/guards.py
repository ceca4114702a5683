"""Who may call what, as the document says it."""

from dataclasses import dataclass
from typing import Final

from online_api.access.caller import Role
from scoring.json_schema import Piece

SCHEMES: Final[Piece] = {
    "ApiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "A key that `trilane api-key` made.",
    },
    "Bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token of Entra ID, or an API key.",
    },
}


@dataclass(frozen=True, slots=True)
class Guards:
    """That callers must say who they are, and which role some routes ask for; None: open to all.

    Routes that score ask for the role `score`.
    """

    metrics: Role | None
    model: Role | None


def required(role: Role | None) -> Piece:
    """What an operation says of the role it asks for."""
    return {} if role is None else {"security": [{name: [role]} for name in SCHEMES]}
