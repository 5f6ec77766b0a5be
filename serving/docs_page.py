"""Swagger UI at /v1/docs, from the copy of it that BentoML carries."""

from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from serving.problems import from_status

PACKAGE, FOLDER = "bentoml._internal.server", "static_content"
FILES = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "favicon-light-32x32.png": "image/png",
}
START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  validatorUrl: null,
  requestInterceptor: (request) => {
    const key = sessionStorage.getItem("infobridge-key");
    if (key) request.headers["X-API-Key"] = key;
    return request;
  },
});
"""
"""A key that was entered on the page at `/` serves here too."""
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>InfoBridge: the interface</title>
<link rel="icon" href="docs/favicon-light-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</html>
"""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


async def page(request: Request) -> Response:
    """The page itself."""
    del request
    return HTMLResponse(PAGE, headers=HEADERS)


async def file(request: Request) -> Response:
    """What the page loads.

    Raises:
        ProblemError: 404, there is no such file.
    """
    name = request.path_params["name"]
    if name == "start.js":
        return Response(START, headers={**HEADERS, "Content-Type": "text/javascript; charset=utf-8"})
    if name not in FILES:
        raise from_status(404)
    return Response(_read(name), headers={**HEADERS, "Content-Type": FILES[name], "Cache-Control": "max-age=86400"})


@cache
def _read(name: str) -> bytes:
    return (files(PACKAGE) / FOLDER / name).read_bytes()
