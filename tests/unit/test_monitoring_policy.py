"""The policy file is read strictly."""

import json
from pathlib import Path
from typing import Any

import pytest

from monitoring.policy import read_policy
from scoring.errors import ConfigurationError
from tests.support.drift import POLICY_FILE, shipped_policy


def changed(tmp_path: Path, **sections: Any) -> Path:
    """The shipped file with some of its keys replaced."""
    path = tmp_path / "monitoring.json"
    path.write_text(json.dumps(json.loads(POLICY_FILE.read_text()) | sections))
    return path


def test_the_shipped_policy_has_the_published_numbers() -> None:
    """What the documentation says about false alarms holds for these numbers."""
    policy = shipped_policy()
    assert policy.min_records == 500
    assert (policy.profile.exact_values, policy.profile.bins) == (2048, 1024)
    features, outputs, rules = policy.features, policy.outputs, policy.rules
    assert (features.q, features.numeric_effect) == (0.05, 0.1)
    assert (features.categorical_effect, features.missing_effect) == (0.05, 0.02)
    assert (outputs.q, outputs.numeric_effect) == (0.01, 0.1)
    assert (rules.new_category_share, rules.out_of_range_share) == (0.005, 0.02)


@pytest.mark.parametrize(
    ("sections", "place"),
    [
        ({"features": {"q": 0.05}}, "features"),
        ({"min_records": 0}, "min_records"),
        ({"min_record": 10}, "min_record"),
        ({"rules": {"new_category_share": 2, "out_of_range_share": 0.02}}, "new_category_share"),
        ({"policy_version": 1}, "policy_version"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, sections: dict[str, Any], place: str) -> None:
    """The error names the file and the key."""
    path = changed(tmp_path, **sections)
    with pytest.raises(ConfigurationError, match=rf"monitoring\.json: .*{place}"):
        read_policy(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The error says what could not be read."""
    with pytest.raises(ConfigurationError, match=r"cannot read .*absent\.json"):
        read_policy(tmp_path / "absent.json")
