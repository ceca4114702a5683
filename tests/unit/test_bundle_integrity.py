"""A bundle that was altered in any byte of any file is refused, and the file is named."""

import os
import random
from pathlib import Path

import msgspec
import pytest

from scoring.errors import BundleError
from scoring.manifest import (
    MANIFEST_NAME,
    bundle_files,
    encode_manifest,
    file_digest,
    read_manifest,
    sealed,
)
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


def test_two_files_that_changed_places_are_noticed(bundle: Path) -> None:
    """Each is one the manifest knows, under the other's name."""
    model, outlier = bundle / "model.onnx", bundle / "outlier.onnx"
    content = model.read_bytes()
    model.write_bytes(outlier.read_bytes())
    outlier.write_bytes(content)
    with pytest.raises(BundleError, match=r"model\.onnx does not match its digest"):
        load_model(bundle, NOW)


def test_mode_and_time_of_a_file_do_not_count(bundle: Path) -> None:
    """They change when a bundle is copied into an image."""
    (bundle / "model.onnx").chmod(0o444)
    os.utime(bundle / "model.onnx", (0, 0))
    assert load_model(bundle, NOW).manifest.name == "toy"


@pytest.mark.parametrize("name", ["model.onnx", "reference"])
def test_a_link_that_leads_out_of_the_bundle_is_refused(
    bundle: Path, tmp_path: Path, name: str
) -> None:
    """Even if the very file or directory is at its end today."""
    (bundle / name).rename(tmp_path / "outside")
    (bundle / name).symlink_to(tmp_path / "outside")
    with pytest.raises(BundleError, match=f"{name} is a link that leads out of the bundle"):
        load_model(bundle, NOW)


def test_a_bundle_may_be_reached_through_a_link(bundle: Path, tmp_path: Path) -> None:
    """As the current one of several."""
    (tmp_path / "current").symlink_to(bundle)
    assert load_model(tmp_path / "current", NOW).manifest.name == "toy"


def test_a_graph_that_the_runtime_refuses_is_named(bundle: Path) -> None:
    """Though it is the one the manifest was sealed with."""
    (bundle / "model.onnx").write_bytes(b"no graph")
    manifest = read_manifest(bundle)
    files = manifest.files | {"model.onnx": file_digest(bundle / "model.onnx")}
    manifest = sealed(msgspec.structs.replace(manifest, files=files))
    (bundle / MANIFEST_NAME).write_bytes(encode_manifest(manifest))
    with pytest.raises(BundleError, match=r"cannot load .*model\.onnx"):
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
