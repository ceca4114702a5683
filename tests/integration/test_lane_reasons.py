"""Reasons on request in three real processes: the same features and bits in every lane."""

import json
import urllib.request
from pathlib import Path

from local_stack.broker import run_broker
from local_stack.lanes import Lanes, free_ports, largest_difference
from local_stack.population import read_records
from local_stack.processes import LocalProcesses
from scoring.bundle_schema import describe_bundle
from tests.support.bundles import write_csv
from tests.support.reasons import add_sampling
from tests.support.toy import NOW, make_bundle, records

WHEN = NOW.isoformat()


def test_every_lane_gives_the_same_reasons(tmp_path: Path) -> None:
    """One by one and in groups, from events and from a file; and each lane says how it explains."""
    bundle = add_sampling(make_bundle(tmp_path / "bundle", reference=0))
    rows = [{"id": f"r{i}", **row} for i, row in enumerate(records(60))]
    file = write_csv(tmp_path / "rows.csv", rows)
    wanted = read_records(file, describe_bundle(bundle).schema, "id")
    with LocalProcesses(tmp_path / "logs") as processes, run_broker() as broker:
        ports = free_ports()
        lanes = Lanes(processes, bundle, tmp_path, broker, ports, "id", reasons=3)
        lanes.start()
        single = lanes.online(wanted, 1, WHEN).predictions
        grouped = lanes.online(wanted, 37, WHEN).predictions
        lanes.publish(file, WHEN)
        stream, dead_letters = lanes.stream(len(rows))
        batch, manifest = lanes.batch(file, "test", WHEN)
        for port in ports.values():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/model") as answer:
                told = json.load(answer)["reasons"]
            assert (told["available"], told["method"]) == (True, "sampling")
    assert (len(single), dead_letters, manifest["reasons"]) == (60, [], 3)
    assert {len(prediction["reasons"]) for prediction in single.values()} == {3}
    assert largest_difference([single, grouped, stream, batch]) == 0
