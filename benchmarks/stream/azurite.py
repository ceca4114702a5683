"""Azurite as a process of its own."""

import contextlib
import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.online.servers import START_SECONDS, BenchError, Server, ask
from local_stack.broker import free_port

BINARY: Final = Path("var/npm/node_modules/.bin/azurite-blob")
CONTAINERS: Final = ("trilane", "checkpoints")
ACCOUNT: Final = "devstoreaccount1"

# Azurite's published development account; it opens nothing but a local Azurite.
_KEY: Final = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


@contextmanager
def open_azurite(directory: Path) -> Iterator[str]:
    """The connection string of an Azurite with its data in the directory, and `CONTAINERS` made.

    Raises BenchError when it is not installed.
    """
    if not BINARY.exists():
        raise BenchError(f"no {BINARY}: `make test-integration` fetches it")
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [
        *(str(BINARY), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent"),
        *("--disableTelemetry", "--skipApiVersionCheck", "--location", str(directory)),
    ]
    with _Azurite(command, port, "/", directory / "azurite.log"):
        secret = (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={_KEY};"
            f"BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT};"
        )
        _create_containers(secret)
        yield secret


class _Azurite(Server):
    def wait_until_ready(self) -> None:
        """Any answer will do: it has no probe."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                ask(self.port, "/")
                return
            time.sleep(0.05)
        raise BenchError(f"Azurite does not answer: {self._last_words()}")


def _create_containers(secret: str) -> None:
    from azure.storage.blob import BlobServiceClient

    with BlobServiceClient.from_connection_string(secret) as client:
        for name in CONTAINERS:
            client.create_container(name)
