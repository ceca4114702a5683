"""The pages for operators say what the processes do: what they leave out fails here."""

import re

import pytest

from adapters.hub_settings import ResultSettings
from adapters.settings import EXIT_DONE, EXIT_TERMINAL, EXIT_TRANSIENT, EXIT_USAGE
from batch_scorer.settings import BatchSettings
from online_api.processes.connections import MAX_HEADER_BYTES, MAX_HEADERS, MAX_PIPELINED
from online_api.processes.server import UPLOAD_SECONDS
from online_api.settings import OnlineSettings
from tests.support.online import ROOT

TEXT = (ROOT / "docs" / "operating-online.md").read_text()
BATCH = (ROOT / "docs" / "batch.md").read_text()
STREAM = (ROOT / "docs" / "operating-stream.md").read_text()
BATCH_SETTINGS = {
    flag: (variables, default)
    for flag, variables, default in re.findall(
        r"^\| `--([a-z-]+)` \| (`[A-Z_]+`(?:, `[A-Z_]+`)*) \| (.*?) \| ", BATCH, re.MULTILINE
    )
}
IN_WORDS = {
    "run_id": "today's date in UTC",
    "columns": "none",
    "as_of": "start of the run",
    "threads": "the process's CPUs",
    "storage_connection_string": "workload identity",
    "shard": "0",
}
"""Defaults of settings of the batch scorer that are no plain values."""
PROCESSES = "\n".join(
    path.read_text()
    for path in sorted((ROOT / "online_api" / "processes").glob("*.py"))
    if not path.name.startswith("uploa")  # what happens to the log is in another page
)


def test_the_figures_of_settings_are_their_defaults() -> None:
    """Wherever one follows a setting in brackets."""
    found = re.findall(r"`TRILANE_([A-Z_]+)` \((\d+)\)", TEXT)
    assert len(found) > 5
    for name, figure in found:
        assert OnlineSettings.model_fields[name.lower()].default == float(figure), name


@pytest.mark.parametrize(
    "setting",
    [
        "host",
        "port",
        "workers",
        "drain_seconds",
        "grace_seconds",
        "header_seconds",
        "body_seconds",
        "deadline_seconds",
        "idle_seconds",
        "max_connections",
        "max_in_flight",
        "anonymous",
    ],
)
def test_every_setting_of_the_processes_is_documented(setting: str) -> None:
    """By the name it has in the environment."""
    assert setting in OnlineSettings.model_fields
    assert f"TRILANE_{setting.upper()}" in TEXT


def test_every_event_is_documented() -> None:
    """What the processes log besides requests."""
    events = re.findall(r'"event": "([a-z_]+)"', PROCESSES)
    assert len(set(events)) > 5
    for event in events:
        assert re.search(rf'`{event}`|"event": "{event}"', TEXT), event


def test_every_reason_to_refuse_is_documented() -> None:
    """Those that are counted by name, and those that are problems."""
    for reason in re.findall(r'shed\("([a-z_]+)"\)', PROCESSES):
        assert f"`{reason}`" in TEXT
    for reason in ("headers_too_large", "malformed_request"):
        assert f"`{reason}`" in TEXT


def test_the_bounds_are_those_of_the_code() -> None:
    """Headers, pipelining, and the time of the last upload."""
    assert f"more than {MAX_HEADERS}, or more than {MAX_HEADER_BYTES // 1024} KiB" in TEXT
    assert f"more than {MAX_PIPELINED} requests" in TEXT
    assert f"| 5. upload | {UPLOAD_SECONDS:g} s at most |" in TEXT


def test_every_setting_of_the_batch_scorer_is_documented() -> None:
    """In the table with flag, variable and default; those of the hub with the stream worker's."""
    of_hub = ResultSettings.model_fields.keys() - {"log_level"}
    wanted = BatchSettings.model_fields.keys() - of_hub
    assert {flag.replace("-", "_") for flag in BATCH_SETTINGS} == wanted
    for name in of_hub:
        assert f"`TRILANE_{name.upper()}`" in STREAM
    assert "(operating-stream.md)" in BATCH


@pytest.mark.parametrize("flag", BATCH_SETTINGS)
def test_settings_of_the_batch_scorer_are_as_documented(flag: str) -> None:
    """The variable is that of the flag, the default that of the code."""
    variables, default = BATCH_SETTINGS[flag]
    name = flag.replace("-", "_")
    field = BatchSettings.model_fields[name]
    others = ["`JOB_COMPLETION_INDEX`"] if name == "shard" else []
    assert variables.split(", ") == [f"`TRILANE_{name.upper()}`", *others]
    if name in IN_WORDS:
        assert default == IN_WORDS[name]
    elif field.is_required():
        assert default == "required"
    elif isinstance(field.default, bool):
        assert (default, field.default) == ("no", False)
    else:
        assert default in (f"`{field.default}`", f"{field.default}")


def test_the_exit_codes_of_the_batch_scorer_are_documented() -> None:
    """Each with what to do."""
    found = re.findall(r"^\| (\d+) \|", BATCH, re.MULTILINE)
    assert found == [str(code) for code in (EXIT_DONE, EXIT_TERMINAL, EXIT_USAGE, EXIT_TRANSIENT)]
