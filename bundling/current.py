"""Whether a bundle already is what the configuration asks for."""

from pathlib import Path

from bundling.config import ModelEntry
from scoring.errors import BundleError
from scoring.manifest import OutputSpec, read_manifest, verify_files


def is_current(directory: Path, entry: ModelEntry) -> bool:
    """True for an intact bundle of exactly this entry.

    An alias may have moved, so an entry with an alias is never current without asking the registry.
    """
    if entry.version is None:
        return False
    try:
        manifest = read_manifest(directory)
        verify_files(directory, manifest)
    except BundleError:
        return False
    return (
        (manifest.name, manifest.version, manifest.role) == (entry.name, entry.version, entry.role)
        and manifest.ignored_fields == entry.ignored_fields
        and _same_decision(manifest.output, entry)
    )


def _same_decision(output: OutputSpec, entry: ModelEntry) -> bool:
    if output.kind != "binary":
        return entry.positive_label is None
    return (output.positive, output.threshold) == (entry.positive_label, entry.threshold)
