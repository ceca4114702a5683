"""Log Analytics through the Logs Ingestion API: the only user of azure-monitor-ingestion.

The service takes calls of at most 1 MB, compressed and uncompressed, and answers 204. It does not
drop repeats: rows carry an id of their own.
"""

import gzip
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from adapters.identity import blocking_azure_credential
from scoring.errors import ConfigurationError, ServiceUnavailable

MAX_CALL_BYTES = 900_000
"""Uncompressed, with room to the service's limit; the SDK's own chunks overshoot it."""

_LOCAL = "http://127.0.0.1"


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a call is repeated, and the factor of the growing pause in seconds.

    The SDK repeats a POST after 429, 408, 502 or a lost connection only when told so per call.
    """

    times: int = 4
    backoff_seconds: float = 0.8

    def options(self) -> dict[str, Any]:
        """The SDK's names for them."""
        return {
            "retry_total": self.times,
            "retry_connect": self.times,
            "retry_read": self.times,
            "retry_status": self.times,
            "retry_backoff_factor": self.backoff_seconds,
            "retry_on_methods": ["POST"],
            "connection_timeout": 10,
            "read_timeout": 30,
            "timeout": 120,
        }


class LogAnalytics:
    """Rows into custom tables, through one data collection rule."""

    def __init__(self, endpoint: str, rule_id: str, retries: Retries | None = None) -> None:
        """`endpoint` is the rule's or its data collection endpoint's https URL.

        Signs in with workload identity. http is for a stand-in on 127.0.0.1 only, which gets a
        token that opens nothing. Connects on first use. Raises ConfigurationError for any other
        URL, and as `blocking_azure_credential` does.
        """
        local = endpoint.startswith((f"{_LOCAL}:", f"{_LOCAL}/"))
        if not local and not endpoint.startswith("https://"):
            raise ConfigurationError("the logs ingestion endpoint must be an https URL")
        from azure.monitor.ingestion import LogsIngestionClient

        self._rule_id = rule_id
        self._retries = retries or Retries()
        self._enforce_https = not local
        credential = _LocalCredential() if local else blocking_azure_credential()
        self._client = LogsIngestionClient(endpoint, credential)

    def upload(self, table: str, rows: Sequence[msgspec.Struct]) -> None:
        """Send rows to a table's stream `Custom-<table>`, in as many calls as they need.

        A row is encoded under its type's names; NaN becomes null and a time ISO 8601. Blocks while
        calls are repeated. Raises ServiceUnavailable when a call was not accepted in the end; the
        calls before it were, so trying again sends their rows twice.
        """
        from azure.core.exceptions import AzureError

        for body in _bodies(rows):
            try:
                self._client.upload(
                    rule_id=self._rule_id,
                    stream_name=f"Custom-{table}",
                    logs=io.BytesIO(gzip.compress(body, mtime=0)),
                    enforce_https=self._enforce_https,
                    **self._retries.options(),
                )
            except AzureError as error:
                status = getattr(error, "status_code", None)
                answer = type(error).__name__ if status is None else f"status {status}"
                raise ServiceUnavailable(
                    f"Log Analytics did not accept rows for {table}: {answer}"
                ) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class _LocalCredential:
    """Signs in to nothing: a stand-in on this machine checks no token."""

    def get_token(self, *_scopes: str, **_options: Any) -> Any:
        from azure.core.credentials import AccessToken

        return AccessToken("local", 2**40)


def _bodies(rows: Sequence[msgspec.Struct]) -> Iterator[bytes]:
    """JSON arrays of at most MAX_CALL_BYTES; a single row is always far below that."""
    encoded: list[bytes] = []
    size = 2
    for row in rows:
        item = msgspec.json.encode(row)
        if encoded and size + len(item) + 1 > MAX_CALL_BYTES:
            yield b"[" + b",".join(encoded) + b"]"
            encoded, size = [], 2
        encoded.append(item)
        size += len(item) + 1
    if encoded:
        yield b"[" + b",".join(encoded) + b"]"
