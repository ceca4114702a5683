"""API keys: the file, the changes it goes through while the server runs, and `trilane api-key`."""

import hashlib
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_api.access.api_keys import CHECK_SECONDS, ApiKeys
from online_api.access.caller import Caller
from online_api.access.key_file import MAX_FILE_BYTES, MAX_KEYS, read_api_keys
from online_api.access.new_key import new_key
from scoring.errors import ConfigurationError
from tests.support.identity import Clock

SCORER, ADMIN, STRANGER = b"trilane_scorer", b"trilane_admin", b"trilane_stranger"


def entry(key: bytes, name: str = "portal", *roles: str) -> dict[str, Any]:
    """An entry of the file."""
    digest = hashlib.sha256(key).hexdigest()
    return {"name": name, "sha256": digest, "roles": list(roles or ("score",))}


def write(path: Path, *entries: dict[str, Any]) -> Path:
    """A file, in one step: it is exchanged, as a mounted secret is."""
    aside = path.with_name("aside")
    aside.write_text(json.dumps({"keys": entries}))
    return aside.replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with two keys."""
    return write(tmp_path / "keys.json", entry(SCORER), entry(ADMIN, "operator", "admin", "score"))


def test_a_key_is_its_callers(path: Path) -> None:
    """Several are good at once; whatever is no key of the file is nobody's."""
    keys = ApiKeys(path, Clock().timer)
    assert keys.find(SCORER) == Caller("portal", frozenset({"score"}))
    assert keys.find(ADMIN) == Caller("operator", frozenset({"admin", "score"}))
    for other in (STRANGER, b"", SCORER[:-1], hashlib.sha256(SCORER).hexdigest().encode()):
        assert keys.find(other) is None


def test_a_caller_changes_over_from_one_key_to_the_next(path: Path) -> None:
    """Old, old and new, new: each step is a change of the file, and no restart."""
    clock = Clock()
    keys = ApiKeys(path, clock.timer)
    steps = [([SCORER], [STRANGER]), ([SCORER, STRANGER], []), ([STRANGER], [SCORER])]
    for good, bad in steps:
        write(path, *(entry(key) for key in good))
        clock.pass_seconds(CHECK_SECONDS)
        assert all(keys.find(key) == Caller("portal", frozenset({"score"})) for key in good)
        assert all(keys.find(key) is None for key in bad)


def test_the_file_is_looked_at_now_and_then(path: Path) -> None:
    """A change counts from the first request after two seconds on."""
    clock = Clock()
    keys = ApiKeys(path, clock.timer)
    write(path)
    clock.pass_seconds(CHECK_SECONDS - 0.1)
    assert keys.find(SCORER) is not None
    clock.pass_seconds(0.1)
    assert keys.find(SCORER) is None, "a file without keys withdraws them all"


def test_a_file_behind_a_link_is_followed(tmp_path: Path) -> None:
    """A mounted secret changes by a link to another directory, whatever the files' times are."""
    for name, key in (("new", STRANGER), ("old", SCORER)):
        (tmp_path / name).mkdir()
        os.utime(write(tmp_path / name / "keys.json", entry(key)), (0, 0))
    link = tmp_path / "data"
    link.symlink_to("old")
    clock = Clock()
    keys = ApiKeys(link / "keys.json", clock.timer)
    assert keys.find(SCORER)
    link.unlink()
    link.symlink_to("new")
    clock.pass_seconds(CHECK_SECONDS)
    assert keys.find(SCORER) is None
    assert keys.find(STRANGER)


