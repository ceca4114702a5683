"""The drift policy: every number a verdict depends on, read from one versioned file."""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from scoring.errors import ConfigurationError

Level = Annotated[float, Meta(gt=0, lt=1)]
Effect = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(gt=0, le=1)]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all sections have in common: nothing is optional and nothing unknown is accepted."""


class ProfilePolicy(_Section, frozen=True):
    """How much of a column is kept: exact counts up to `exact_values` distinct values, else bins.

    Categories beyond `exact_values` are counted together.
    """

    exact_values: Annotated[int, Meta(ge=2)]
    bins: Annotated[int, Meta(ge=2)]


class FeaturePolicy(_Section, frozen=True):
    """The features' family: false discovery rate `q`, and the least effect that matters.

    `numeric_effect` is in standard deviations of the reference, `categorical_effect` a total
    variation distance, `missing_effect` a difference of shares.
    """

    q: Level
    numeric_effect: Effect
    categorical_effect: Share
    missing_effect: Share


class OutputPolicy(_Section, frozen=True):
    """The outputs' family and the outlier score's: false discovery rate and least effects."""

    q: Level
    numeric_effect: Effect
    categorical_effect: Share


class RulePolicy(_Section, frozen=True):
    """Shares of the records from which on a rule without a test speaks."""

    new_category_share: Share
    out_of_range_share: Share


class Policy(_Section, frozen=True):
    """The whole file. `policy_version` changes with any number in it."""

    policy_version: Annotated[str, Meta(min_length=1)]
    min_records: Annotated[int, Meta(ge=1)]
    max_gap_hours: Annotated[int, Meta(ge=0)]
    profile: ProfilePolicy
    features: FeaturePolicy
    outputs: OutputPolicy
    rules: RulePolicy


def read_policy(path: Path) -> Policy:
    """Read and check the file. Raises ConfigurationError naming the file, the key and the rule."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Policy)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
