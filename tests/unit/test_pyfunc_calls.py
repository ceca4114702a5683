"""What a registered model may do while it is called, and what of it reaches a lane: nothing."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from scoring.backends.pyfunc import PyfuncBackend
from scoring.errors import ModelError
from scoring.schema import Schema
from scoring.validation import validate_rows

SCHEMA = Schema.from_signature([{"name": "x", "type": "double"}])
THREADS = """
import json, sys
from pathlib import Path
from scoring.backends.pyfunc import open_pyfunc
from threadpoolctl import threadpool_info
open_pyfunc(Path(sys.argv[1]))
print(json.dumps({pool["prefix"]: pool["num_threads"] for pool in threadpool_info()}))
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that exits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own, of its imports and of models from source
        import mlflow
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec
        from mlflow.types import Schema as Columns

        directory = tmp_path_factory.mktemp("exit") / "model"
        source = Path(__file__).parents[1] / "support" / "exit_model.py"
        signature = ModelSignature(Columns([ColSpec("double", "x")]))
        mlflow.pyfunc.save_model(directory, python_model=str(source), signature=signature)
    return directory


def test_a_model_that_exits_fails_on_that_record(saved: Path) -> None:
    """And ends neither the lane nor the packaging; its warnings, which quote values, are unseen."""
    backend = PyfuncBackend(saved, SCHEMA, ["prediction"])
    batch = validate_rows(SCHEMA, [{"x": 1.5}, {"x": -1.5}], ["a", "b"]).batch
    assert backend.compute(batch.slice(0, 1))["prediction"].tolist() == [1.5]
    with pytest.raises(ModelError, match="SystemExit") as caught:
        backend.compute(batch)
    assert "1.5" not in str(caught.value)


def test_numerical_libraries_use_one_thread(saved: Path) -> None:
    """Also those that were loaded before the model was: else its bits depend on the processors."""
    command = [sys.executable, "-W", "ignore", "-c", THREADS, str(saved)]
    # As a lane is started: this process may have a variable for it by now.
    plain = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=plain)
    pools = json.loads(done.stdout)
    assert pools
    assert set(pools.values()) == {1}
