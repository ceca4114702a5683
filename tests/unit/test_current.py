"""When a bundle is kept: it is intact, and exactly what models.json asks for."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from bundling.config import ModelEntry
from bundling.current import is_current, is_pinned
from scoring.manifest import (
    MANIFEST_NAME,
    OutlierSpec,
    ReferenceSpec,
    bundle_files,
    encode_manifest,
    file_digest,
    read_manifest,
    sealed,
)
from tests.support.toy import make_bundle

ENTRY = ModelEntry("toy", "champion", version="7", positive_label="Yes", ignored_fields=["comment"])
DIGEST = "0" * 64


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of `ENTRY`."""
    return make_bundle(tmp_path / "bundle", reference=0)


def reseal(bundle: Path, **changes: Any) -> None:
    """Change the manifest as packaging could have written it."""
    files = {
        name: file_digest(bundle / name) for name in bundle_files(bundle) if name != MANIFEST_NAME
    }
    manifest = msgspec.structs.replace(read_manifest(bundle), files=files, **changes)
    (bundle / MANIFEST_NAME).write_bytes(encode_manifest(sealed(manifest)))


def changed(**changes: Any) -> ModelEntry:
    """`ENTRY` with other values."""
    return msgspec.structs.replace(ENTRY, **changes)


def test_a_bundle_of_the_entry_is_current(bundle: Path) -> None:
    """Nothing has to be asked for that."""
    assert is_current(bundle, ENTRY, "7")
    assert is_current(bundle, changed(digest=DIGEST), "7")


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"version": "8"},
        {"version": None, "alias": "live"},
        {"role": "challenger"},
        {"threshold": 0.4},
        {"positive_label": "No"},
        {"positive_label": None},
        {"ignored_fields": []},
        {"digest": "1" * 64},
        {"outlier_share": 0.01},
    ],
)
def test_a_change_in_the_configuration_is_noticed(bundle: Path, changes: dict[str, Any]) -> None:
    """Whichever it is."""
    assert not is_current(bundle, changed(**changes), "7")


def test_an_alias_is_compared_by_the_version_it_names_now(bundle: Path) -> None:
    """The bundle records the version that it named then."""
    reseal(bundle, alias="live")
    entry = changed(version=None, alias="live")
    assert is_current(bundle, entry, "7")
    assert not is_current(bundle, entry, "8")
    assert not is_current(bundle, changed(version=None, alias="next"), "7")


def test_a_damaged_bundle_and_one_of_another_format_are_not_current(bundle: Path) -> None:
    """They are made anew."""
    reseal(bundle, format=1)
    assert not is_current(bundle, ENTRY, "7")
    make_bundle(bundle, reference=0)
    assert is_current(bundle, ENTRY, "7")
    (bundle / "model.onnx").unlink()
    assert not is_current(bundle, ENTRY, "7")


def test_an_outlier_share_is_that_of_the_configuration_or_else_of_the_version(bundle: Path) -> None:
    """A share that was named and is named no more is noticed too."""
    stated = bundle / "model" / "trilane" / "outlier" / "outlier.json"
    stated.parent.mkdir(parents=True)
    stated.write_text('{"features": ["x"], "share": 0.02}')
    for share, current in ((0.02, {None, 0.02}), (0.05, {0.05})):
        outlier = OutlierSpec("outlier.onnx", ["x", "n"], 0.9, 8, share, share)
        reseal(bundle, outlier=outlier, reference=ReferenceSpec("reference.parquet", 1))
        asked = (None, 0.02, 0.05)
        assert {s for s in asked if is_current(bundle, changed(outlier_share=s), "7")} == current


def test_only_a_pinned_digest_makes_a_bundle_usable_without_the_registry(bundle: Path) -> None:
    """Named by its version or by an alias."""
    assert not is_pinned(bundle, ENTRY)
    assert is_pinned(bundle, changed(digest=DIGEST))
    assert not is_pinned(bundle, changed(digest="1" * 64))
    reseal(bundle, alias="live")
    assert is_pinned(bundle, changed(version=None, alias="live", digest=DIGEST))
