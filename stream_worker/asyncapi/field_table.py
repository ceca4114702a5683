"""JSON Schemas as tables: a row for each member, those of inner objects under their own paths."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from stream_worker.asyncapi.html import Markup, code, element, joined
from stream_worker.asyncapi.markdown import from_markdown

_FEW: Final = 8
"""So many values of an enumeration are shown at once; more can be unfolded."""

Schema = Mapping[str, Any]


class _Member(NamedTuple):
    path: str
    schema: Schema
    required: bool


def field_table(name: str, schema: Schema) -> Markup:
    """The members of an object; each row can be linked to as `#name.path`."""
    head = [element("th", text, scope="col") for text in ("Field", "Type", "Presence", "Meaning")]
    rows = [_row(name, member) for member in _members(schema)]
    table = element("table", element("thead", element("tr", *head)), element("tbody", *rows))
    return element("div", table, class_="wide", tabindex="0")


def referred(schema: Schema) -> list[str]:
    """Names of the schemas that an object's members refer to."""
    return [_name(member.schema) for member in _members(schema) if "$ref" in member.schema]


def _members(schema: Schema, prefix: str = "") -> Iterator[_Member]:
    needed = schema.get("required", [])
    for name, piece in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield _Member(path, piece, name in needed)
        yield from _members(piece, f"{path}.")
        yield from _members(piece.get("items", {}), f"{path}[].")


def _row(name: str, member: _Member) -> Markup:
    needed = "required" if member.required else "optional"
    return element(
        "tr",
        element("th", code(member.path), scope="row"),
        element("td", *_type(member.schema), class_="type"),
        element("td", element("span", needed, class_=needed)),
        element("td", *_meaning(member.schema)),
        id=quote(f"{name}.{member.path}"),
    )


def _type(schema: Schema) -> Iterator[str]:
    if "$ref" in schema:
        name = _name(schema)
        yield element("a", name, href=f"#schema-{quote(name)}")
        return
    kinds = schema.get("type", "any")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    yield " or ".join("list" if kind == "array" else kind for kind in kinds)
    detail = schema.get("format") or schema.get("contentEncoding")
    if detail:
        yield element("small", f" {detail}")


def _meaning(schema: Schema) -> Iterator[str | None]:
    if "description" in schema:
        yield from_markdown(schema["description"])
    if "const" in schema:
        yield element("p", "Always ", _json(schema["const"]), ".")
    values = schema.get("enum", [])
    if values and not _are_told(values, schema):
        yield _values(values)
    rules = _rules(schema)
    if rules:
        yield element("p", joined(*rules), class_="rules")


def _are_told(values: list[Any], schema: Schema) -> bool:
    return all(f"- `{value}`:" in schema.get("description", "") for value in values)


def _values(values: list[Any]) -> Markup:
    shown = [part for value in values for part in (", ", _json(value))][1:]
    if len(values) <= _FEW:
        return element("p", "One of ", *shown, ".")
    summary = element("summary", f"One of {len(values)} values")
    return element("details", summary, element("p", *shown))


def _rules(schema: Schema) -> list[str]:
    rules = [
        _range(schema, "minLength", "maxLength", "characters"),
        _range(schema, "minimum", "maximum", ""),
        _range(schema, "minItems", "maxItems", "items"),
    ]
    found: list[str] = [". ".join(rule for rule in rules if rule)]
    if "pattern" in schema:
        found += [". " if found[0] else "", "Pattern ", code(schema["pattern"])]
    return [part for part in found if part]


def _range(schema: Schema, least: str, most: str, unit: str) -> str:
    low, high = schema.get(least), schema.get(most)
    if low is None and high is None:
        return ""
    if low == high:
        text = f"{low:,}"
    elif high is None:
        text = f"{low:,} or more"
    else:
        text = f"at most {high:,}" if low is None else f"{low:,} to {high:,}"
    return f"{text} {unit}".strip().capitalize()


def _name(schema: Schema) -> str:
    name: str = schema["$ref"].rpartition("/")[2]
    return name


def _json(value: Any) -> Markup:
    return code(msgspec.json.encode(value).decode())
