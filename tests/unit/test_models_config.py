"""config/models.json: what is accepted, and errors that name file, place and rule."""

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest

from bundling.config import ModelEntry, Registry, read_models_config
from scoring.errors import ConfigurationError

ENTRY: dict[str, Any] = {"name": "m", "version": "1", "role": "champion"}


def write(path: Path, models: list[dict[str, Any]], **more: Any) -> Path:
    """A configuration file."""
    document = {"registry": {"tracking_uri": "sqlite:///x.db"}, "models": models, **more}
    path.write_text(json.dumps(document))
    return path


def test_the_shipped_configuration_is_valid() -> None:
    """And names the example."""
    config = read_models_config(Path("config/models.json"))
    assert config.champion.name == "employee_attrition"


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ([ENTRY | {"surprise": 1}], r"unknown field `surprise` - at `\$\.models\[0\]`"),
        (
            [{"name": "m", "role": "champion"}],
            r"models\[0\]: give exactly one of version and alias",
        ),
        ([ENTRY | {"alias": "a"}], r"models\[0\]: give exactly one of version and alias"),
        ([ENTRY | {"role": "king"}], r"role"),
        ([ENTRY | {"version": 1}], r"version"),
        ([ENTRY, ENTRY | {"name": "n"}], "exactly one must have the role champion, found 2"),
        ([ENTRY | {"role": "challenger"}], "found 0"),
        ([ENTRY, ENTRY | {"role": "challenger"}], "named only once"),
        ([ENTRY | {"threshold": 2}], r"<= 1.0 - at `\$\.models\[0\]\.threshold"),
        ([ENTRY | {"threshold": 0.4}], r"models\[0\]\.threshold: needs positive_label"),
        ([ENTRY | {"outlier_share": 0.5}], r"< 0.5 - at `\$\.models\[0\]\.outlier_share"),
        ([ENTRY | {"name": "../m"}], r"regex .* at `\$\.models\[0\]\.name"),
        ([ENTRY | {"trusted_types": ["a", "a"]}], r"models\[0\]\.trusted_types: must not repeat"),
    ],
)
def test_a_broken_rule_is_named_with_its_place(
    tmp_path: Path, models: list[dict[str, Any]], words: str
) -> None:
    """The file is named too."""
    path = write(tmp_path / "models.json", models)
    with pytest.raises(ConfigurationError, match=words) as caught:
        read_models_config(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    """As is one that is not there."""
    for content in (b"{", b"\xff"):
        (tmp_path / "models.json").write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"models\.json"):
            read_models_config(tmp_path / "models.json")
    with pytest.raises(ConfigurationError, match=r"cannot read .*none\.json"):
        read_models_config(tmp_path / "none.json")


@pytest.mark.parametrize("key", ["tracking_uri", "registry_uri"])
def test_credentials_in_an_address_are_refused_without_repeating_them(
    tmp_path: Path, key: str
) -> None:
    """They belong in the environment."""
    registry = {"tracking_uri": "sqlite:///x.db", key: "https://me:secret@host/path"}
    path = write(tmp_path / "models.json", [ENTRY], registry=registry)
    with pytest.raises(ConfigurationError, match=f"registry.{key}: must hold no cred") as caught:
        read_models_config(path)
    assert "secret" not in str(caught.value)


def test_names_of_unity_catalog_and_profiles_of_databricks_are_accepted(tmp_path: Path) -> None:
    """Three parts with dots between them."""
    registry = {"tracking_uri": "databricks://PROFILE", "registry_uri": "databricks-uc"}
    model = {"name": "main.hr.attrition", "alias": "champion", "role": "champion"}
    config = read_models_config(write(tmp_path / "models.json", [model], registry=registry))
    assert config.champion.name == "main.hr.attrition"


# Values of one key, some allowed and some not.
VALUES: dict[str, list[Any]] = {
    "name": ["m", "a.b.c", "a b", ".m", "..", "a/b", "a:b", "", 1, None],
    "role": ["champion", "challenger", "king", None],
    "version": ["1", "10", "0", "01", "v1", "", 1, None],
    "alias": ["champion", "a-b_1", "a b", "", None],
    "threshold": [0, 0.5, 1, -0.1, 1.1, "0.5", None],
    "positive_label": ["Yes", "", None, True],
    "ignored_fields": [[], ["a"], ["a", "b"], ["a", "a"], [""], "a", None],
    "outlier_share": [0.01, 0.499, 0, 0.5, 1, "0.1", None],
    "digest": ["0" * 64, "0" * 63, "G" * 64, None],
    "allow_pickle": [True, False, "yes", 1, None],
    "trusted_types": [[], ["a.B"], ["a", "a"], [1], None],
    "surprise": [None],
}


def test_the_json_schema_and_the_reader_accept_the_same(tmp_path: Path) -> None:
    """An editor underlines what `trilane package` refuses, and nothing else."""
    schema = json.loads(Path("config/models.schema.json").read_text())
    described = schema["$defs"]["model"]["properties"]
    fields = {field.name: field for field in msgspec.structs.fields(ModelEntry)}
    assert described.keys() == fields.keys() == VALUES.keys() - {"surprise"}
    known = schema["properties"]["registry"]["properties"]
    assert known.keys() == {field.name for field in msgspec.structs.fields(Registry)}
    validator = jsonschema.Draft202012Validator(schema)
    for key, values in VALUES.items():
        for value in values:
            models = [ENTRY | {"positive_label": "Yes"} | {key: value}]
            path = write(tmp_path / "models.json", models)
            assert validator.is_valid(json.loads(path.read_text())) == accepted(path), (key, value)
            if key == "alias":
                models[0]["version"] = None
                path = write(tmp_path / "models.json", models)
                assert validator.is_valid(json.loads(path.read_text())) == accepted(path), value


@pytest.mark.parametrize("registry", [{}, {"tracking_uri": ""}, {"tracking_uri": "http://a@b"}])
def test_the_json_schema_and_the_reader_refuse_the_same_registry(
    tmp_path: Path, registry: dict[str, str]
) -> None:
    """No address, an empty one, one with credentials."""
    schema = json.loads(Path("config/models.schema.json").read_text())
    path = write(tmp_path / "models.json", [ENTRY], registry=registry)
    assert not jsonschema.Draft202012Validator(schema).is_valid(json.loads(path.read_text()))
    assert not accepted(path)


@pytest.mark.parametrize("label", [{}, {"positive_label": None}, {"positive_label": "Yes"}])
def test_a_threshold_needs_a_positive_label(tmp_path: Path, label: dict[str, Any]) -> None:
    """For the schema as for the reader."""
    schema = json.loads(Path("config/models.schema.json").read_text())
    path = write(tmp_path / "models.json", [ENTRY | {"threshold": 0.4} | label])
    named = label.get("positive_label") is not None
    assert jsonschema.Draft202012Validator(schema).is_valid(json.loads(path.read_text())) is named
    assert accepted(path) is named


def accepted(path: Path) -> bool:
    """Whether the reader takes the file."""
    try:
        read_models_config(path)
    except ConfigurationError:
        return False
    return True
