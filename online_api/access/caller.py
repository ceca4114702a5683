"""Who calls, and what they may do."""

from dataclasses import dataclass
from typing import Final, Literal

Role = Literal["score", "admin"]

ROLES: Final[frozenset[str]] = frozenset({"score", "admin"})

NAME: Final = "[A-Za-z0-9._:@-]{1,128}"
"""What a caller's name looks like: it stands in logs."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A name for logs, and the roles given to it."""

    name: str
    roles: frozenset[str]

    def may(self, role: Role) -> bool:
        """Whether the role is among theirs; `admin` includes `score`."""
        return role in self.roles or "admin" in self.roles


ANONYMOUS: Final = Caller("anonymous", ROLES)
"""Everyone, where no access is configured."""
