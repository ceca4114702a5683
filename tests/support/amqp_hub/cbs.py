"""`$cbs`: a peer puts the token by which it may attach to a hub (claims-based security)."""

from collections.abc import Container
from typing import Any

from tests.support.amqp_hub.messages import request, response
from tests.support.amqp_hub.tokens import Policy, TokenRefusedError, hub_of
from tests.support.amqp_hub.values import Int

ADDRESS = "$cbs"


def put_token(payload: bytes, policy: Policy, hubs: Container[str], authorized: set[str]) -> bytes:
    """The answer to a put-token; a good token's hub is added to `authorized`."""
    message_id, properties, token = request(payload)
    hub = hub_of(str(properties.get("name")))
    if properties.get("operation") != "put-token":
        return _answer(message_id, 400, "The operation is not supported.", "amqp:not-implemented")
    try:
        policy.check(str(token), str(properties.get("type")), hub)
    except TokenRefusedError as refused:
        return _answer(message_id, 401, str(refused), "amqp:unauthorized-access")
    if hub not in hubs:
        words = f"The messaging entity '{hub}' could not be found."
        return _answer(message_id, 404, words, "amqp:not-found")
    authorized.add(hub)
    return _answer(message_id, 202, "Accepted", None)


def _answer(message_id: Any, status: int, words: str, condition: str | None) -> bytes:
    properties: dict[str, Any] = {"status-code": Int(status), "status-description": words}
    if condition is not None:
        properties["error-condition"] = condition
    return response(message_id, properties, None)
