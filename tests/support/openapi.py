"""Reading the OpenAPI document in tests."""

from typing import Any


def resolved(document: dict[str, Any], name: str) -> dict[str, Any]:
    """A schema of the document with its references put in place, for a JSON Schema validator."""

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return walk(document["components"]["schemas"][value["$ref"].rpartition("/")[2]])
            return {key: walk(item) for key, item in value.items()}
        return [walk(item) for item in value] if isinstance(value, list) else value

    found = walk(document["components"]["schemas"][name])
    assert isinstance(found, dict)
    return found
