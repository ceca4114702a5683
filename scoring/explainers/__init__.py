"""Ways to compute the contributions of the features to a score, one module per method.

A method that works on the encoded matrix (`linear`, `tree`) gives terms per column, which
`encoded` adds up to the features; `sampling` asks the backend itself.
"""

from pathlib import Path

from scoring.errors import BundleError
from scoring.manifest import Manifest, ReasonsSpec
from scoring.model import Backend, Explainer
from scoring.schema import Schema


def open_explainer(
    bundle: Path, manifest: Manifest, schema: Schema, backend: Backend
) -> tuple[Explainer | None, str | None]:
    """The bundle's explainer, or why there is none. Raises BundleError naming a broken file."""
    return open_reasons(bundle, manifest.reasons, schema, backend, manifest.backend.call_width)


def open_reasons(
    bundle: Path, spec: ReasonsSpec, schema: Schema, backend: Backend, call_width: int | None
) -> tuple[Explainer | None, str | None]:
    """The explainer that `spec` describes, with its files below `bundle`, or why there is none.

    A library that is not installed is no error, so that a lane without reasons needs none. Raises
    BundleError naming a broken file.
    """
    if spec.method == "none" or spec.path is None:
        return None, spec.detail
    if spec.method == "sampling":
        from scoring.explainers.sampling import open_sampling

        return open_sampling(bundle / spec.path, spec.explains, schema, backend, call_width), None
    from scoring.explainers.encoded import EncodedExplainer, Encoding, Terms

    terms: Terms
    if spec.method == "linear":
        from scoring.explainers.linear import open_linear

        terms = open_linear(bundle / spec.path)
    else:
        from scoring.explainers.lightgbm_library import LibraryUnavailable, load_library
        from scoring.explainers.tree import open_tree

        try:
            terms = open_tree(bundle / spec.path, load_library())
        except LibraryUnavailable as error:
            return None, str(error)
    if terms.width != len(spec.groups):
        raise BundleError(f"{bundle / spec.path} has another width than the manifest says")
    graph = None if spec.encoder is None else bundle / spec.encoder
    return EncodedExplainer(Encoding(graph, schema, spec.groups), terms), None
