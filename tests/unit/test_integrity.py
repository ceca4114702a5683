"""What of a registered model is refused before anything of it is loaded."""

import functools
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundling.config import ModelEntry
from bundling.integrity import TRUSTED_TYPES, check_integrity, source_digest
from scoring.errors import BundleError


class Explodes:
    """Loading it would run code."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Fails the test when it is unpickled."""
        return (pytest.fail, ("the pickle was loaded",))


def entry(**more: Any) -> ModelEntry:
    """A configured model."""
    return ModelEntry("m", "champion", version="1", **more)


def model(directory: Path, **files: bytes) -> Path:
    """A model directory with some files; `__` in a name stands for a dot."""
    for name, content in {"MLmodel": b"flavors: {}\n", **files}.items():
        (directory / name.replace("__", ".")).write_bytes(content)
    return directory


def skops_bytes(estimator: Any) -> bytes:
    """An estimator as a skops file."""
    import skops.io

    content: bytes = skops.io.dumps(estimator)
    return content


@pytest.mark.parametrize("name", ["model__pkl", "model__joblib", "python_model__pkl"])
def test_a_pickle_is_refused_unless_the_configuration_says_so(tmp_path: Path, name: str) -> None:
    """It is named, with what to do, and not loaded either way."""
    directory = model(tmp_path, **{name: pickle.dumps(Explodes())})
    with pytest.raises(BundleError, match=rf"{name.replace('__', '.')} is a pickle.*allow_pickle"):
        check_integrity(directory, entry())
    check_integrity(directory, entry(allow_pickle=True))


def test_scikit_learn_types_are_trusted(tmp_path: Path) -> None:
    """The trees of a forest, for one."""
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(n_estimators=2, random_state=0).fit([[0.0], [1.0], [2.0]])
    check_integrity(model(tmp_path, model__skops=skops_bytes(forest)), entry())


def trusted_estimators() -> list[Any]:
    """Estimators of the common families, each with what its kind of file holds in it."""
    from sklearn import ensemble, neighbors, neural_network, preprocessing, svm
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.isotonic import IsotonicRegression
    from sklearn.linear_model import LogisticRegression, SGDClassifier, TweedieRegressor

    return [
        *(ensemble.GradientBoostingClassifier(loss=loss, n_estimators=2) for loss in LOSSES),
        ensemble.HistGradientBoostingClassifier(max_iter=2),
        ensemble.HistGradientBoostingClassifier(max_iter=2, categorical_features=[1]),
        *(
            ensemble.HistGradientBoostingRegressor(loss=loss, max_iter=2)
            for loss in ("gamma", "poisson")
        ),
        ensemble.RandomForestClassifier(n_estimators=2),
        ensemble.AdaBoostClassifier(n_estimators=2),
        ensemble.StackingClassifier([("one", LogisticRegression())]),
        *(
            neural_network.MLPClassifier((3,), solver=solver, max_iter=400, tol=1.0)
            for solver in ("adam", "sgd", "lbfgs")
        ),
        *(
            neighbors.KNeighborsClassifier(algorithm=kind, metric=metric)
            for kind in ("ball_tree", "kd_tree", "brute")
            for metric in ("euclidean", "manhattan", "chebyshev")
        ),
        svm.SVC(),
        svm.SVR(),
        *(
            CalibratedClassifierCV(LogisticRegression(), method=method, cv=2)
            for method in ("sigmoid", "isotonic", "temperature")
        ),
        SGDClassifier(loss="modified_huber"),
        TweedieRegressor(power=1.5),
        preprocessing.TargetEncoder(),
        preprocessing.KBinsDiscretizer(2, quantile_method="averaged_inverted_cdf"),
        preprocessing.OneHotEncoder(),
        IsotonicRegression(),
    ]


LOSSES = ("log_loss", "exponential")


def test_the_common_families_of_scikit_learn_need_no_list(tmp_path: Path) -> None:
    """Everything a fitted one holds is trusted."""
    rng = np.random.default_rng(0)
    inputs = np.column_stack([rng.normal(size=60), rng.integers(0, 3, 60)])
    target = np.tile([1, 2], 30)
    for estimator in trusted_estimators():
        columns = inputs[:, 0] if type(estimator).__name__ == "IsotonicRegression" else inputs
        content = skops_bytes(estimator.fit(columns, target))
        check_integrity(model(tmp_path, model__skops=content), entry())


def test_a_function_inside_a_trusted_wrapper_is_not_trusted_with_it(tmp_path: Path) -> None:
    """A partial is only as good as what it calls."""
    content = skops_bytes(functools.partial(shutil.rmtree, "/nowhere"))
    with pytest.raises(BundleError, match=r"not trusted: shutil\.rmtree"):
        check_integrity(model(tmp_path, model__skops=content), entry())


def test_every_trusted_type_is_of_scikit_learn_or_numpy() -> None:
    """Or the partial above."""
    names = TRUSTED_TYPES - {"functools.partial"}
    assert {name.partition(".")[0] for name in names} == {"sklearn", "numpy"}


def test_other_types_are_refused_by_name_unless_trusted(tmp_path: Path) -> None:
    """Nothing is constructed while looking."""
    directory = model(tmp_path, model__skops=skops_bytes(entry()))
    kind = "bundling.config.ModelEntry"
    with pytest.raises(BundleError, match=f"not trusted: {kind}"):
        check_integrity(directory, entry())
    check_integrity(directory, entry(trusted_types=[kind]))


def test_a_damaged_skops_file_is_named(tmp_path: Path) -> None:
    """As a download that broke off leaves it."""
    with pytest.raises(BundleError, match=r"model\.skops is damaged"):
        check_integrity(model(tmp_path, model__skops=b"PK\x03\x04 and no more"), entry())


def test_a_pinned_digest_is_enforced(tmp_path: Path) -> None:
    """One changed byte, one more file or another name is another model."""
    digest = source_digest(model(tmp_path, weights__json=b"[1]"))
    assert check_integrity(tmp_path, entry(digest=digest)) == digest
    (tmp_path / "weights.json").write_bytes(b"[2]")
    with pytest.raises(BundleError, match="changed after it was pinned"):
        check_integrity(tmp_path, entry(digest=digest))
    model(tmp_path, weights__json=b"[1]", more=b"")
    with pytest.raises(BundleError, match="changed after it was pinned"):
        check_integrity(tmp_path, entry(digest=digest))


def test_what_the_download_adds_does_not_count(tmp_path: Path) -> None:
    """MLflow writes name and version of the registration beside the model."""
    before = source_digest(model(tmp_path))
    (tmp_path / "registered_model_meta").write_text("model_name: m\n")
    assert source_digest(tmp_path) == before
