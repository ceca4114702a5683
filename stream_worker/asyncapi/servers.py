"""Where the hubs are, and how to sign in."""

from typing import Any, Final

from faststream.specification.asyncapi.v3_0_0.schema import Reference, Server

from stream_worker.asyncapi.hubs import DocumentedHubs, SignIn, Transport

_PROTOCOLS: Final[dict[Transport, tuple[str, str]]] = {
    "kafka": ("kafka", "kafka-secure"),
    "amqp": ("amqp", "amqps"),
}
"""Without TLS and with it, as AsyncAPI names them."""

_SCHEMES: Final[dict[tuple[Transport, SignIn], dict[str, Any]]] = {
    ("kafka", "connection_string"): {
        "type": "plain",
        "description": "SASL PLAIN: the user is `$ConnectionString`, the password the connection "
        "string of a shared access policy.",
    },
    ("amqp", "connection_string"): {
        "type": "userPassword",
        "description": "Name and key of a shared access policy, as its connection string has them.",
    },
    ("kafka", "workload_identity"): {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "SASL OAUTHBEARER with an access token of Entra ID.",
    },
    ("amqp", "workload_identity"): {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token of Entra ID, by claims-based security.",
    },
}
_SCHEME_NAME: Final = "signIn"


def servers_of(hubs: DocumentedHubs) -> dict[str, Server]:
    """The servers by name: the protocol's, numbered where there are several."""
    protocol = _PROTOCOLS[hubs.transport][hubs.secured]
    security = [reference("components/securitySchemes", _SCHEME_NAME)]
    return {
        name: Server(
            host=host,
            pathname="",
            protocol=protocol,
            protocolVersion="1.0" if hubs.transport == "amqp" else None,
            security=security if security_schemes(hubs) else None,
        )
        for name, host in zip(_names(hubs), hubs.servers, strict=True)
    }


def security_schemes(hubs: DocumentedHubs) -> dict[str, dict[str, Any]] | None:
    """How the worker signs in; None when it does not."""
    scheme = _SCHEMES.get((hubs.transport, hubs.sign_in))
    return None if scheme is None else {_SCHEME_NAME: scheme}


def reference(place: str, name: str) -> Reference:
    """A reference to a part of the document."""
    return Reference.model_validate({"$ref": f"#/{place}/{name}"})


def _names(hubs: DocumentedHubs) -> list[str]:
    if len(hubs.servers) == 1:
        return [hubs.transport]
    return [f"{hubs.transport}-{number}" for number in range(1, len(hubs.servers) + 1)]
