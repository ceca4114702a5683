"""`trilane api-key`: a new API key, and the entry of the API keys file that knows it."""

import base64
import secrets
from collections.abc import Sequence
from typing import Final

import msgspec
from pydantic import Field

from adapters.settings import AppSettings, run_command
from online_api.access.caller import NAME, Role
from online_api.access.key_file import ApiKey, hash_of

PREFIX: Final = "trilane_"
"""So that scanners for leaked secrets, and people, recognise one."""

_RANDOM_BYTES: Final = 32
_TEXT: Final = """The key, shown this once and stored nowhere:

  {key}

Its entry for "keys" in the API keys file:

  {entry}
"""


class ApiKeySettings(AppSettings):
    """What `trilane api-key` takes."""

    name: str = Field(pattern=f"^{NAME}$", description="The caller; stands in logs.")
    role: Role = Field("score", description="What the caller may do; admin includes score.")


def new_key(random: bytes, name: str, role: Role) -> tuple[str, ApiKey]:
    """The key that these 32 random bytes make, and what is stored of it."""
    key = PREFIX + _base64url(random)
    return key, ApiKey(name, hash_of(key.encode()).hex(), (role,))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return run_command(
        ApiKeySettings,
        _print,
        argv,
        prog="trilane api-key",
        description="Make an API key of the online API.",
    )


def _print(settings: ApiKeySettings) -> None:
    key, entry = new_key(secrets.token_bytes(_RANDOM_BYTES), settings.name, settings.role)
    print(_TEXT.format(key=key, entry=msgspec.json.encode(entry).decode()), end="")


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


if __name__ == "__main__":
    raise SystemExit(main())
