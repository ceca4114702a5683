"""The hub as a process, for tests: started, killed, restarted on its port, and told to fail."""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[3]
KEY_NAME = "RootManageSharedAccessKey"
_STOP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class HubOptions:
    """What few tests change. Without `groups` every consumer group exists; without a `jwt_secret`
    (HS256, 32 bytes or more) JWTs are refused; a peer silent for `idle_seconds` is closed.
    """

    groups: Sequence[str] = ()
    key: str = "c2VjcmV0LW9mLXRoZS10ZXN0LWh1Yg=="
    jwt_secret: str = ""
    idle_seconds: float = 60.0


class AmqpHub:
    """A running server, or one that was killed and may be restarted.

    With a directory, what was acknowledged outlives `kill`; without one, a restart begins empty.
    Faults do not outlive a restart. Its errors go to the standard error of the tests.
    """

    def __init__(
        self,
        hubs: Sequence[str],
        partitions: int,
        port: int = 0,
        directory: Path | None = None,
        options: HubOptions | None = None,
    ) -> None:
        self.port = port
        self.websocket_port = 0
        self._hubs = hubs
        self._partitions = partitions
        self._directory = directory
        self._options = options or HubOptions()
        self._process: subprocess.Popen[str] | None = None

    @classmethod
    def start(
        cls,
        hubs: Sequence[str],
        partitions: int,
        port: int = 0,
        directory: Path | None = None,
        options: HubOptions | None = None,
    ) -> Self:
        """A server that listens; port 0 takes a free one, which restarts keep."""
        hub = cls(hubs, partitions, port, directory, options)
        hub.restart()
        return hub

    @property
    def endpoint(self) -> str:
        """`host:port`, what the SDK calls the fully qualified namespace."""
        return f"127.0.0.1:{self.port}"

    @property
    def websocket_endpoint(self) -> str:
        """The SDK's `custom_endpoint_address` for AMQP over WebSockets.

        It is needed because the SDK takes the port of a namespace for AMQP only.
        """
        return f"http://127.0.0.1:{self.websocket_port}"

    @property
    def connection_string(self) -> str:
        """Of the namespace, with the right key; makes the SDK use no TLS."""
        return self.connection_string_with(self._options.key)

    def connection_string_with(self, key: str) -> str:
        """The same with another key."""
        return (
            f"Endpoint=sb://{self.endpoint};SharedAccessKeyName={KEY_NAME};"
            f"SharedAccessKey={key};UseDevelopmentEmulator=true"
        )

    def restart(self) -> None:
        """Kill it if it runs, and start it on the same ports."""
        self.kill()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.amqp_hub", *self._flags()],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        ports = self._read()
        self.port, self.websocket_port = ports["port"], ports["websocket_port"]

    def kill(self) -> None:
        """SIGKILL, now; nothing if it does not run."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it; nothing if it does not run."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Keep connections but answer nothing, until `resume`."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on."""
        self._running().send_signal(signal.SIGCONT)

    def refuse_sends(
        self, hub: str, condition: str = "amqp:internal-error", *, detach: bool = False
    ) -> None:
        """Reject every message to a hub, or close the link at every message, until `accept_sends`.

        Nothing of a refused message is kept.
        """
        self._ask(act="refuse", hub=hub, condition=condition, detach=detach)

    def accept_sends(self, hub: str) -> None:
        """Take messages again."""
        self._ask(act="accept", hub=hub)

    def drop_connections(self) -> int:
        """Hang up on every peer without a word; returns how many there were."""
        return int(self._ask(act="drop"))

    def connections(self) -> int:
        """How many peers are connected."""
        return int(self._ask(act="connections"))

    def counts(self, hub: str) -> list[int]:
        """How many events each partition of a hub holds."""
        return [int(number) for number in self._ask(act="counts", hub=hub)]

    def receivers(self, hub: str) -> list[int]:
        """How many receivers, of all consumer groups, each partition of a hub has."""
        return [int(number) for number in self._ask(act="receivers", hub=hub)]

    def __enter__(self) -> Self:
        if self._process is None:
            self.restart()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None
        return self._process

    def _flags(self) -> list[str]:
        flags = [flag for name in self._hubs for flag in ("--hub", name)]
        flags += [flag for name in self._options.groups for flag in ("--group", name)]
        flags += ["--partitions", str(self._partitions), "--key-name", KEY_NAME]
        flags += ["--key", self._options.key, "--jwt-secret", self._options.jwt_secret]
        flags += ["--idle-seconds", str(self._options.idle_seconds)]
        flags += ["--port", str(self.port), "--websocket-port", str(self.websocket_port)]
        return flags if self._directory is None else [*flags, "--directory", str(self._directory)]

    def _ask(self, **request: Any) -> Any:
        stdin = self._running().stdin
        assert stdin is not None
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        return self._read()

    def _read(self) -> Any:
        stdout = self._running().stdout
        assert stdout is not None
        line = stdout.readline()
        assert line, "the hub ended; its standard error says why"
        return json.loads(line)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)  # one that is paused ends too
        process.wait(_STOP_SECONDS)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
