"""One Kafka broker on 127.0.0.1 as a process: started, killed, started again on its data."""

import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.kafka.access import connection_string, write_key_set
from tests.support.kafka.certificates import make_certificates
from tests.support.kafka.hubs import create_hubs
from tests.support.kafka.ports import free_ports
from tests.support.kafka.settings import Files, Ports, properties

HOME = Path(__file__).parents[3] / "var" / "kafka"
"""Where `make kafka` puts the jars, and the archive that makes the JVM start faster."""

_START_SECONDS = 90.0
_STOP_SECONDS = 30.0
_STARTED = "Kafka Server started"
_CLUSTER = "dHJpbGFuZS10ZXN0LWh1Yg"
_HEAP = ("-Xms64m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_LOGGING = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)


class KafkaServer:
    """A broker whose ports, keys and data are its directory's and outlive its process.

    `bootstrap` takes anybody, without TLS. `secure_bootstrap` is SASL_SSL with a certificate by
    the authority in `ca_file`; it takes the user `$ConnectionString` with `connection_string` as
    password (PLAIN), and `access.access_token()` (OAUTHBEARER). Hubs are not created by use. A
    request of more than `settings.MAX_REQUEST_BYTES` ends its connection, as with Event Hubs.

    What was acknowledged survives `kill`. It does not survive the machine.
    """

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str] | None = None,
        *,
        home: Path = HOME,
        flags: Sequence[str] = (),
    ) -> None:
        """Nothing is started. `settings` are the broker's own and replace ours, `flags` the JVM's.

        Raises RuntimeError when the jars or java are missing.
        """
        self._home = home
        self._java = _java(home)
        self._flags = flags
        self._files = Files(directory.resolve())
        self._process: subprocess.Popen[bytes] | None = None
        ports = Ports(*free_ports(3))
        self.bootstrap = f"127.0.0.1:{ports.plain}"
        self.secure_bootstrap = f"127.0.0.1:{ports.secure}"
        self.connection_string = connection_string()
        self.ca_file = self._files.ca
        self.log_file = self._files.log
        directory.mkdir(parents=True, exist_ok=True)
        text = properties(ports, self._files, self.connection_string, settings or {})
        self._files.properties.write_text(text, encoding="utf-8")
        make_certificates(self.ca_file, self._files.key_store)
        write_key_set(self._files.key_set)

    @property
    def pid(self) -> int:
        """The running process's. Raises RuntimeError when there is none."""
        if self._process is None:
            raise RuntimeError("the broker does not run")
        return self._process.pid

    def start(self) -> None:
        """Returns when the broker takes requests, a few seconds after a `kill` only.

        Raises AssertionError with the end of its log when it does not.
        """
        if self._process is not None:
            raise RuntimeError("the broker runs already")
        if not (self._files.data / "meta.properties").exists():
            self._format()
        with self.log_file.open("ab") as log:
            before = log.tell()
            self._process = subprocess.Popen(
                self._command(self._flags, "kafka.Kafka", str(self._files.properties)),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            self._wait(self._process, before)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL; nothing happens when it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when it takes too long; nothing happens when it does not run."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None

    def create_hubs(self, names: Sequence[str], partitions: int = 1) -> None:
        """See `hubs.create_hubs`."""
        create_hubs(self.bootstrap, names, partitions)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _command(self, flags: Sequence[str], main: str, *arguments: str) -> list[str]:
        # The order of the jars is part of the class archive.
        path = ":".join(sorted(map(str, (self._home / "libs").glob("*.jar"))))
        keys = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self._files.key_set.as_uri()}"
        # One archive cannot be made on top of another.
        flags = flags or (f"-XX:SharedArchiveFile={archive(self._home)}",)
        options = (*_HEAP, *_LOGGING, *flags, keys)
        return [self._java, *options, "-cp", path, main, *arguments]

    def _format(self) -> None:
        with self.log_file.open("ab") as log:
            command = ["format", "-t", _CLUSTER, "-c", str(self._files.properties)]
            done = subprocess.run(
                self._command((), "kafka.tools.StorageTool", *command),
                check=False, stdout=log, stderr=log,
            )  # fmt: skip
        assert done.returncode == 0, self._log_end()

    def _wait(self, process: "subprocess.Popen[bytes]", before: int) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            if _STARTED.encode() in self.log_file.read_bytes()[before:]:
                return
            time.sleep(0.02)
        raise AssertionError(f"the broker does not answer: {self._log_end()}")

    def _log_end(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")[-4000:]


def archive(home: Path = HOME) -> Path:
    """The classes of a broker as they are in memory; the JVM goes without when it does not fit."""
    return home / "classes.jsa"


def _java(home: Path) -> str:
    if not any((home / "libs").glob("kafka_*.jar")):
        raise RuntimeError(f"there is no Kafka in {home / 'libs'}; `make kafka` puts it there")
    java = shutil.which("java")
    if java is None:
        raise RuntimeError("there is no java, which Kafka needs (Debian: default-jre-headless)")
    return java
