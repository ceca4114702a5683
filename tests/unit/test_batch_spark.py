"""What travels to the executors of a Spark cluster, and what does not."""

import pickle
from pathlib import Path
from typing import Any

import pytest

from batch_scorer.settings import BatchSettings
from batch_scorer.spark_engine import without_secrets
from scoring.errors import ConfigurationError

SECRET = "AccountName=a;AccountKey=c2VjcmV0"
URL = "abfs://c@a.dfs.core.windows.net/in"


def settings(**told: Any) -> BatchSettings:
    """Of a run on Spark."""
    plain: dict[str, Any] = {"bundle": "b", "input": "in", "output": "out", "engine": "spark"}
    return BatchSettings(**(plain | told))


@pytest.mark.parametrize("before", [None, "of another account"])
def test_secrets_reach_executors_by_their_environment(
    before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that Spark may write to disk has one; a flag wins over the variable."""
    for name in ("TRILANE_STORAGE_CONNECTION_STRING", "TRILANE_EVENT_HUBS_CONNECTION_STRING"):
        monkeypatch.setenv(name, before or "")
    told = settings(storage_connection_string=SECRET, event_hubs_connection_string=SECRET)
    sent = pickle.dumps(without_secrets(told))
    assert b"c2VjcmV0" not in sent
    there = BatchSettings(**pickle.loads(sent))  # noqa: S301
    assert there == told


@pytest.mark.parametrize("name", ["input", "output", "storage_url"])
def test_a_token_in_a_url_is_refused(name: str) -> None:
    """It is a secret that would travel; the error does not repeat it."""
    with pytest.raises(ConfigurationError, match="no URL with a SAS token") as caught:
        without_secrets(settings(**{name: f"{URL}?sv=2024-01-01&sig=c2VjcmV0"}))
    assert "c2VjcmV0" not in str(caught.value)


def test_what_is_not_secret_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings without a secret are the same on both sides."""
    monkeypatch.delenv("TRILANE_STORAGE_CONNECTION_STRING", raising=False)
    told = settings(chunk_records="7", csv_delimiter=";", bundle=str(Path("x") / "y"))
    assert BatchSettings(**without_secrets(told)) == told
