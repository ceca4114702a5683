"""The uploader as a process: its ends, its parent's, what it is told, and what it counts."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from online_api.processes.uploader import UploaderProcess, restart_delay
from online_api.processes.uploading import UploadSettings
from online_api.settings import OnlineSettings
from scoring.errors import ConfigurationError
from tests.support.log_entries import read_log
from tests.support.online import ROOT
from tests.support.spool import SOON, Spools, eventually, open_spools

SECRET = "AccountKey=hunter2-5551234"


class Place:
    """A spool with uploader processes on it."""

    def __init__(self, root: Path, spools: Spools, stack: ExitStack) -> None:
        self.root, self.spools, self._stack = root, spools, stack
        self.files = root / "metrics"
        self.files.mkdir()
        self.storage = root / "storage"

    def start(self, **settings: Any) -> UploaderProcess:
        """One that uploads soon; stopped at the end."""
        told = {
            "bundle": self.root / "bundle",
            "spool_dir": self.spools.directory,
            "storage_url": str(self.storage),
            "upload_interval_seconds": SOON,
            **settings,
        }
        process = UploaderProcess(OnlineSettings(**told), self.files)
        self._stack.callback(process.stop, 0.0)
        return process

    def logged(self) -> list[str]:
        """Entry ids in the storage."""
        if not list(self.storage.rglob("*.parquet")):
            return []
        found: list[str] = read_log(self.storage)["entry_id"].to_pylist()
        return found

    def refuse(self) -> None:
        """A storage that takes nothing: a file where the directory should be."""
        self.storage.write_text("")

    def counted(self, outcome: str) -> float:
        """In the metrics of every process."""
        registry = CollectorRegistry()
        collector: Any = MultiProcessCollector
        collector(registry, path=str(self.files))
        labels = {"lane": "online", "model": "toy", "version": "7", "outcome": outcome}
        name = "trilane_inference_log_entries_total"
        return registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """An empty spool, and an empty storage."""
    with open_spools(tmp_path) as spools, ExitStack() as stack:
        yield Place(tmp_path, spools, stack)


def running(pid: int) -> bool:
    """Whether a process is there and not only waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def known_pid(process: UploaderProcess) -> int:
    """Of the process that runs, once it does."""
    eventually(lambda: process.pid is not None)
    assert process.pid is not None
    return process.pid


def test_segments_of_this_process_are_uploaded_by_another(place: Place) -> None:
    """Its counts are in the metrics that the server's processes share."""
    process = place.start()
    log = place.spools.open(SOON)
    log.append(place.spools.batch(3, "one"))
    eventually(lambda: place.logged() == ["one-0", "one-1", "one-2"])
    assert known_pid(process) != os.getpid()
    eventually(lambda: place.counted("written") == 3)
    assert place.counted("dropped") == 0


def test_stopping_uploads_what_there_is(place: Place) -> None:
    """Also what was closed a moment ago; afterwards no process is left."""
    process = place.start(upload_interval_seconds=3600.0)
    pid = known_pid(process)
    log = place.spools.open()
    log.append(place.spools.batch(2, "one"))
    log.close()
    process.stop(30.0)
    assert place.logged() == ["one-0", "one-1"]
    assert place.spools.files() == []
    assert not running(pid)
    assert place.counted("written") == 2
    process.stop(30.0)


def test_stopping_right_after_the_start_uploads_too(place: Place) -> None:
    """The process need not have begun to work."""
    place.spools.leave(place.spools.batch(1, "old"))
    place.start(upload_interval_seconds=3600.0).stop(30.0)
    assert place.logged() == ["old-0"]


