"""The OpenAPI document of the online API."""

from online_api.openapi.document import build_openapi
from online_api.openapi.guards import Guards

__all__ = ["Guards", "build_openapi"]
