"""docs/access.md says what the code does: an undocumented setting or refusal fails here."""

import json
import re
from pathlib import Path

import pytest

from online_api.access.api_keys import CHECK_SECONDS
from online_api.access.key_file import MAX_KEYS, read_api_keys
from online_api.access.refusals import WORDS
from online_api.access.signing_keys import RETRY_SECONDS, STALE_SECONDS, UNKNOWN_KID_SECONDS
from online_api.access.tokens import LEEWAY_SECONDS, MAX_REMEMBERED
from online_api.settings import OnlineSettings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "access.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", TEXT, re.MULTILINE | re.DOTALL)


def test_every_refusal_is_documented() -> None:
    """A row with its reason, and no row for another."""
    rows = re.findall(r"^\| 40[13] \|.*\| `(\w+)` \|$", TEXT, re.MULTILINE)
    assert sorted(rows) == sorted([*WORDS, "missing_role"])


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in OnlineSettings.model_fields
        if name.startswith("entra_") or name.endswith("_access")
    ]
    + ["api_keys_file", "anonymous"],
)
def test_every_setting_is_documented(name: str) -> None:
    """A row of the first table."""
    assert f"| `TRILANE_{name.upper()}` |" in TEXT


def test_the_figures_are_those_of_the_code() -> None:
    """How long things take, and how many there may be."""
    for words in (
        f"looked at every {CHECK_SECONDS:g} seconds",
        f"There may be {MAX_KEYS:,} keys",
        f"({LEEWAY_SECONDS} seconds apart at most)",
        f"at most every {UNKNOWN_KID_SECONDS:g} seconds",
        f"tried every {RETRY_SECONDS:g} seconds",
        f"go on for {STALE_SECONDS / 3600:g} hours",
        f"up to {MAX_REMEMBERED:,} verified tokens",
    ):
        assert words in re.sub(r"\s+", " ", TEXT), words


def test_the_example_of_a_keys_file_is_one(tmp_path: Path) -> None:
    """As it stands there."""
    [example] = [text for language, text in BLOCKS if language == "json"]
    (tmp_path / "keys.json").write_text(example)
    assert [key.name for key in read_api_keys(tmp_path / "keys.json")] == ["hr-portal"]


def test_the_app_roles_are_the_roles() -> None:
    """Their values are what a token's `roles` must say."""
    [roles] = re.findall(r"<<'END'\n(.*?)^ *END$", TEXT, re.MULTILINE | re.DOTALL)
    assert [role["value"] for role in json.loads(roles)] == ["score", "admin"]
