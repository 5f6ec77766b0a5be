"""Real files in requests that are meant to be right: what is made up from a schema alone no service could decode."""

from typing import Any

import schemathesis
from schemathesis import GenerationMode
from schemathesis.transport.serialization import Binary

from tests.serving.samples import payloads
from tests.serving.test_predict import sounding_clip

FILES = {
    name: Binary(content)
    for name, content in (payloads(("audio", "image", "pathology")) | {"video": sounding_clip()}).items()
}
"""As schemathesis itself marks content that is no text."""


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    del context, kwargs
    if case.media_type != "multipart/form-data" or not isinstance(case.body, dict):
        return
    if case.meta.generation.mode == GenerationMode.POSITIVE:
        case.body = {name: FILES.get(name, value) for name, value in case.body.items()}
        case.meta.generation.mode = GenerationMode.POSITIVE  # it takes what it did not make itself for wrong
