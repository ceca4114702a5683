"""The floor of any ASGI service: decode the JSON, answer a constant.

python -m benchmarks.online.bare_echo PORT
"""

import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import uvicorn

ANSWER: Final = b'{"predictions":[{"score":0.5,"label":"No"}]}'
START: Final = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(ANSWER)).encode()),
    ],
}


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answers every route; a GET has nothing to decode."""
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if scope["method"] == "POST":
        msgspec.json.decode(body)
    await send(START)
    await send({"type": "http.response.body", "body": ANSWER})


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        log_level="warning",
        access_log=False,
        lifespan="off",
        http="httptools",
        loop="uvloop",
    )
