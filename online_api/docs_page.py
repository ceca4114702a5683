"""`GET /`: Swagger UI from files of this installation. The page needs no other host."""

from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

STYLE: Final = "/assets/swagger-ui.css"
BUNDLE: Final = "/assets/swagger-ui-bundle.js"
START: Final = "/assets/start.js"

_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="UTF-8">
    <title>Online API</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="assets/swagger-ui.css">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="assets/swagger-ui-bundle.js"></script>
    <script src="assets/start.js"></script>
  </body>
</html>
"""
# Without validatorUrl null the page would send the document to a public validator.
_START: Final = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout"
});
"""
_POLICY: Final = {
    "content-security-policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "frame-ancestors 'none'"
    )
}


class DocsPage:
    """The page, the three files it loads, and the document it shows."""

    def __init__(self, openapi: dict[str, Any]) -> None:
        from importlib.resources import files

        self._openapi = msgspec.json.encode(openapi)
        self._files = Path(str(files("fastapi_offline"))) / "static"

    def routes(self):
        return {"/": self.page, "/openapi.json": self.openapi, STYLE: self.style, BUNDLE: self.bundle, START: self.start}

    async def page(self, _: Request) -> Response:
        """The HTML."""
        return HTMLResponse(_PAGE, headers=_POLICY)

    async def openapi(self, _: Request) -> Response:
        """The OpenAPI document."""
        return Response(self._openapi, media_type="application/json")

    async def style(self, _: Request) -> Response:
        """Swagger UI's style sheet."""
        return FileResponse(self._files / "swagger-ui.css", media_type="text/css")

    async def bundle(self, _: Request) -> Response:
        """Swagger UI."""
        return FileResponse(self._files / "swagger-ui-bundle.js", media_type="text/javascript")

    async def start(self, _: Request) -> Response:
        """What starts Swagger UI on this API's document."""
        return Response(_START, media_type="text/javascript")
