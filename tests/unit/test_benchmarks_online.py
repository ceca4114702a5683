"""What turns measurements of the online API into figures, and the generator of its load."""

import asyncio
import json
from array import array
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.online.__main__ import SECTIONS, main
from benchmarks.online.bodies import as_open_inference
from benchmarks.online.connection import Answer, AnswerReader
from benchmarks.online.empty_endpoint import create_app
from benchmarks.online.figures import Sample, median_ratio, percentile, seconds_to_recover
from benchmarks.online.generator import Offering
from benchmarks.online.logged import Found, count, identifiers
from benchmarks.online.ours import entries_by_outcome
from benchmarks.online.plan import Phase, PhaseReport, Plan, with_answers
from benchmarks.online.report import Bar, at_least, at_most, duration, missed, none_of, within
from benchmarks.online.servers import BenchError
from benchmarks.online.wrk import Load, Rounds, read_output
from scoring.manifest import ColumnSpec
from tests.support.toy import load_toy

ROOT = Path(__file__).parents[2]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"
SHED = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Length: 4\r\n\r\nbusy"
)
SHED_BARE = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n"
NO_ANSWER = b"SSH-2.0\r\n\r\n"


def test_percentile_is_a_value_that_was_seen() -> None:
    """Nearest rank: of a hundred values p99 is the last but one, of few the last."""
    values = [float(i) for i in range(100, 0, -1)]
    assert percentile(values, 0.99) == 99.0
    assert percentile(values, 0.5) == 50.0
    assert percentile([3.0, 1.0], 0.99) == 3.0
    assert percentile([3.0], 0.0) == 3.0


def test_ratio_is_that_of_the_rounds() -> None:
    """A round in which the machine was slow is slow for both, and moves no ratio."""
    assert median_ratio([100.0, 10.0, 100.0], [50.0, 5.0, 40.0]) == 2.0


def test_recovery_begins_where_the_tail_is_short_and_nothing_is_refused() -> None:
    """Slow answers before 10.6, a refusal at 11.0: from the first window after that on."""
    slow = [Sample(10.0 + i / 100, 0.5) for i in range(60)]
    quick = [Sample(10.6 + i / 100, 0.01) for i in range(200)]
    assert seconds_to_recover([*slow, *quick], 10.0, None, 0.1) == pytest.approx(0.6)
    assert seconds_to_recover([*slow, *quick], 10.0, 11.0, 0.1) == pytest.approx(1.1)
    assert seconds_to_recover(slow, 10.0, None, 0.1) is None
    assert seconds_to_recover([], 10.0, None, 0.1) is None


def test_wrk_output_counts_accepted_requests_only() -> None:
    """Refusals are quick, and no throughput."""
    said = {"requests": 1000, "microseconds": 2_000_000, "p50": 1500, "p99": 9000}
    text = f"Running 2s test @ http://x\n  8 connections\n\n{json.dumps(said | _errors(200, 1))}\n"
    assert read_output(text) == Load(400.0, 0.0015, 0.009, 200, 1)


def _errors(refused: int, broken: int) -> dict[str, int]:
    return {"refused": refused, "broken": broken}


def test_rounds_compare_neighbours() -> None:
    """Speeds are medians; ratios are medians of the rounds' ratios."""
    rounds = Rounds(
        {
            "ours": [Load(speed, 0.001, 0.004, 0, 0) for speed in (300.0, 30.0, 200.0)],
            "other": [Load(speed, 0.001, 0.002, 0, 0) for speed in (100.0, 10.0, 100.0)],
        }
    )
    assert rounds.speed("ours") == 200.0
    assert rounds.faster("ours", "other") == 3.0
    assert rounds.slower_tail("ours", "other") == 2.0
    assert rounds.p99("other") == 0.002


def test_bars_say_whether_they_are_met() -> None:
    """A row without a promise is never missed."""
    bars = [
        at_least("a", 0.99, "", 1.0),
        at_least("b", 1.0, "2 and 2 /s", 1.0),
        at_most("c", 2.01, "", 2.0),
        within("d", None, 2.0),
        within("e", 2.0, 2.0),
        none_of("f", 1),
        none_of("g", 0),
        Bar("h", "skipped", "not installed"),
    ]
    assert [bar.met for bar in bars] == [False, True, False, False, True, False, True, None]
    assert missed(bars) == 4
    assert bars[1].row == "| b | 1.00 x (2 and 2 /s) | at least 1 x | PASS |"
    assert bars[7].row == "| h | skipped | not installed |  |"


def test_durations_have_a_unit_that_fits() -> None:
    """Three digits each."""
    assert [duration(s) for s in (0.00012, 0.0123, 5.1)] == ["120 µs", "12.3 ms", "5.1 s"]


def test_an_answer_may_come_in_pieces() -> None:
    """Nothing is known before the last byte; the next answer starts afresh."""
    reader = AnswerReader()
    for answer in (SHED, OK):
        pieces = [answer[i : i + 7] for i in range(0, len(answer), 7)]
        found = [reader.feed(piece) for piece in pieces]
        assert found[:-1] == [None] * (len(pieces) - 1)
        assert found[-1] is not None
        assert found[-1].status == int(answer[9:12])
    assert AnswerReader().feed(SHED) == Answer(503, retry_after=True, last=True)
    assert AnswerReader().feed(SHED_BARE) == Answer(429, retry_after=False, last=False)
    with pytest.raises(ValueError, match="no HTTP"):
        AnswerReader().feed(NO_ANSWER)


