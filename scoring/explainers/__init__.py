"""Ways to compute the contributions of the features to a score."""

from pathlib import Path

from scoring.manifest import Manifest
from scoring.model import Backend, Explainer
from scoring.schema import Schema


def open_explainer(
    bundle: Path, manifest: Manifest, schema: Schema, backend: Backend
) -> tuple[Explainer | None, str | None]:
    """The bundle's explainer, or why there is none. Raises BundleError naming a broken file."""
    del bundle, schema, backend
    return None, manifest.reasons.detail
