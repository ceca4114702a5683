"""The page that shows the AsyncAPI document."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest

from scoring.model import ModelBundle
from scoring.schema import Schema
from stream_worker.asyncapi import asyncapi_page
from stream_worker.asyncapi.html import element
from stream_worker.asyncapi.markdown import from_markdown
from tests.support.asyncapi import HUBS, Document, document_of, example
from tests.support.reasons import explained
from tests.support.toy import load_toy

HOSTILE = "<script>alert('x')</script> & \"quoted\" `code`"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


class Reader(HTMLParser):
    """What a browser makes of a page: elements, ids, links, blocks to copy, words."""

    def __init__(self, document: Document) -> None:
        super().__init__()
        self.names: list[str] = []
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.links: list[str] = []
        self.blocks: list[str] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(asyncapi_page(document).decode())
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """An element begins."""
        self.names.append(tag)
        if tag not in ("meta", "link"):
            self._open.append(tag)
        if tag == "pre":
            self.blocks.append("")
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name == "href" and tag == "a":
                self.links.append(value)
            elif name in ("src", "href", "action", "style") or name.startswith("on"):
                self.loads.append(value)

    def handle_endtag(self, tag: str) -> None:
        """An element ends; the one that began last."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Text."""
        if "style" in self._open:
            return
        self.words += f"{data} "
        if "pre" in self._open:
            self.blocks[-1] += data


def test_the_page_needs_nothing_else(toy: ModelBundle) -> None:
    """No script, and nothing that is loaded but an empty icon; links lead to what is there."""
    read = Reader(document_of(explained(toy), replace(HUBS, reasons=2)))
    assert {"Score.reasons[].feature", "Score.model.name"} <= set(map(unquote, read.ids))
    assert "script" not in read.names
    assert read.loads == ["data:,"]
    assert len(read.ids) == len(set(read.ids))
    assert {link for link in read.links if not link.startswith("#")} == {"asyncapi.json"}
    assert {link[1:] for link in read.links if link.startswith("#")} <= set(read.ids)


def test_everything_is_on_the_page(toy: ModelBundle) -> None:
    """Hubs, every field with its words, examples to copy, and the command."""
    document = document_of(toy, replace(HUBS, sign_in="connection_string"))
    read = Reader(document)
    for channel in document["channels"].values():
        assert channel["address"] in read.words
    for name, schema in document["components"]["schemas"].items():
        for field, piece in schema["properties"].items():
            assert f"{name}.{field}" in map(unquote, read.ids)
            for word in piece.get("description", "").replace("`", " ").replace("- ", " ").split():
                assert word in read.words
    shown = [json.loads(block) for block in read.blocks if block.startswith("{")]
    names = ("Event", "BinaryEvent", "Score", "DeadLetter")
    assert shown == [example(document, name)["payload"] for name in names]
    (command,) = [block for block in read.blocks if block.startswith("trilane publish")]
    assert "--bootstrap-servers 127.0.0.1:9092" in command
    assert "TRILANE_EVENT_HUBS_CONNECTION_STRING" in read.words
    assert "127.0.0.1:9092" in read.words


def test_everything_is_escaped(toy: ModelBundle) -> None:
    """Names of models, hubs, servers and fields, and the values of an example."""
    columns = [{"name": HOSTILE, "type": "string"}]
    manifest = msgspec.structs.replace(toy.manifest, name=HOSTILE, version=HOSTILE)
    schema = Schema.from_signature(columns, [f"{HOSTILE} too"], {HOSTILE: HOSTILE})
    model = replace(toy, manifest=manifest, schema=schema)
    hubs = replace(
        HUBS, events=HOSTILE, scores=HOSTILE, dead_letters=HOSTILE, servers=(HOSTILE,),
        consumer_group=HOSTILE,
    )  # fmt: skip
    document = document_of(model, hubs)
    read = Reader(document)
    assert "script" not in read.names
    assert read.loads == ["data:,"]
    assert f"Record.{HOSTILE}" in map(unquote, read.ids)
    assert HOSTILE in read.words
    assert {link[1:] for link in read.links if link.startswith("#")} <= set(read.ids)
    shown = [json.loads(block) for block in read.blocks if block.startswith("{")]
    assert example(document, "Event")["payload"] in shown


def test_a_document_without_examples_and_servers_is_a_page(toy: ModelBundle) -> None:
    """As one of a model that has no example."""
    schema = replace(toy.schema, example=None)
    read = Reader(document_of(replace(toy, schema=schema), replace(HUBS, servers=())))
    (command,) = read.blocks
    assert "HOST:PORT" in command


def test_descriptions_are_markdown() -> None:
    """Paragraphs, lists, words of code and blocks; a block is as it was."""
    text = "One `a<b`.\n\nTwo:\n\n- x\n- `y`: z\n\n```\nrun  <it>\n```"
    assert from_markdown(text) == (
        "<p>One <code>a&lt;b</code>.</p><p>Two:</p><ul><li>x</li><li><code>y</code>: z</li></ul>"
        '<pre tabindex="0" title="One click selects all"><code>run  &lt;it&gt;</code></pre>'
    )


def test_attributes_are_escaped() -> None:
    """Like text; names of attributes are written with an underscore for a hyphen."""
    made = element("p", "a & b", None, class_='"><b>', aria_label="c")
    assert made == '<p class="&quot;&gt;&lt;b&gt;" aria-label="c">a &amp; b</p>'
