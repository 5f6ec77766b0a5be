"""The page at `/` and its files, read once from this package, sent with a policy that forbids everything else."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

FOLDER = Path(__file__).parent / "page"
START = "index.html"
"""The file behind `/`; its links are relative, so that a proxy may put the service below a path of its own."""
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Nothing inline, nothing from elsewhere, in no frame; pictures and clips that were chosen are shown from memory."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True)
class PageFile:
    """A file as it is sent."""

    content: bytes
    media_type: str
    tag: str
    """Its entity tag, quoted."""


def read_files(folder: Path) -> dict[str, PageFile]:
    """Every file of the folder by name; this table is all that can ever be asked for."""
    found: dict[str, PageFile] = {}
    for path in sorted(folder.iterdir()):
        assert path.suffix in MEDIA_TYPES, f"no media type is known for {path.name}"
        content = path.read_bytes()
        found[path.name] = PageFile(content, MEDIA_TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')
    return found


FILES = read_files(FOLDER)


async def start(request: Request) -> Response:
    """The page itself."""
    return _send(request, FILES[START])


async def part(request: Request) -> Response:
    """A file that the page asks for.

    Raises:
        HTTPException: 404, the page has no such file.
    """
    name = request.path_params["name"]
    if name not in FILES or name == START:
        raise HTTPException(404)
    return _send(request, FILES[name])


def _send(request: Request, file: PageFile) -> Response:
    headers = {**HEADERS, "ETag": file.tag}
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if file.tag in known or known == ["*"]:
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.media_type)
