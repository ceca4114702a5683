"""Run a command with Azurite beside it: `python -m tests.support.azurite AZURITE_BLOB COMMAND...`.

The command finds the connection string in TRILANE_TEST_AZURITE_CONNECTION_STRING.
"""

import os
import socket
import subprocess
import sys
import time

# Azurite's published development account; it opens nothing but a local Azurite.
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

_START_SECONDS = 60.0


def main(azurite: str, command: list[str]) -> int:
    """The command's exit code."""
    port = _free_port()
    server = subprocess.Popen(
        [
            *(azurite, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent"),
            *("--disableTelemetry", "--skipApiVersionCheck", "--inMemoryPersistence"),
        ]
    )
    try:
        _wait(server, port)
        connection = (
            f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};"
            f"BlobEndpoint=http://127.0.0.1:{port}/{_ACCOUNT};"
        )
        environment = os.environ | {"TRILANE_TEST_AZURITE_CONNECTION_STRING": connection}
        return subprocess.run(command, check=False, env=environment).returncode
    finally:
        server.terminate()
        server.wait(10)


def _wait(server: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("Azurite does not answer")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2:]))
