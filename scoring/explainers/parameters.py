"""The parameter files of the methods: JSON of one struct each."""

from pathlib import Path
from typing import TypeVar

import msgspec

from scoring.errors import BundleError

Parameters = TypeVar("Parameters", bound=msgspec.Struct)


def read_parameters(path: Path, kind: type[Parameters]) -> Parameters:
    """The file's struct. Raises BundleError naming the file."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise damaged(path) from error


def write_parameters(path: Path, parameters: msgspec.Struct) -> None:
    """Floats are written so that they are read with the same bits. Raises OSError."""
    path.write_bytes(msgspec.json.encode(parameters))


def damaged(path: Path) -> BundleError:
    """What to raise when the file's numbers do not fit together."""
    return BundleError(f"{path} is damaged or not of this version: run `trilane package` again")
