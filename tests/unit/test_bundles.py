"""A path of one bundle, or of several: which are served, and which is the champion."""

from pathlib import Path

import pytest

from scoring.bundles import bundle_paths, champion_path
from scoring.errors import BundleError
from tests.support.toy import make_bundle


def test_one_bundle_is_the_champion_whatever_its_role(tmp_path: Path) -> None:
    """Named itself, or alone in a directory."""
    bundle = make_bundle(tmp_path / "all" / "one", reference=0, role="challenger")
    assert bundle_paths(bundle) == [bundle]
    assert bundle_paths(tmp_path / "all") == [bundle]


def test_the_champion_of_several_is_first(tmp_path: Path) -> None:
    """Others follow by name; what packaging has not finished is left out."""
    make_bundle(tmp_path / "a", reference=0, name="a", role="challenger")
    make_bundle(tmp_path / "b", reference=0, name="b", role="champion")
    make_bundle(tmp_path / "c", reference=0, name="c", role="challenger")
    make_bundle(tmp_path / ".d", reference=0, name="d", role="champion")
    assert [path.name for path in bundle_paths(tmp_path)] == ["b", "a", "c"]
    assert champion_path(tmp_path).name == "b"


def test_a_directory_without_bundles_is_refused(tmp_path: Path) -> None:
    """With what to do."""
    with pytest.raises(BundleError, match="trilane package"):
        bundle_paths(tmp_path)


@pytest.mark.parametrize("roles", [("champion", "champion"), ("challenger", "challenger")])
def test_several_need_exactly_one_champion(tmp_path: Path, roles: tuple[str, str]) -> None:
    """Neither two nor none."""
    for place, role in enumerate(roles):
        name = f"m{place}"
        make_bundle(tmp_path / name, reference=0, name=name, role=role)  # type: ignore[arg-type]
    with pytest.raises(BundleError, match="exactly one champion"):
        bundle_paths(tmp_path)


def test_two_bundles_of_one_model_are_refused(tmp_path: Path) -> None:
    """A request could not say which of them it means."""
    make_bundle(tmp_path / "a", reference=0)
    make_bundle(tmp_path / "b", reference=0, version="8", role="challenger")
    with pytest.raises(BundleError, match="two bundles of one model"):
        bundle_paths(tmp_path)
