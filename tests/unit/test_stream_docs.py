"""The event reference says what the stream worker does."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from adapters.settings import AppSettings
from scoring.records import RejectionCode
from stream_worker.cloudevents import Event, EventDecoder
from stream_worker.replay.settings import ReplaySettings
from stream_worker.settings import PublishSettings, StreamSettings
from tests.support.broker import event, published, received
from tests.support.toy import EXAMPLE, NOW, load_toy

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "events.md").read_text()
OPERATING = (DOCS / "operating-stream.md").read_text()
EXAMPLES: list[dict[str, Any]] = [
    json.loads(block) for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
]


def test_the_example_event_is_an_event() -> None:
    """What integrators copy is accepted."""
    outcome = EventDecoder(900_000).decode(received(json.dumps(EXAMPLES[0]).encode()))
    assert isinstance(outcome, Event)
    assert outcome.subject == "1"


async def test_the_examples_have_the_members_that_are_published(tmp_path: Path) -> None:
    """Scores and dead letters have the documented members in the documented order."""
    model = load_toy(tmp_path / "bundle", reference=0)
    writer = await published(model, NOW, 900_000, event("a", EXAMPLE), event("b", {}))
    found = [json.loads(m.value) for m in writer.messages]
    for example, real in zip(EXAMPLES[1:], found, strict=True):
        assert list(example) == list(real)
        assert list(example["data"]) == list(real["data"])
        assert list(example["data"]["model"]) == list(real["data"]["model"])


@pytest.mark.parametrize("settings", [StreamSettings, PublishSettings, ReplaySettings])
def test_every_setting_is_documented(settings: type[AppSettings]) -> None:
    """Each field stands in the reference as a flag and as an environment variable."""
    for name in settings.model_fields:
        assert f"`TRILANE_{name.upper()}`" in TEXT + OPERATING
        assert name == "file" or f"`--{name.replace('_', '-')}`" in TEXT + OPERATING


def test_every_code_of_this_lane_is_documented() -> None:
    """All codes but that of requests, which the stream does not have."""
    for code in set(RejectionCode) - {RejectionCode.REQUEST_REJECTED}:
        assert f"`{code}`" in TEXT
