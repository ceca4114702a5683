"""The files that the documentation pages load, kept in memory once they were asked for."""

import asyncio
import hashlib
from collections.abc import Callable
from functools import cached_property
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

_CACHE: Final = {"cache-control": "public, max-age=3600", "x-content-type-options": "nosniff"}

_LOGO: Final = b'"https://cdn.redoc.ly/redoc/logo-mini.svg"'

Read = Callable[[], bytes]


class Asset:
    """One file; a browser keeps it for an hour, and then asks whether it is still the same."""

    def __init__(self, media_type: str, read: Read) -> None:
        """`read` is called once, in another thread."""
        self._media_type = media_type
        self._read = read

    async def show(self, request: Request) -> Response:
        """The file, or 304 to whoever has it."""
        body, tag = await asyncio.to_thread(lambda: self._known)
        headers = {"etag": tag, **_CACHE}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type=self._media_type)

    @cached_property
    def _known(self) -> tuple[bytes, str]:
        body = self._read()
        return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def packaged(name: str) -> Read:
    """Reads a file of the package `fastapi_offline`, which is imported only then."""
    return lambda: files("fastapi_offline").joinpath("static", name).read_bytes()


def without_logo(read: Read) -> Read:
    """ReDoc as it is, except that it does not load a logo from its makers' host."""
    return lambda: read().replace(_LOGO, b'"data:,"')
