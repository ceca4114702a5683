"""Running Schemathesis in tests, and an app for it to find fault with."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec
from schemathesis import engine
from schemathesis.config import SchemathesisConfig
from schemathesis.engine.events import EngineEvent, FatalError, NonFatalError, ScenarioFinished

REFUSALS = [400, 401, 404, 405, 413, 415, 422]


@dataclass
class Seen:
    """What happened in a run."""

    cases: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def take(self, event: EngineEvent) -> None:
        """One event of the engine."""
        if isinstance(event, NonFatalError | FatalError):
            self.failures.append(repr(event))
        if not isinstance(event, ScenarioFinished):
            return
        recorder = event.recorder
        for node in recorder.cases.values():
            self.cases[node.value.operation.label] += 1
        for interaction in recorder.interactions.values():
            self.statuses[interaction.response.status_code if interaction.response else 0] += 1
        for name, checks in recorder.checks.items():
            response = recorder.interactions[name].response
            for check in checks:
                if check.failure_info is not None:
                    failure = check.failure_info.failure
                    request = check.failure_info.code_sample[:2000]
                    answer = response.content[:500] if response else b""
                    self.failures.append(
                        f"{check.name}: {failure.title}\n{failure.message}\n{request}\n{answer!r}"
                    )


def config(posts: int, gets: int, **more: Any) -> SchemathesisConfig:
    """So many random requests to each operation of a method; the edges come on top."""
    return SchemathesisConfig.from_dict(
        {
            "seed": 20260302,
            "generation": {"deterministic": True, "max-examples": posts},
            "operations": [{"include-method": "GET", "generation": {"max-examples": gets}}],
            "phases": {"stateful": {"enabled": False}},
            "checks": {
                "negative_data_rejection": {"expected-statuses": REFUSALS},
                "positive_data_acceptance": {"enabled": False},  # `what_is_allowed_is_taken`
            },
            **more,
        }
    )


def run(schema: Any) -> Seen:
    """Everything Schemathesis can think of for a document."""
    schema.validate()
    seen = Seen()
    for event in engine.from_schema(schema).execute():
        seen.take(event)
    return seen


def quoting(app: Any) -> Any:
    """The app, with the request's body as the detail of its problems."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        bodies: list[bytes] = []

        async def heard() -> Any:
            message = await receive()
            bodies.append(message.get("body", b""))
            return message

        async def said(message: Any) -> None:
            if message["type"] == "http.response.start":
                kept = [h for h in message["headers"] if h[0] != b"content-length"]
                message["headers"] = kept
            elif message["body"].startswith(b'{"type":"urn:'):
                document = msgspec.json.decode(message["body"])
                document["detail"] = b"".join(bodies).decode("utf-8", "replace")
                message["body"] = msgspec.json.encode(document)
            await send(message)

        await app(scope, heard, said)

    return wrapped
