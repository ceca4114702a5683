"""The document as one page of HTML: no script, no other file, no network."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from stream_worker.asyncapi.field_table import field_table, referred
from stream_worker.asyncapi.html import Markup, block, code, element, joined
from stream_worker.asyncapi.markdown import from_markdown, inline
from stream_worker.asyncapi.style import STYLE

Document = Mapping[str, Any]


def asyncapi_page(document: Document) -> bytes:
    """The page; `document` is what `asyncapi_document` makes. Everything in it is escaped."""
    title = document["info"]["title"]
    head = element(
        "head",
        element("meta", charset="UTF-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("link", rel="icon", href="data:,"),
        element("style", Markup(STYLE)),
    )
    body = element("body", element("div", _contents(document), _main(document), class_="page"))
    page = joined(Markup("<!DOCTYPE html>\n"), element("html", head, body, lang="en"))
    return page.encode()


def _contents(document: Document) -> Markup:
    items = [_item("top", "Overview"), _item("servers", "Servers")]
    for name, operation in document["operations"].items():
        inner = [
            _item(f"message-{key}", message["title"])
            for key, message in _messages(document, operation)
        ]
        items.append(_item(name, operation["title"], element("ul", *inner)))
    return element("nav", element("ul", *items), aria_label="Contents")


def _item(anchor: str, text: str, inner: Markup | None = None) -> Markup:
    return element("li", element("a", text, href=f"#{quote(anchor)}"), inner)


def _main(document: Document) -> Markup:
    info = document["info"]
    raw = element("a", "asyncapi.json", href="asyncapi.json")
    return element(
        "main",
        element("h1", info["title"], id="top"),
        element("p", f"Model version {info['version']} · AsyncAPI {document['asyncapi']} · ", raw,
                class_="version"),
        _flow(document),
        from_markdown(info["description"]),
        *_servers(document),
        *[part for name in document["operations"] for part in _operation(document, name)],
        element("footer", "Made by the worker from the model it scores with. For machines: ", raw),
    )  # fmt: skip


def _flow(document: Document) -> Markup:
    hubs = {"receive": Markup(), "send": Markup()}
    for operation in document["operations"].values():
        channel = _found(document, operation["channel"])
        box = element("div", code(channel["address"]), element("small", channel["description"]))
        hubs[operation["action"]] = joined(hubs[operation["action"]], box)
    arrow = element("span", "→", class_="arrow", aria_hidden="true")
    worker = element("div", "Stream worker", element("small", "one answer to each event"))
    answers = element("div", hubs["send"], class_="answers")
    return element("div", hubs["receive"], arrow, worker, arrow, answers, class_="flow")


def _servers(document: Document) -> Iterator[Markup]:
    yield _heading("h2", "servers", "Servers")
    for server in document.get("servers", {}).values():
        told = {"Host": code(server["host"]), "Protocol": code(server["protocol"])}
        for scheme in server.get("security", []):
            found = _found(document, scheme)
            told["Sign-in"] = joined(code(found["type"]), " ", inline(found["description"]))
        yield _told(told)


def _operation(document: Document, name: str) -> Iterator[Markup]:
    operation = document["operations"][name]
    channel = _found(document, operation["channel"])
    action = operation["action"]
    yield _heading("h2", name, operation["title"])
    badge = element("span", action, class_=f"badge {action}")
    yield element("p", badge, " ", operation["summary"])
    yield _told({"Hub": code(channel["address"]), "Operation": code(name)})
    yield from_markdown(operation["description"])
    for key, message in _messages(document, operation):
        yield from _message(document, key, message)


def _message(document: Document, key: str, message: Mapping[str, Any]) -> Iterator[Markup]:
    yield _heading("h3", f"message-{key}", message["title"])
    yield from_markdown(message["description"])
    told = {"Content type": code(message["contentType"])}
    binding = message.get("bindings", {}).get("kafka")
    if binding is not None:
        told["Key"] = inline(binding["key"]["description"])
    yield _told(told)
    if "headers" in message:
        yield _heading("h4", f"headers-{key}", "Headers")
        yield field_table(f"{key}.headers", message["headers"])
    yield from _payload(document, message["payload"]["$ref"].rpartition("/")[2], key)
    for example in message.get("examples", []):
        yield _heading("h4", f"example-{key}", "Example")
        if "headers" in example:
            yield block("\n".join(f"{name}: {text}" for name, text in example["headers"].items()))
        yield block(msgspec.json.format(msgspec.json.encode(example["payload"]), indent=2).decode())


def _payload(document: Document, name: str, key: str) -> Iterator[Markup]:
    """The schema and those it refers to; one that another message shows too is linked to."""
    if name in _shown_before(document, key):
        link = element("a", name, href=f"#schema-{quote(name)}")
        yield element("p", "The payload is a ", link, ", as above.")
        return
    schema = document["components"]["schemas"][name]
    yield _heading("h4", f"schema-{name}", name)
    yield field_table(name, schema)
    for inner in referred(schema):
        yield from _payload(document, inner, key)


def _shown_before(document: Document, key: str) -> set[str]:
    """Names of the schemas that the messages before this one show."""
    shown: set[str] = set()
    for name, message in document["components"]["messages"].items():
        if name == key:
            break
        schema = message["payload"]["$ref"].rpartition("/")[2]
        shown |= {schema, *referred(document["components"]["schemas"][schema])}
    return shown


def _messages(
    document: Document, operation: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for reference in operation["messages"]:
        yield reference["$ref"].rpartition("/")[2], _found(document, reference)


def _found(document: Document, reference: Mapping[str, Any]) -> Any:
    """What a reference leads to, at the end of the chain."""
    found: Any = document
    for part in reference["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return _found(document, found) if "$ref" in found else found


def _told(facts: Mapping[str, Markup]) -> Markup:
    pairs = [joined(element("dt", name), element("dd", fact)) for name, fact in facts.items()]
    return element("dl", *pairs)


def _heading(level: str, anchor: str, text: str) -> Markup:
    return element(level, element("a", text, href=f"#{quote(anchor)}"), id=quote(anchor))
