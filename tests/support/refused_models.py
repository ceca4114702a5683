"""Registered models that packaging must refuse: run this file with a directory.

The directory gets `mlflow.db`, a registry, and `files/NAME`, the files of version 1 of each.
"""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from bundling.config import Registry
from bundling.mlflow_door import opened

Change = Callable[[Path], None]


class Unheard:
    """A type that no list of trusted types has."""


def main(directory: Path) -> None:
    """Make and register all of them."""
    with opened(Registry(f"sqlite:///{directory}/mlflow.db")):
        _save(directory / "files" / "good", "skops")
        _save(directory / "files" / "pickled", "cloudpickle")
        for name, change in _changes().items():
            shutil.copytree(directory / "files" / "good", directory / "files" / name)
            change(directory / "files" / name)
        for path in (directory / "files").iterdir():
            _register(path)


def _save(directory: Path, form: str) -> None:
    import mlflow
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.linear_model import Ridge

    frame = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})
    model = Ridge().fit(frame, frame["a"])
    mlflow.sklearn.save_model(
        model,
        directory,
        signature=infer_signature(frame, model.predict(frame)),
        input_example=frame.head(2),
        serialization_format=form,
        pip_requirements=["scikit-learn", "catboost==1.2.7"],
    )


def _register(path: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient()
    client.create_registered_model(path.name)
    client.create_model_version(path.name, source=path.as_uri())


def _changes() -> dict[str, Change]:
    return {
        "unsigned": lambda path: _edit(path, lambda model: model.pop("signature")),
        "untrusted": _untrusted,
        "truncated": lambda path: _cut(path / "model.skops"),
        "incomplete": lambda path: (path / "model.skops").unlink(),
        "unreadable": lambda path: _write(path / "MLmodel", b"\x00{{"),
        "no_mlmodel": lambda path: (path / "MLmodel").unlink(),
        "no_pyfunc": lambda path: _edit(
            path, lambda model: model["flavors"].pop("python_function")
        ),
        "no_library": lambda path: _flavour(path, "catboost", "mlflow.catboost"),
        "no_loader": lambda path: _flavour(path, "acme", "acme_models.loader"),
        "damaged_graph": _damaged_graph,
    }


def _edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    description = yaml.safe_load((path / "MLmodel").read_text())
    change(description)
    (path / "MLmodel").write_text(yaml.safe_dump(description))


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _untrusted(path: Path) -> None:
    import skops.io

    skops.io.dump(Unheard(), path / "model.skops")


def _flavour(path: Path, name: str, loader: str) -> None:
    """Another library's model, as its MLmodel says."""
    (path / "model.skops").unlink()
    _write(path / "model.bin", b"weights")

    def change(model: dict[str, Any]) -> None:
        function = {"loader_module": loader, "data": "model.bin", "env": {}}
        model["flavors"] = {
            name: {"data": "model.bin", "model_type": "CatBoostRegressor", "save_format": "cbm"},
            "python_function": function,
        }

    _edit(path, change)


def _damaged_graph(path: Path) -> None:
    _flavour(path, "onnx", "mlflow.onnx")
    _edit(path, lambda model: model["flavors"]["onnx"].update(providers=["CPUExecutionProvider"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
