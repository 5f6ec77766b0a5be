"""A bare Starlette on the same ONNX session: `python -m benchmarks.peers.starlette_bare BUNDLE --port 3001`.

As its documentation shows: `request.form()`, the model in `run_in_threadpool`, a JSONResponse. No limits, no checks, no
batching, no queue. Without uvicorn's access log, which would only slow it.
"""

from dataclasses import asdict

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from benchmarks.peers import command
from bundle.modalities import Payload
from bundle.predictor import Predictor


def application(predictor: Predictor) -> Starlette:
    """One route."""

    async def predict(request: Request) -> JSONResponse:
        async with request.form() as form:
            sample: dict[str, Payload] = {}
            for name, value in form.items():
                sample[name] = await value.read() if isinstance(value, UploadFile) else value
        (prediction,) = await run_in_threadpool(predictor.predict, [sample])
        return JSONResponse(asdict(prediction))

    return Starlette(routes=[Route("/predict", predict, methods=["POST"])])


def main() -> None:
    """Serve until stopped."""
    options = command.read(__doc__)
    predictor = Predictor(options.folder, threads=options.threads)
    uvicorn.run(application(predictor), host="127.0.0.1", port=options.port, access_log=False)


if __name__ == "__main__":
    main()
