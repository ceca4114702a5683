"""Real models, trained, registered and packaged by the real commands."""

import shutil
from pathlib import Path

import pytest

from local_stack.population import write_population
from tests.support import foreign_models
from tests.support.bundles import (
    RealBundle,
    command,
    fuel_rows,
    grades_rows,
    write_csv,
    write_models,
)


@pytest.fixture(scope="session")
def attrition(tmp_path_factory: pytest.TempPathFactory) -> RealBundle:
    """The shipped example and all its employees."""
    work = tmp_path_factory.mktemp("attrition")
    models = Path("config/models.json").resolve()
    shutil.copy(models, work / "models.json")
    command(work, "-m", "training", "--models", "models.json")
    command(work, "-m", "bundling", "--models", "models.json", "--output", "bundles")
    population = write_population(work)
    bundle = work / "bundles" / "employee_attrition"
    return RealBundle("employee_attrition", bundle, population.normal, "EmployeeNumber")


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RealBundle]:
    """Two unlike models: a regression, and a PythonModel that returns a DataFrame."""
    work = tmp_path_factory.mktemp("foreign")
    command(work, foreign_models.__file__, "sqlite:///mlflow.db")
    made: dict[str, RealBundle] = {}
    for name, rows in (("fuel", fuel_rows(300)), ("grades", grades_rows(300))):
        models = write_models(work / f"{name}.json", name)
        command(work, "-m", "bundling", "--models", str(models), "--output", "bundles")
        records = write_csv(work / f"{name}.csv", rows)
        made[name] = RealBundle(name, work / "bundles" / name, records, "id")
    return made