@pytest.mark.parametrize("content", ["", "{", '{"keys": [{}]}', '{"keys": {}}', None])
def test_a_bad_file_stops_the_start_and_later_changes_nothing(
    path: Path, content: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """The last good keys go on, one line says so, and a file that is good again is followed."""

    def spoil() -> None:
        if content is None:
            path.unlink()
        else:
            path.write_text(content)

    caplog.set_level(logging.INFO)
    clock = Clock()
    keys = ApiKeys(path, clock.timer)
    for _ in range(2):
        spoil()
        with pytest.raises(ConfigurationError, match=re.escape(str(path))):
            ApiKeys(path, clock.timer)
        for _ in range(3):
            clock.pass_seconds(CHECK_SECONDS)
            assert keys.find(SCORER)
        write(path, entry(SCORER), entry(STRANGER))
        clock.pass_seconds(CHECK_SECONDS)
        for _ in range(3):
            assert keys.find(STRANGER)
            clock.pass_seconds(CHECK_SECONDS)
    events = [vars(record)["event"] for record in caplog.records]
    assert events == ["api_keys_invalid", "api_keys_read"] * 2


def test_a_file_that_comes_back_is_missed_again(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each time it goes is one line, also when the very same file came back in between."""
    clock = Clock()
    keys = ApiKeys(path, clock.timer)
    for _ in range(2):
        aside = path.rename(path.with_name("aside"))
        for _ in range(2):
            clock.pass_seconds(CHECK_SECONDS)
            assert keys.find(SCORER)
        aside.rename(path)
        clock.pass_seconds(CHECK_SECONDS)
        assert keys.find(SCORER)
    assert [vars(record)["event"] for record in caplog.records] == ["api_keys_invalid"] * 2


SECRET = "trilane_in-the-wrong-place"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "Expected `object`, got `array`"),
        ({}, "missing required field `keys`"),
        ({"keys": [{"name": "a"}]}, r"missing required field `sha256` - at `\$.keys\[0\]`"),
        ({"keys": [entry(b"a"), entry(b"b") | {"sha256": SECRET}]}, r"`\$.keys\[1\].sha256`"),
        ({"keys": [entry(b"a") | {"roles": [SECRET]}]}, r"not allowed - at `\$.keys\[0\].roles"),
        ({"keys": [entry(b"a") | {"roles": []}]}, r"length >= 1 - at `\$.keys\[0\].roles`"),
        ({"keys": [entry(b"a") | {"name": f"{SECRET}\n"}]}, r"at `\$.keys\[0\].name`"),
        ({"keys": [entry(b"a") | {SECRET: 1}]}, r"member that is not known - at `\$.keys\[0\]`"),
        ({"keys": [], SECRET: 1}, "has a member that is not known"),
        ({"keys": {SECRET: entry(b"a")}}, r"Expected `array`, got `object` - at `\$.keys`"),
        ({"keys": [entry(b"a"), entry(b"a", "other")]}, "may stand in the file only once"),
        ({"keys": [entry(b"%d" % i) for i in range(MAX_KEYS + 1)]}, f"length <= {MAX_KEYS}"),
    ],
)
def test_a_broken_rule_is_named_with_its_place(path: Path, document: Any, words: str) -> None:
    """And nothing that the file says is repeated: it might be a key in the wrong place."""
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigurationError, match=words) as caught:
        read_api_keys(path)
    assert str(path) in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("content", [b"{", b'"\xff"', b"\xff", b"[" * 100_000, b""])
def test_what_is_no_json_is_said(path: Path, content: bytes) -> None:
    """And so is a file that is too large, before it is decoded."""
    path.write_bytes(content)
    with pytest.raises(ConfigurationError):
        read_api_keys(path)
    path.write_bytes(b" " * (MAX_FILE_BYTES + 1))
    with pytest.raises(ConfigurationError, match="no larger than"):
        read_api_keys(path)


@given(st.binary(min_size=32, max_size=32))
def test_a_new_key_fits_both_headers_and_is_no_token(random: bytes) -> None:
    """Letters, digits, - and _: it needs no quoting anywhere, and has no dots."""
    key, stored = new_key(random, "portal", "score")
    assert re.fullmatch(r"trilane_[A-Za-z0-9_-]{43}", key)
    assert stored.sha256 == hashlib.sha256(key.encode()).hexdigest()


def test_the_command_prints_a_key_and_the_entry_that_knows_it(tmp_path: Path) -> None:
    """The entry, put into a file as it is printed, lets the printed key in. No two are alike."""
    seen = set()
    for _ in range(2):
        command = [sys.executable, "-m", "online_api.access.new_key"]
        arguments = ["--name", "hr-portal", "--role", "admin"]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
        out = done.stdout
        [key] = re.findall(r"^  (trilane_\S+)$", out, re.MULTILINE)
        [stored] = re.findall(r"^  (\{.*\})$", out, re.MULTILINE)
        assert out.count(key) == 1
        assert done.stderr == ""
        path = write(tmp_path / "keys.json", json.loads(stored))
        found = ApiKeys(path, Clock().timer).find(key.encode())
        assert found == Caller("hr-portal", frozenset({"admin"}))
        seen.add(key)
    assert len(seen) == 2
