"""The public clients of both protocols, unmodified, against a real server."""

import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pandas as pd
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from online_api.protocols.mlflow_protocol import MLFLOW_VERSION
from tests.support.online import ROOT, SECRET, Server, open_server
from tests.support.protocols import mlflow_forms
from tests.support.toy import make_bundle, records

ROWS = records(50)
FRAME = pd.DataFrame(ROWS)
DOCS = (ROOT / "docs" / "protocols.md").read_text()
OUTPUTS = ["score", "label", "outlier", "outlier_score"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all."""
    bundle: Path = make_bundle(tmp_path_factory.mktemp("toy") / "bundle", reference=0)
    with open_server(bundle, tmp_path_factory.mktemp("server")) as opened:
        yield opened
        assert opened.stop() == 0


@pytest.fixture(scope="module")
def expected(server: Server) -> pd.DataFrame:
    """What `/predict` says of the records."""
    answer = httpx.post(f"{server.url}/predict", json=ROWS).raise_for_status()
    return pd.DataFrame(answer.json()["predictions"])[OUTPUTS]


@pytest.fixture(scope="module")
def mlflow_client(server: Server) -> Any:
    """MLflow's own client."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of its own types while it is imported
        from mlflow.pyfunc.scoring_server.client import ScoringServerClient
    url = urlsplit(server.url)
    return ScoringServerClient(url.hostname, url.port)


@pytest.fixture
def triton_client(server: Server) -> Iterator[triton.InferenceServerClient]:
    """NVIDIA's client of the Open Inference Protocol."""
    with triton.InferenceServerClient(urlsplit(server.url).netloc) as client:
        yield client


def test_mlflow_asks_whether_the_server_is_there(mlflow_client: Any) -> None:
    """Ping, version and waiting."""
    mlflow_client.ping()
    mlflow_client.wait_server_ready(timeout=5)
    assert mlflow_client.get_version() == MLFLOW_VERSION


def test_mlflow_scores_a_frame(mlflow_client: Any, expected: pd.DataFrame) -> None:
    """A frame goes in and one comes out, with the bits of `/predict`."""
    found = mlflow_client.invoke(FRAME).get_predictions()
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_mlflow_scores_every_form(mlflow_client: Any, expected: pd.DataFrame) -> None:
    """Lists, arrays, and JSON in each of the four forms."""
    forms: list[Any] = [json.dumps(form) for form in mlflow_forms(ROWS).values()]
    array = np.array([list(row.values()) for row in ROWS], dtype=object)
    for data in (*forms, ROWS, array):
        found = mlflow_client.invoke(data).get_predictions()
        pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_mlflow_sends_parameters(mlflow_client: Any) -> None:
    """Those that there are; for others the error names them and the client shows it."""
    assert len(mlflow_client.invoke(FRAME, params={"reasons": 0})["predictions"]) == 50
    with pytest.raises(Exception, match=r"error code 400.*no parameter 'temperature'"):
        mlflow_client.invoke(FRAME, params={"temperature": 0.5})


def test_mlflow_shows_what_is_wrong(mlflow_client: Any) -> None:
    """Field and rule, and not the value."""
    frame = FRAME.assign(name=SECRET).astype({"flag": object})
    frame.loc[3, "flag"] = SECRET
    with pytest.raises(Exception, match=r"records\[3\].flag.*must be a boolean") as caught:
        mlflow_client.invoke(frame)
    assert SECRET not in str(caught.value)


def triton_inputs(binary: bool) -> list[triton.InferInput]:
    """The records as a tensor per field, of the datatypes that the metadata names."""
    arrays = {
        "x": np.array([row["x"] for row in ROWS]),
        "n": np.array([row["n"] for row in ROWS]),
        "flag": np.array([row["flag"] for row in ROWS]),
        "name": np.array([row["name"] for row in ROWS], dtype=object),
    }
    datatypes = {"x": "FP64", "n": "INT64", "flag": "BOOL", "name": "BYTES"}
    found = []
    for name, values in arrays.items():
        one = triton.InferInput(name, list(values.shape), datatypes[name])
        found.append(one.set_data_from_numpy(values, binary_data=binary))
    return found


def frame_of(result: triton.InferResult, names: list[str]) -> pd.DataFrame:
    """The outputs as a frame, texts as text."""
    columns = {name: result.as_numpy(name) for name in names}
    texts = {
        name: [v.decode() if isinstance(v, bytes) else v for v in values]
        for name, values in columns.items()
        if values.dtype == object
    }
    return pd.DataFrame({**columns, **texts})


def test_triton_asks_what_there_is(triton_client: triton.InferenceServerClient) -> None:
    """Health, and what server and model say of themselves."""
    assert triton_client.is_server_live()
    assert triton_client.is_server_ready()
    assert triton_client.is_model_ready("toy")
    assert triton_client.is_model_ready("toy", "7")
    assert not triton_client.is_model_ready("toy", "8")
    assert not triton_client.is_model_ready("other")
    assert triton_client.get_server_metadata()["name"] == "trilane"
    metadata = triton_client.get_model_metadata("toy")
    assert [(one["name"], one["datatype"]) for one in metadata["inputs"]] == [
        ("x", "FP64"),
        ("n", "INT64"),
        ("flag", "BOOL"),
        ("name", "BYTES"),
    ]
    assert [one["name"] for one in metadata["outputs"]] == OUTPUTS


@pytest.mark.parametrize("binary", [True, False])
def test_triton_scores(
    triton_client: triton.InferenceServerClient, expected: pd.DataFrame, binary: bool
) -> None:
    """Tensors as bytes, which is how it sends and asks by itself, and as JSON."""
    result = triton_client.infer("toy", triton_inputs(binary), request_id="42")
    assert result.get_response()["id"] == "42"
    pd.testing.assert_frame_equal(frame_of(result, OUTPUTS), expected, check_exact=True)
    wanted = [
        triton.InferRequestedOutput("label", binary_data=not binary),
        triton.InferRequestedOutput("score", binary_data=binary),
    ]
    result = triton_client.infer("toy", triton_inputs(binary), "7", outputs=wanted)
    names = [output["name"] for output in result.get_response()["outputs"]]
    assert names == ["label", "score"]
    pd.testing.assert_frame_equal(frame_of(result, names), expected[names], check_exact=True)
    assert result.as_numpy("outlier") is None


def test_triton_scores_one_tensor_for_all_fields(
    triton_client: triton.InferenceServerClient, expected: pd.DataFrame
) -> None:
    """Text, of which the signature reads numbers."""
    cells = np.array([[str(value) for value in row.values()] for row in ROWS], dtype=object)
    for binary in (True, False):
        one = triton.InferInput("rows", list(cells.shape), "BYTES")
        one.set_data_from_numpy(cells, binary_data=binary)
        result = triton_client.infer("toy", [one])
        pd.testing.assert_frame_equal(frame_of(result, OUTPUTS), expected, check_exact=True)


def test_triton_shows_what_is_wrong(triton_client: triton.InferenceServerClient) -> None:
    """Its exception has our words, with the field and the rule and not the value."""
    inputs = [one for one in triton_inputs(True) if one.name() != "x"]
    bad = triton.InferInput("x", [50], "BYTES")
    bad.set_data_from_numpy(np.array([SECRET] * 50, dtype=object))
    with pytest.raises(InferenceServerException) as caught:
        triton_client.infer("toy", [*inputs, bad])
    assert caught.value.status() == "422"
    words = "50 of 50 records were rejected: records[0].x must be a number"
    assert caught.value.message() == words
    with pytest.raises(InferenceServerException, match="see GET /models"):
        triton_client.infer("other", inputs)
    with pytest.raises(InferenceServerException, match="no parameter 'priority'"):
        triton_client.infer("toy", inputs, priority=1)


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL))
def test_the_documented_clients_run(
    server: Server,
    mlflow_client: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    block: str,
) -> None:
    """As they stand in docs/protocols.md, on this server and its model."""
    (tmp_path / "employees.json").write_text(json.dumps(ROWS))
    monkeypatch.chdir(tmp_path)
    port = str(urlsplit(server.url).port)
    exec(block.replace("8080", port).replace("employee_attrition", "toy"), {})  # noqa: S102
    assert "0." in capsys.readouterr().out
