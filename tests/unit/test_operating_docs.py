"""docs/operating-online.md says what the processes do: what it leaves out fails here."""

import re

import pytest

from online_api.processes.connections import MAX_HEADER_BYTES, MAX_HEADERS, MAX_PIPELINED
from online_api.processes.server import UPLOAD_SECONDS
from online_api.settings import OnlineSettings
from tests.support.online import ROOT

TEXT = (ROOT / "docs" / "operating-online.md").read_text()
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
