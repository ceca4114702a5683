"""Scoring talks to nobody and leaves nothing behind."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.toy import make_bundle

_LOAD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from scoring.model_loader import load_model
load_model(Path(sys.argv[1]), datetime.now(UTC))
"""


def test_loading_a_compiled_bundle_writes_nothing_into_the_home_directory(tmp_path: Path) -> None:
    """ONNX Runtime's usage reports, which start with a device id on disk, are off."""
    bundle = make_bundle(tmp_path / "bundle", reference=0)
    home = tmp_path / "home"
    home.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "ORT_"))}
    subprocess.run(
        [sys.executable, "-c", _LOAD, str(bundle)],
        check=True,
        env=environment | {"HOME": str(home)},
    )
    assert list(home.rglob("*")) == []
