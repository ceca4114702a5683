"""Whether a bundle already is what the configuration asks for."""

from pathlib import Path

from bundling.config import ModelEntry
from bundling.registry import MODEL
from bundling.source import OUTLIER_PATH, describe_outlier
from scoring.errors import BundleError
from scoring.manifest import Manifest, OutputSpec, read_manifest, verify_files


def is_current(directory: Path, entry: ModelEntry, version: str) -> bool:
    """True for an intact bundle of exactly this entry and this version of the model.

    `version` is the entry's own, or what its alias names now. A bundle of another format is not
    current.
    """
    manifest = _intact(directory)
    return (
        manifest is not None and version == manifest.version and _is_of(directory, manifest, entry)
    )


def is_pinned(directory: Path, entry: ModelEntry) -> bool:
    """True for an intact bundle of the very files that the entry pins by their digest."""
    manifest = _intact(directory)
    return manifest is not None and entry.digest is not None and _is_of(directory, manifest, entry)


def _intact(directory: Path) -> Manifest | None:
    try:
        manifest = read_manifest(directory)
        verify_files(directory, manifest)
    except BundleError:
        return None
    return manifest


def _is_of(directory: Path, manifest: Manifest, entry: ModelEntry) -> bool:
    return (
        (manifest.name, manifest.role) == (entry.name, entry.role)
        and manifest.alias == entry.alias
        and entry.version in (None, manifest.version)
        and entry.digest in (None, manifest.source_digest)
        and manifest.ignored_fields == entry.ignored_fields
        and _same_decision(manifest.output, entry)
        and _same_share(directory, manifest, entry)
    )


def _same_share(directory: Path, manifest: Manifest, entry: ModelEntry) -> bool:
    """Whether the outlier threshold was set for the share that is asked for now."""
    if manifest.outlier is None or manifest.reference is None:
        return entry.outlier_share is None
    if entry.outlier_share is not None:
        return manifest.outlier.share == entry.outlier_share
    try:
        return manifest.outlier.share == describe_outlier(directory / MODEL / OUTLIER_PATH).share
    except BundleError:
        return False


def _same_decision(output: OutputSpec, entry: ModelEntry) -> bool:
    if output.kind != "binary":
        return entry.positive_label is None
    return (output.positive, output.threshold) == (entry.positive_label, entry.decision_threshold)
