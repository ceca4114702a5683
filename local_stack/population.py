"""The employees the demo scores, as every lane wants them: files for batch and stream, records for
the API.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scoring.schema import Schema
from scoring.text import parse_cell


@dataclass(frozen=True, slots=True)
class Population:
    """The normal and the shifted employees as CSV files in the public form."""

    normal: Path
    changed: Path


def write_population(directory: Path) -> Population:
    """Write both files; takes about two seconds."""
    from training.data import load_employees, write_original_csv
    from training.shift import shifted

    employees = load_employees(None).frame
    population = Population(directory / "employees.csv", directory / "employees-shifted.csv")
    write_original_csv(employees, population.normal)
    write_original_csv(shifted(employees), population.changed)
    return population


def read_records(path: Path, schema: Schema, id_column: str) -> list[dict[str, Any]]:
    """A CSV file as records for `/predict`: the model's features, and the record id."""
    with path.open(newline="", encoding="utf-8") as file:
        return [_record(row, schema, id_column) for row in csv.DictReader(file)]


def _record(row: dict[str, str], schema: Schema, id_column: str) -> dict[str, Any]:
    record: dict[str, Any] = {f.name: parse_cell(f.type, row[f.name]) for f in schema.features}
    record["record_id"] = row[id_column]
    return record
