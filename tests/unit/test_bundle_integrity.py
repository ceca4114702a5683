"""A bundle that was altered in any byte of any file is refused, and the file is named."""

import random
from pathlib import Path

import pytest

from scoring.errors import BundleError
from scoring.manifest import MANIFEST_NAME, bundle_files, read_manifest
from scoring.model_loader import load_model
from tests.support.toy import NOW, make_bundle

FILES = ["manifest.json", "model.onnx", "outlier.onnx", "reference/reference.parquet"]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A fresh toy bundle."""
    return make_bundle(tmp_path / "bundle")


def test_an_untouched_bundle_loads(bundle: Path) -> None:
    """And its files are the ones this module alters."""
    assert bundle_files(bundle) == FILES
    assert load_model(bundle, NOW).manifest.name == "toy"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("seed", range(8))
def test_one_flipped_byte_is_noticed_and_the_file_named(bundle: Path, name: str, seed: int) -> None:
    """Wherever the byte is and whatever it becomes."""
    path = bundle / name
    content = bytearray(path.read_bytes())
    rng = random.Random(seed)
    content[rng.randrange(len(content))] ^= rng.randrange(1, 256)
    path.write_bytes(content)
    with pytest.raises(BundleError, match=name):
        load_model(bundle, NOW)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    """Truncated copies happen."""
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=name):
        load_model(bundle, NOW)


def test_an_added_file_is_named(bundle: Path) -> None:
    """A bundle is exactly what was packaged."""
    (bundle / "extra.py").write_text("")
    with pytest.raises(BundleError, match=r"extra\.py is not in the manifest"):
        load_model(bundle, NOW)


def test_white_space_in_the_manifest_counts_too(bundle: Path) -> None:
    """The manifest is canonical, byte for byte."""
    path = bundle / MANIFEST_NAME
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(BundleError, match=MANIFEST_NAME):
        read_manifest(bundle)


def test_no_bundle_at_all_says_how_to_get_one(tmp_path: Path) -> None:
    """The first thing a newcomer meets."""
    with pytest.raises(BundleError, match="trilane package"):
        load_model(tmp_path / "nowhere", NOW)