def test_the_deadline_leaves_the_rest_on_disk(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """A storage that refuses cannot hold up the end; a warning says what is left."""
    place.refuse()
    place.spools.leave(place.spools.batch(1, "old"))
    process = place.start()
    process.check()
    pid = known_pid(process)
    process.stop(0.3)
    assert not running(pid)
    [line] = [r for r in caplog.records if vars(r).get("event") == "spool_left"]
    assert (line.levelname, vars(line)["segments"]) == ("WARNING", 1)
    assert len(place.spools.files()) == 1


def test_one_that_dies_is_started_again(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """What the dead one counted stays counted."""
    process = place.start()
    place.spools.leave(place.spools.batch(2, "one"))
    eventually(lambda: place.counted("written") == 2)
    pid = known_pid(process)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: process.pid not in (pid, None))
    place.spools.leave(place.spools.batch(3, "two"))
    eventually(lambda: place.counted("written") == 5)
    [line] = [r for r in caplog.records if vars(r).get("event") == "uploader_ended"]
    assert "exit code -9" in line.message


def test_waits_longer_after_every_death() -> None:
    """A second, doubling up to a minute."""
    assert [restart_delay(n) for n in (1, 2, 3, 6, 7, 10**6)] == [1.0, 2.0, 4.0, 32.0, 60.0, 60.0]


def test_wrong_settings_are_refused_and_not_tried_again(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """`check` raises; without it there is one log line."""
    process = place.start(storage_url="ftp://host/x")
    with pytest.raises(ConfigurationError, match="storage URL"):
        process.check()
    eventually(lambda: process.pid is None)
    process.stop(10.0)
    assert "uploader_ended" not in {vars(r).get("event") for r in caplog.records}
    [line] = [r for r in caplog.records if vars(r).get("event") == "spool_upload_failed"]
    assert "storage URL" in line.message


def test_the_secret_is_in_no_command_line(place: Place) -> None:
    """Anyone on the machine can read those; nor is it in what the settings print."""
    process = place.start(storage_connection_string=SECRET)
    process.check()
    command = Path(f"/proc/{known_pid(process)}/cmdline").read_text()
    assert "online_api.processes.uploading" in command
    environment = Path(f"/proc/{known_pid(process)}/environ").read_text()
    assert "hunter2" not in command + environment
    assert "hunter2" not in repr(UploadSettings("", "", SECRET, 1.0, "", "INFO"))


def test_signals_to_the_group_do_not_end_it(place: Place) -> None:
    """Ctrl-C reaches every process of the terminal; the server still has entries to upload."""
    process = place.start()
    pid = known_pid(process)
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid, number)
    process.check()
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid, number)
    place.spools.leave(place.spools.batch(1, "after"))
    eventually(lambda: place.logged() == ["after-0"])
    assert process.pid == pid


def test_it_gives_way_to_the_processes_that_answer(place: Place) -> None:
    """Low priority, and nothing in memory of what they need."""
    process = place.start()
    process.check()
    assert os.getpriority(os.PRIO_PROCESS, known_pid(process)) == 10
    script = "import sys, online_api.processes.uploading; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    )
    found = {name.partition(".")[0] for name in done.stdout.split()}
    heavy = {"fastapi", "starlette", "uvicorn", "onnxruntime", "pydantic", "pyarrow", "mlflow"}
    assert not found & heavy


@contextmanager
def hanging_storage() -> Iterator[dict[str, str]]:
    """Settings of an Azure storage that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/account"
        yield {
            "storage_url": "abfs://log@account.dfs.core.windows.net/root",
            "storage_connection_string": "DefaultEndpointsProtocol=http;AccountName=account;"
            f"AccountKey=aGVsbG8=;BlobEndpoint={address};",
        }


@contextmanager
def parent(place: Place, **settings: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Another process that has started an uploader, and the uploader's pid."""
    told = {"storage_url": str(place.storage), **settings}
    script = f"""
import time
from pathlib import Path
from online_api.settings import OnlineSettings
from online_api.processes.uploader import UploaderProcess
settings = OnlineSettings(
    bundle="b", spool_dir={str(place.spools.directory)!r}, upload_interval_seconds=3600, **{told!r})
process = UploaderProcess(settings, Path({str(place.files)!r}))
process.check()
print(process.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def test_a_killed_parent_leaves_an_uploader_that_finishes(place: Place) -> None:
    """It uploads what there is and ends by itself."""
    place.spools.leave(place.spools.batch(2, "left"))
    with parent(place) as (process, pid):
        assert running(pid)
        process.kill()
        eventually(lambda: place.logged() == ["left-0", "left-1"])
        eventually(lambda: not running(pid))
    assert place.spools.files() == []


def test_a_killed_parent_and_a_dead_storage_leave_no_process(place: Place) -> None:
    """What cannot be uploaded within seconds stays on disk."""
    place.refuse()
    place.spools.leave(place.spools.batch(2, "left"))
    with parent(place) as (process, pid):
        process.kill()
        eventually(lambda: not running(pid), 30.0)
    assert len(place.spools.files()) == 1


def test_a_killed_parent_and_a_hanging_storage_leave_no_process(place: Place) -> None:
    """A call that never returns does not keep the process."""
    place.spools.leave(place.spools.batch(2, "left"))
    with hanging_storage() as settings, parent(place, **settings) as (process, pid):
        process.kill()
        eventually(lambda: not running(pid), 30.0)
    assert len(place.spools.files()) == 1


def test_a_hanging_storage_does_not_hold_up_the_end(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """At the deadline the process is killed, whatever it waits for."""
    place.spools.leave(place.spools.batch(2, "left"))
    with hanging_storage() as settings:
        process = place.start(**settings)
        process.check()
        pid = known_pid(process)
        process.stop(1.0)
        assert not running(pid)
    assert "spool_left" in {vars(r).get("event") for r in caplog.records}
    assert len(place.spools.files()) == 1
