"""config/models.json: what is accepted, and errors that name file, place and rule."""

import json
from pathlib import Path
from typing import Any

import pytest

from bundling.config import read_models_config
from scoring.errors import ConfigurationError

ENTRY: dict[str, Any] = {"name": "m", "version": "1", "role": "champion"}


def write(path: Path, models: list[dict[str, Any]], **more: Any) -> Path:
    """A configuration file."""
    document = {"registry": {"tracking_uri": "sqlite:///x.db"}, "models": models, **more}
    path.write_text(json.dumps(document))
    return path


def test_the_shipped_configuration_is_valid() -> None:
    """And names the example."""
    config = read_models_config(Path("config/models.json"))
    assert config.champion.name == "employee_attrition"


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ([ENTRY | {"surprise": 1}], r"unknown field `surprise` - at `\$\.models\[0\]`"),
        (
            [{"name": "m", "role": "champion"}],
            r"models\[0\]: give exactly one of version and alias",
        ),
        ([ENTRY | {"alias": "a"}], r"models\[0\]: give exactly one of version and alias"),
        ([ENTRY | {"role": "king"}], r"role"),
        ([ENTRY | {"version": 1}], r"version"),
        ([ENTRY, ENTRY | {"name": "n"}], "exactly one must have the role champion, found 2"),
        ([ENTRY | {"role": "challenger"}], "found 0"),
        ([ENTRY, ENTRY | {"role": "challenger"}], "named only once"),
        ([ENTRY | {"threshold": 2}], r"models\[0\]\.threshold: must be between 0 and 1"),
    ],
)
def test_a_broken_rule_is_named_with_its_place(
    tmp_path: Path, models: list[dict[str, Any]], words: str
) -> None:
    """The file is named too."""
    path = write(tmp_path / "models.json", models)
    with pytest.raises(ConfigurationError, match=words) as caught:
        read_models_config(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    """As is one that is not there."""
    for content in (b"{", b"\xff"):
        (tmp_path / "models.json").write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"models\.json"):
            read_models_config(tmp_path / "models.json")
    with pytest.raises(ConfigurationError, match=r"cannot read .*none\.json"):
        read_models_config(tmp_path / "none.json")
