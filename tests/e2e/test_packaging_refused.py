"""What `trilane package` says of a model it cannot use: the model, the file, and what to do."""

import ctypes
import json
import re
from pathlib import Path
from typing import Any

import pytest

from scoring.manifest import read_manifest
from tests.support import refused_models
from tests.support.bundles import command, write_models
from tests.support.package_runs import Ended, arguments, package, package_many

_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE = 24, 1

# run: (model, what models.json says besides, words of the message in their order)
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "no signature": ("unsigned", {}, "no signature.*log it again with one"),
    "unknown version": ("good", {"version": "99"}, "models.json: good: .* no version 99"),
    "unknown alias": ("good", {"version": None, "alias": "live"}, "good: .* no alias 'live'"),
    "unknown name": ("nobody", {}, "models.json: nobody: the registry has no .* of this name"),
    "another digest": ("good", {"digest": "0" * 64}, "models.json pins another one"),
    "a pickle": ("pickled", {}, "model.pkl is a pickle.*allow_pickle"),
    "an untrusted type": ("untrusted", {}, "model.skops .*.Unheard.*trusted_types"),
    "a truncated file": ("truncated", {}, "model.skops is damaged.*register it again"),
    "a missing file": ("incomplete", {}, "model.skops.*register it again"),
    "an unreadable MLmodel": ("unreadable", {}, "MLmodel.*log the model again"),
    "no MLmodel": ("no_mlmodel", {}, "MLmodel.*log the model again"),
    "no python_function": ("no_pyfunc", {}, "no python_function flavour.*sklearn"),
    "a library that is not installed": ("no_library", {}, "install the package.*catboost==1.2.7"),
    "a loader that does not exist": ("no_loader", {}, "acme_models.*install the package"),
    "a damaged graph": ("damaged_graph", {}, "model.bin.*register it again"),
    "an outlier share of nothing": (
        "good",
        {"outlier_share": 0.1},
        "outlier_share needs a version",
    ),
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a registry of models that are broken in one way each."""
    directory = tmp_path_factory.mktemp("refused")
    command(directory, refused_models.__file__, str(directory))
    return directory


@pytest.fixture(scope="module")
def ended(registry: Path) -> dict[str, Ended]:
    """How the runs ended."""
    runs = {}
    for number, (run, (name, more, _)) in enumerate(REFUSED.items()):
        models = write_models(registry / f"{number}.json", name, **more)
        runs[run] = arguments(models, registry / "out" / run)
    return package_many(registry, runs)


@pytest.mark.parametrize("run", REFUSED)
def test_what_cannot_be_used_is_refused_with_what_to_do(
    registry: Path, ended: dict[str, Ended], run: str
) -> None:
    """One line that names the model, exit code 1, and nothing is left where the bundle would be."""
    name, _, words = REFUSED[run]
    result = ended[run]
    said = [line for line in result.err.splitlines() if line.startswith("trilane package: ")]
    assert result.code == 1, result.err
    assert len(said) == 1, result.err
    assert re.search(words, said[0]), said[0]
    assert name in said[0]
    assert list((registry / "out" / run).iterdir()) == []


def test_a_pickle_is_loaded_where_the_configuration_says_so(registry: Path) -> None:
    """For that model by its name."""
    models = write_models(registry / "allowed.json", "pickled", allow_pickle=True)
    result = package(models, registry / "allowed")
    assert result.code == 0, result.err
    assert read_manifest(registry / "allowed" / "pickled").name == "pickled"


def test_a_place_that_cannot_be_written_is_named(registry: Path, tmp_path: Path) -> None:
    """A file in the way, a directory without the right to write, a file in the bundle's place."""
    models = write_models(registry / "good.json", "good")
    file = tmp_path / "file"
    file.write_text("")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "good").write_text("")
    for output in (file, closed, tmp_path / "taken"):
        result = package(models, output, limit=_rights_of_a_user)
        assert result.code == 1, result.err
        assert f"{output}" in result.err
        assert "--output" in result.err
        assert "Traceback" not in result.err
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["closed", "file", "good", "taken"]


def _rights_of_a_user() -> None:
    """Root may write anywhere; without this capability it may not. Others have no such right."""
    ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0)


def test_credentials_in_an_address_are_refused_and_not_repeated(tmp_path: Path) -> None:
    """They would otherwise stand in the manifest and in logs."""
    models = tmp_path / "models.json"
    document = {
        "registry": {"tracking_uri": "http://somebody:hunter2@127.0.0.1:9"},
        "models": [{"name": "m", "version": "1", "role": "champion"}],
    }
    models.write_text(json.dumps(document))
    result = package(models, tmp_path / "out")
    assert result.code == 1
    assert "registry.tracking_uri: must hold no credentials" in result.err
    assert "hunter2" not in result.err + result.out