def test_entries_are_counted_by_outcome() -> None:
    """Over all models; other families, comments and creation times do not count."""
    name = "trilane_inference_log_entries"
    text = "\n".join(
        [
            f"# HELP {name}_total Inference log entries, by outcome.",
            f'{name}_total{{lane="online",model="a",outcome="accepted",version="1"}} 7.0',
            f'{name}_total{{lane="online",model="b",outcome="accepted",version="1"}} 1.2e+06',
            f'{name}_total{{lane="online",model="a",outcome="written",version="1"}} 5.0',
            f'{name}_created{{lane="online",model="a",outcome="written",version="1"}} 1.7e+09',
            'trilane_records_total{outcome="accepted"} 3.0',
        ]
    )
    assert entries_by_outcome(text) == {"accepted": 1_200_007, "written": 5}


def test_answered_requests_are_looked_up_in_the_log() -> None:
    """Entries of requests that were not answered do not count; repeated ones are told."""
    answered = identifiers("a-", [0, 1, 2])
    assert answered[2] == "a-0000000002"
    entries = Counter({"x-0": 2, "y-0": 1, "z-0": 3})
    found = count({"a-0000000000", "a-0000000002", "b-0000000001"}, entries, answered)
    assert found == Found(answered=3, found=2, repeated=3)
    assert found.missing == 1


def test_open_inference_has_a_tensor_per_column() -> None:
    """In the signature's order, text as bytes that are read as text."""
    inputs = [ColumnSpec("n", "long"), ColumnSpec("s", "string")]
    body = json.loads(as_open_inference([{"s": "a", "n": 1}, {"s": "b", "n": 2}], inputs))
    assert body["parameters"] == {"content_type": "pd"}
    number, text = body["inputs"]
    assert number == {"name": "n", "shape": [2], "datatype": "INT64", "data": [1, 2]}
    assert (text["datatype"], text["data"]) == ("BYTES", ["a", "b"])
    assert text["parameters"] == {"content_type": "str"}


def test_the_empty_endpoint_takes_the_models_fields(tmp_path: Path) -> None:
    """A list of records, every field of the signature with its type."""
    load_toy(tmp_path / "bundle")
    document = create_app(tmp_path / "bundle").openapi()
    fields = document["components"]["schemas"]["Record"]["properties"]
    assert {name: field["type"] for name, field in fields.items()} == {
        "x": "number", "n": "integer", "flag": "boolean", "name": "string",
    }  # fmt: skip
    schema = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert schema["schema"]["type"] == "array"


async def _offered(
    answers: list[bytes], phases: list[Phase], connections: int, wait: float = 0.0
) -> PhaseReport:
    """The first phase's report from a server that gives these answers in turn, over and over, each
    after a while; it closes the connection after one that says so, or that is empty.
    """
    given = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal given
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                seen.append(head)
                await reader.readexactly(len(body))
                answer = answers[given % len(answers)]
                given += 1
                await asyncio.sleep(wait)
                writer.write(answer)
                await writer.drain()
                if not answer or b"close" in answer:
                    break
        except (asyncio.IncompleteReadError, ConnectionResetError):
            pass
        finally:
            writer.close()

    seen: list[bytes] = []
    body = b"[{}]"
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        plan = Plan([port], "/predict", {"X-API-Key": "k"}, body, phases, connections, "t-")
        reports = await Offering(plan).run()
    assert seen[0].startswith(b"POST /predict HTTP/1.1\r\n")
    assert b"X-API-Key: k\r\n" in seen[0]
    assert b"X-Request-ID: t-0000000000\r\n" in seen[0]
    return reports[0]


async def test_the_generator_tells_accepted_shed_and_lost_apart() -> None:
    """Connections that the server closes are opened again, and every request has one end."""
    report = await _offered([OK, SHED, SHED_BARE, b""], [Phase(0.3)], 1)
    assert len(report.accepted) == len(report.times) > 0
    assert report.refused[503] > 0
    assert report.without_retry_after == report.refused[429] > 0
    assert report.shed == report.refused[503] + report.refused[429]
    assert sum(report.failed.values()) > 0
    assert report.sent == len(report.accepted) + sum(report.not_accepted.values())
    assert set(report.accepted) <= set(range(report.sent))


async def test_the_generator_offers_a_rate_and_no_more() -> None:
    """Whatever it is answered, no more is sent than was due."""
    report = await _offered([OK], [Phase(0.5, rate=100.0)], 4)
    assert 0 < report.sent + report.unsent <= 50
    assert report.not_accepted == ({"not sent": report.unsent} if report.unsent else {})


async def test_what_finds_no_connection_is_not_sent_later() -> None:
    """The only connection waits for its answer longer than the phase lasts."""
    report = await _offered([OK], [Phase(0.2, rate=100.0)], 1, wait=0.5)
    assert (report.sent, len(report.accepted)) == (1, 1)
    assert report.not_accepted == {"not sent": report.unsent}
    assert report.unsent > 0


def test_a_phase_without_answers_proves_nothing() -> None:
    """Otherwise a server that never answered would lose no entry."""
    answered = PhaseReport(numbers=array("Q", [3]).tobytes())
    assert with_answers([answered, answered]) == [answered, answered]
    with pytest.raises(BenchError, match="503 12, not sent 5"):
        with_answers([answered, PhaseReport(refused={503: 12}, unsent=5)])


def test_an_unknown_section_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is started."""
    with pytest.raises(SystemExit, match="2"):
        main(["nothing"])
    assert "nothing" in capsys.readouterr().err


def test_without_a_bundle_nothing_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says how to make one."""
    assert main(["kill", "--bundle", str(tmp_path)]) == 2
    assert "make demo" in capsys.readouterr().err


def test_every_section_is_documented() -> None:
    """The page has a heading's worth of words on each."""
    page = (ROOT / "docs" / "benchmarks-online.md").read_text(encoding="utf-8")
    assert all(f"## {title}" in page for title, _ in SECTIONS.values())
