"""The API keys file: names, hashes and roles, never a key.

One SHA-256 is enough: keys are 256 random bits, which nobody finds by trying, however fast a hash
is. Slow, salted hashes are for secrets that people choose.
"""

import hashlib
import re
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from online_api.access.caller import NAME, Role
from scoring.errors import ConfigurationError

MAX_FILE_BYTES: Final = 1_048_576
MAX_KEYS: Final = 1_000

_PLACE: Final = re.compile(r" - at `(\$[\w.\[\]]*)`$")
# The other messages quote what the file says, which may be a key in the wrong place.
_QUOTES_NOTHING: Final = ("Expected ", "Object missing required field ")


class ApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key; several may have one name, so that a caller can change over."""

    name: Annotated[str, Meta(pattern=rf"^{NAME}\Z")]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    roles: Annotated[tuple[Role, ...], Meta(min_length=1)]


class ApiKeysFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. Without keys nobody gets in by key."""

    keys: Annotated[list[ApiKey], Meta(max_length=MAX_KEYS)]


def hash_of(key: bytes) -> bytes:
    """What is stored of a key."""
    return hashlib.sha256(key).digest()


def read_api_keys(path: Path) -> list[ApiKey]:
    """Read and check the file. Raises ConfigurationError naming file, place and rule, not more."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigurationError(f"{path}: must be no larger than {MAX_FILE_BYTES} bytes")
    try:
        keys = msgspec.json.decode(content, type=ApiKeysFile).keys
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{path}: {_rule(str(error))}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ConfigurationError(f"{path}: is not JSON in UTF-8") from None
    if len({key.sha256 for key in keys}) != len(keys):
        raise ConfigurationError(f"{path}: keys: a sha256 may stand in the file only once")
    return keys


def _rule(message: str) -> str:
    found = _PLACE.search(message)
    place = f" - at `{found[1]}`" if found else ""
    if message.startswith(_QUOTES_NOTHING):
        return message.removesuffix(place) + place
    if message.startswith("Object contains unknown field"):
        return f"has a member that is not known{place}"
    return f"has a value that is not allowed{place}"
