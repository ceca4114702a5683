"""Swagger UI and ReDoc from files of this installation. The pages need no other host."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from online_api.openapi.docs_assets import Asset, packaged, without_logo

Endpoint = Callable[[Request], Awaitable[Response]]

_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="UTF-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Online scoring</title>
    <link rel="icon" href="data:,">
    {style}
  </head>
  <body>
    <main id="docs"></main>
    <script src="assets/{bundle}"></script>
    <script src="assets/{start}"></script>
  </body>
</html>
"""
_SWAGGER: Final = _PAGE.format(
    style='<link rel="stylesheet" href="assets/swagger-ui.css">\n'
    '    <link rel="stylesheet" href="assets/page.css">',
    bundle="swagger-ui-bundle.js",
    start="start-swagger.js",
)
_REDOC: Final = _PAGE.format(
    style='<link rel="stylesheet" href="assets/page.css">',
    bundle="redoc.standalone.js",
    start="start-redoc.js",
)
# Without validatorUrl null the page would send the document to a public validator.
_START_SWAGGER: Final = b"""SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout"
});
"""
_START_REDOC: Final = b"""const letters = "system-ui, sans-serif";
const theme = {
  typography: {
    fontFamily: letters,
    headings: { fontFamily: letters },
    code: { fontFamily: "ui-monospace, monospace" }
  }
};
Redoc.init(
  "openapi.json",
  { hideDownloadButtons: false, jsonSamplesExpandLevel: 4, theme: theme },
  document.getElementById("docs")
);
"""
_STYLE: Final = b"""body { margin: 0; }
.swagger-ui .response-col_links { display: none; }
"""
# ReDoc searches in a worker that it makes of itself, and both pages style themselves.
_POLICY: Final = {
    "content-security-policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "worker-src blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-cache",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class DocsPage:
    """Both pages, the files they load, and the document they show."""

    def __init__(self, openapi: dict[str, Any]) -> None:
        self._openapi = msgspec.json.encode(openapi)

    def routes(self) -> dict[str, Endpoint]:
        """The endpoints by path."""
        script = "text/javascript"
        return {
            "/": self.swagger,
            "/docs": self.swagger,
            "/redoc": self.redoc,
            "/openapi.json": self.openapi,
            "/assets/swagger-ui.css": Asset("text/css", packaged("swagger-ui.css")).show,
            "/assets/swagger-ui-bundle.js": Asset(script, packaged("swagger-ui-bundle.js")).show,
            "/assets/redoc.standalone.js": Asset(
                script, without_logo(packaged("redoc.standalone.js"))
            ).show,
            "/assets/start-swagger.js": Asset(script, lambda: _START_SWAGGER).show,
            "/assets/start-redoc.js": Asset(script, lambda: _START_REDOC).show,
            "/assets/page.css": Asset("text/css", lambda: _STYLE).show,
        }

    async def swagger(self, _: Request) -> Response:
        """Swagger UI."""
        return HTMLResponse(_SWAGGER, headers=_POLICY)

    async def redoc(self, _: Request) -> Response:
        """ReDoc."""
        return HTMLResponse(_REDOC, headers=_POLICY)

    async def openapi(self, _: Request) -> Response:
        """The OpenAPI document."""
        headers = {"cache-control": "no-cache"}
        return Response(self._openapi, media_type="application/json", headers=headers)
