"""Bundles at a path: one, or a directory of them, of which one is the champion."""

from pathlib import Path

from scoring.errors import BundleError
from scoring.manifest import MANIFEST_NAME, read_manifest


def bundle_paths(path: Path) -> list[Path]:
    """The bundle at a path, or every bundle in the directory there, the champion first.

    A bundle that is alone is the champion whatever its role. Raises BundleError when the directory
    holds none, not exactly one champion among several, or two of one model.
    """
    if (path / MANIFEST_NAME).exists() or not path.is_dir():
        return [path]
    # Packaging keeps what it has not finished under names with a dot.
    found = sorted(
        manifest.parent
        for manifest in path.glob(f"*/{MANIFEST_NAME}")
        if not manifest.parent.name.startswith(".")
    )
    if not found:
        raise BundleError(f"{path} is no bundle and holds none; run `trilane package`")
    manifests = {bundle: read_manifest(bundle) for bundle in found}
    names = [manifest.name for manifest in manifests.values()]
    if len(set(names)) != len(names):
        raise BundleError(f"{path} holds two bundles of one model")
    champions = [bundle for bundle in found if manifests[bundle].role == "champion"]
    if len(found) > 1 and len(champions) != 1:
        raise BundleError(f"{path} must hold exactly one champion, and holds {len(champions)}")
    champion = (champions or found)[0]
    return [champion, *(bundle for bundle in found if bundle != champion)]


def champion_path(path: Path) -> Path:
    """The bundle at a path, or the champion of the directory there. Raises BundleError."""
    return bundle_paths(path)[0]
