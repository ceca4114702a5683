"""What a lane says of its model, loaded or not."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scoring.bundle_schema import describe_bundle
from scoring.errors import BundleError
from scoring.manifest import OutlierSpec
from scoring.model import ModelDescription
from scoring.model_document import model_document, model_identity
from tests.support.reasons import explained
from tests.support.toy import EXAMPLE, NOW, load_toy, make_bundle


def told(model: ModelDescription, threads: int | None = None) -> dict[str, Any]:
    """The document, decoded."""
    document: dict[str, Any] = json.loads(model_document(model, threads))
    return document


def test_a_loaded_and_an_unloaded_model_are_told_alike(tmp_path: Path) -> None:
    """Monitoring, which loads no model, lacks only what comes with loading."""
    model = load_toy(tmp_path / "bundle", reference=0)
    loaded, unloaded = told(model, 2), told(describe_bundle(tmp_path / "bundle"))
    assert (loaded.pop("loaded_at"), loaded.pop("threads")) == (NOW.isoformat(), 2)
    assert (unloaded.pop("loaded_at"), unloaded.pop("threads")) == (None, None)
    assert loaded == unloaded
    assert str(EXAMPLE["x"]) not in json.dumps(loaded)


def test_reasons_are_those_that_can_be_given(tmp_path: Path) -> None:
    """Method, scale and words; and why not, where the explainer could not be opened."""
    toy = load_toy(tmp_path / "bundle", reference=0)
    spec = toy.manifest.reasons
    assert (
        told(toy)["reasons"] | {"available": False, "detail": spec.detail} == told(toy)["reasons"]
    )
    given = told(explained(toy))["reasons"]
    assert (given["available"], given["method"]) == (True, "linear")
    assert (given["detail"], given["scale"], given["explains"]) == ("exact", "log-odds", ["Yes"])
    lost = msgspec.structs.replace(spec, method="tree", detail="exact")
    manifest = msgspec.structs.replace(toy.manifest, reasons=lost)
    broken = type(toy)(manifest, toy.schema, toy.backend, None, NOW, None, "a package is missing")
    assert told(broken)["reasons"]["available"] is False
    assert told(broken)["reasons"]["detail"] == "a package is missing"


def test_outliers_and_identity_are_told(tmp_path: Path) -> None:
    """The shares beside the threshold; alias and digests in document and log line."""
    bundle = describe_bundle(make_bundle(tmp_path / "bundle", reference=0))
    spec = OutlierSpec("outlier.onnx", ["x"], 0.6, share=0.05, flagged_share=0.048)
    manifest = msgspec.structs.replace(bundle.manifest, outlier=spec, alias="champion")
    model = ModelDescription(manifest, bundle.schema)
    document, identity = told(model), model_identity(model)
    shares = ("outlier_threshold", "outlier_share", "outlier_flagged_share")
    assert [document[name] for name in shares] == [0.6, 0.05, 0.048]
    assert identity["alias"] == document["alias"] == "champion"
    assert identity["source_digest"] == document["source_digest"] == "0" * 64
    assert identity["digest"] == document["digest"]


def test_an_altered_manifest_is_not_told(tmp_path: Path) -> None:
    """It is checked against its digest."""
    bundle = make_bundle(tmp_path / "bundle", reference=0)
    path = bundle / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"champion"', b'"challenger"'))
    with pytest.raises(BundleError, match="does not match its digest"):
        describe_bundle(bundle)
