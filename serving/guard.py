"""An ASGI layer that asks for keys before anything of a request's body is read."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.journey import Journey
from serving.keys import Keys
from serving.problems import ProblemError, kind_of, problem, to_response

OPEN = ("/", "/livez", "/readyz", "/healthz", "/v1/docs")
OPEN_BELOW = ("/page/", "/v1/docs/")
ADMINISTRATION = ("/v1/models/reload",)
"""Paths that need an administrator's key to be posted to, and are closed where no key is configured."""


class Guard:
    """Lets pass who has a key, or asks for what is open to all."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI request."""
        try:
            self._check(scope)
        except ProblemError as error:
            Journey.of(scope).problem = kind_of(error)
            await to_response(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        """Let a request pass, or raise the problem: 401 without a right key, 403 with one of no use."""
        path = scope["path"]
        administration = scope["method"] == "POST" and path in ADMINISTRATION
        if not self._keys.required:
            if administration:
                raise problem("forbidden", "this needs an administrator's key, and the server has no key file")
            return
        if path in OPEN or path.startswith(OPEN_BELOW):
            return
        headers = Headers(scope=scope)
        given = headers.get("x-api-key") or _bearer(headers.get("authorization", ""))
        key = self._keys.find(given) if given else None
        if key is None:
            raise problem(
                "unauthorized",
                "this server asks for an API key",
                expected="a key in the header Authorization (Bearer …) or X-API-Key",
                received="a key that is not known" if given else "no key",
            )
        if administration and not key.admin:
            raise problem("forbidden", "this needs an administrator's key", expected="an administrator's key")


def _bearer(header: str) -> str:
    scheme, _, credentials = header.partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else ""
