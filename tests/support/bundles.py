"""Bundles of real models for the end-to-end tests, made by the real commands, once per session."""

import csv
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class RealBundle:
    """A packaged model and a CSV file of records it can score."""

    name: str
    bundle: Path
    records: Path
    id_column: str


def command(directory: Path, *arguments: str) -> None:
    """Run `python ARGUMENTS` with a directory as the working directory; fail with its output."""
    result = subprocess.run(
        [sys.executable, *arguments], cwd=directory, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def write_models(path: Path, name: str, **entry: Any) -> Path:
    """A models.json beside a SQLite registry in the same directory."""
    model = {"name": name, "version": "1", "role": "champion", **entry}
    registry = {"tracking_uri": "sqlite:///mlflow.db"}
    path.write_text(json.dumps({"registry": registry, "models": [model]}))
    return path


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Records as CSV; None is an empty cell."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def fuel_rows(count: int) -> list[dict[str, Any]]:
    """Records of the model `fuel`."""
    rng = np.random.default_rng(11)
    return [
        {
            "id": f"car-{i}",
            "cylinders": int(rng.integers(3, 9)),
            "year": int(rng.integers(1990, 2026)),
            "weight": float(rng.normal(1500, 300)),
            "power": float(rng.normal(110, 40)),
            "drag": float(rng.uniform(0.2, 0.5)),
        }
        for i in range(count)
    ]


def grades_rows(count: int) -> list[dict[str, Any]]:
    """Records of the model `grades`, every third without a bonus."""
    rng = np.random.default_rng(12)
    return [
        {
            "id": f"pupil-{i}",
            "score": float(rng.uniform(0, 100)),
            "resit": bool(rng.integers(0, 2)),
            "school": str(rng.choice(["north", "south", "east"])),
            "bonus": None if i % 3 == 0 else float(rng.uniform(0, 5)),
        }
        for i in range(count)
    ]
