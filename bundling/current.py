"""Whether a bundle already is what the configuration asks for."""

from pathlib import Path

from bundling.config import ModelEntry
from scoring.errors import BundleError
from scoring.manifest import Manifest, OutputSpec, read_manifest, verify_files


def is_current(directory: Path, entry: ModelEntry) -> bool:
    """True for an intact bundle of exactly this entry, without asking the registry.

    An alias may have moved, so an entry with an alias is never current.
    """
    manifest = _intact(directory)
    return manifest is not None and entry.version == manifest.version and _is_of(manifest, entry)


def is_pinned(directory: Path, entry: ModelEntry) -> bool:
    """True for an intact bundle of the very files that the entry pins by their digest."""
    manifest = _intact(directory)
    return manifest is not None and entry.digest is not None and _is_of(manifest, entry)


def _intact(directory: Path) -> Manifest | None:
    try:
        manifest = read_manifest(directory)
        verify_files(directory, manifest)
    except BundleError:
        return None
    return manifest


def _is_of(manifest: Manifest, entry: ModelEntry) -> bool:
    return (
        (manifest.name, manifest.role) == (entry.name, entry.role)
        and entry.version in (None, manifest.version)
        and entry.digest in (None, manifest.source_digest)
        and manifest.ignored_fields == entry.ignored_fields
        and _same_decision(manifest.output, entry)
    )


def _same_decision(output: OutputSpec, entry: ModelEntry) -> bool:
    if output.kind != "binary":
        return entry.positive_label is None
    return (output.positive, output.threshold) == (entry.positive_label, entry.threshold)
