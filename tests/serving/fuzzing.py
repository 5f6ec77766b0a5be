"""Requests gone wrong, numbered, and what every answer must look like."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import httpx
import numpy as np

from tests.bundles import LABELS, PAIRINGS, tiny_modality
from tests.serving.mutations import flip_bits, lose_a_piece, repeat_a_piece, replace_bytes, spoil, truncate

Seeds = Mapping[str, Sequence[bytes]]
BOUNDARY = "----boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
JSON = "application/json"
REFUSALS = (400, 404, 405, 413, 415, 422)
PROBLEM = {"type", "title", "status", "detail"}
KNOWN = PROBLEM | {"field", "expected", "received", "possible", "instance"}


@dataclass(frozen=True)
class Case:
    """One request, and how to make it again: `make(seed, index, seeds)`."""

    index: int
    name: str
    content: bytes
    content_type: str
    path: str = "/v1/predict"
    method: str = "POST"

    def __str__(self) -> str:
        return f"case {self.index} ({self.name}): {self.method} {self.path}, {len(self.content):,} bytes"


def make(seed: int, index: int, seeds: Seeds) -> Case:
    """Case number `index` of a run; the same for the same seed files."""
    random = Random(f"{seed}/{index}")
    way = random.random()
    if way < 0.80:
        return _spoiled_payload(random, index, seeds)
    if way < 0.90:
        return _spoiled_form(random, index, seeds)
    if way < 0.96:
        return _spoiled_json(random, index)
    return _spoiled_request(random, index, seeds)


def seeds_of(folder: Path | None) -> Seeds:
    """Valid payloads of every modality: generated ones, and real files where there are some."""
    generator = np.random.default_rng(0)
    names = sorted({name for pairing in PAIRINGS for name in pairing})
    found = {name: [tiny_modality(name).example(generator) for _ in range(6)] for name in names}
    found["genomics"] += [b"gene_A,gene_D\n1,2\n", b"[1, 2, 3, 4]"]
    if folder is not None:
        for name, patterns in REAL.items():
            for pattern in patterns:
                found[name] += [path.read_bytes() for path in sorted(folder.glob(pattern))[:3]]
        titles = (folder / "openclipart" / "table.csv").read_text().splitlines()[1:6]
        found["text"] += [title.split(",")[1].encode() for title in titles]
    return found


REAL = {
    "audio": ("grid_*/audio_noisy/*.wav", "media/*.wav", "grid_*/video/*.mp4", "media/*.flv", "media/*.mpg"),
    "video": ("grid_*/video/*.mp4", "media/*.flv", "media/*.mpg"),
    "image": ("openclipart/images/*.png",),
    "pathology": ("her2st/**/*.png", "her2st/**/*.jpg", "her2st/**/*.jpeg"),
}


def form(parts: Sequence[tuple[str, str | None, bytes]]) -> bytes:
    """A multipart body of (name, file name or None, content)."""
    body = b""
    for name, file, content in parts:
        end = "" if file is None else f'; filename="{file}"'
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{end}\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


def sample(random: Random, pairing: Sequence[str], seeds: Seeds) -> dict[str, bytes]:
    return {name: random.choice(seeds[name]) for name in pairing}


def parts_of(found: Mapping[str, bytes], prefix: str = "") -> list[tuple[str, str | None, bytes]]:
    return [(prefix + name, f"{name}.bin", content) for name, content in found.items()]


def _spoiled_payload(random: Random, index: int, seeds: Seeds) -> Case:
    pairing = random.choice(PAIRINGS)
    spoilt = random.choice(pairing)
    name, payload = spoil(random, spoilt, seeds)
    found = {**sample(random, pairing, seeds), spoilt: payload}
    if random.random() < 0.1:
        others = [sample(random, random.choice(PAIRINGS), seeds) for _ in range(random.randrange(3))]
        parts = [part for number, item in enumerate([*others, found]) for part in parts_of(item, f"{number}.")]
        return Case(index, f"batch, {spoilt}: {name}", form(parts), FORM, "/v1/predict/batch")
    return Case(index, f"{spoilt}: {name}", form(parts_of(found)), FORM)


FORMS: dict[str, Callable[[Random, bytes], bytes]] = {
    "bits flipped": flip_bits,
    "bytes replaced": replace_bytes,
    "cut": truncate,
    "a piece lost": lose_a_piece,
    "a piece repeated": repeat_a_piece,
    "no end": lambda random, body: body[: -len(BOUNDARY) - 8],
    "line feeds alone": lambda random, body: body.replace(b"\r\n", b"\n"),
    "no name": lambda random, body: body.replace(b"name=", b"game="),
    "no disposition": lambda random, body: body.replace(b"Content-Disposition", b"Content-Interposition"),
    "a name of NUL": lambda random, body: body.replace(b'name="', b'name="\0'),
    "a name not in UTF-8": lambda random, body: body.replace(b'name="', b'name="\xff\xfe'),
    "a very long name": lambda random, body: body.replace(b'name="', b'name="' + b"n" * 100_000, 1),
    "a very long header": lambda random, body: body.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", 1),
    "many headers": lambda random, body: body.replace(b"\r\n\r\n", b"\r\nX: x" * 20_000 + b"\r\n\r\n", 1),
    "every part twice": lambda random, body: body.replace(f"--{BOUNDARY}--".encode(), b"") + body,
    "another boundary": lambda random, body: body.replace(BOUNDARY.encode(), b"--another"),
    "a form in a form": lambda random, body: form([("image", "a.png", body), ("text", None, body)]),
    "five thousand parts": lambda random, body: form([(f"{number}", "a", b"") for number in range(5_000)]),
    "base64 said": lambda random, body: body.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n"),
    "nothing": lambda random, body: b"",
    "an end alone": lambda random, body: f"--{BOUNDARY}--\r\n".encode(),
}


def _spoiled_form(random: Random, index: int, seeds: Seeds) -> Case:
    name = random.choice(sorted(FORMS))
    pairing = random.choice((PAIRINGS[1], PAIRINGS[2]))
    batch = random.random() < 0.3
    body = form(parts_of(sample(random, pairing, seeds), "0." if batch else ""))
    path = "/v1/predict/batch" if batch else "/v1/predict"
    return Case(index, f"form: {name}", FORMS[name](random, body), FORM, path)


DOCUMENTS: dict[str, Callable[[], bytes]] = {
    "deep lists": lambda: b"[" * 200_000,
    "deep objects": lambda: b'{"text":' * 100_000 + b"1" + b"}" * 100_000,
    "deep and whole": lambda: b'{"text": ' + b"[" * 900 + b"]" * 900 + b"}",
    "a long number": lambda: b'{"text": ' + b"1" * 100_000 + b"}",
    "NaN": lambda: b'{"genomics": [NaN, 1, 2, 3]}',
    "a key twice": lambda: b'{"text": "a", "text": "b"}',
    "a list": lambda: b"[1, 2, 3]",
    "null": lambda: b"null",
    "not UTF-8": lambda: b'{"text": "\xff\xfe"}',
    "half a surrogate": lambda: b'{"text": "\\ud800", "genomics": {"gene_A": 1}}',
    "half a surrogate in a name": lambda: b'{"\\udfff": 1}',
    "files as texts": lambda: b'{"image": "https://127.0.0.1/cat.png", "text": "cat"}',
    "every type": lambda: json.dumps({"text": [None, True, 1e308, {}], "genomics": "x", "model": 7}).encode(),
    "no samples": lambda: b'{"items": []}',
    "samples that are none": lambda: b'{"items": [null, 1, "a", [], {}, {"text": 1}]}',
    "a thousand samples": lambda: json.dumps({"items": [{"text": "red"}] * 1_000}).encode(),
    "an unknown model": lambda: b'{"text": "red", "model": "' + b"m" * 100_000 + b'"}',
    "many keys": lambda: json.dumps({f"field_{index}": index for index in range(20_000)}).encode(),
    "nothing": lambda: b"",
}


def _spoiled_json(random: Random, index: int) -> Case:
    name = random.choice(sorted(DOCUMENTS))
    content = DOCUMENTS[name]()
    if random.random() < 0.3:
        name, content = f"{name}, bits flipped", flip_bits(random, content)
    return Case(index, f"JSON: {name}", content, JSON, random.choice(("/v1/predict", "/v1/predict/batch")))


TYPES = (
    "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "multipart/form-data; boundary=",
    "multipart/form-data; boundary=" + "b" * 5_000, 'multipart/form-data; boundary="', "multipart/mixed; boundary=a",
    "application/octet-stream", "application/vnd.bentoml+pickle", "application/json; charset=utf-16", "image/png",
    "multipart/form-data; boundary=----boundary; boundary=other", ";;;", "a/b/c", "application/pickle",
)  # fmt: skip
PATHS = (
    "/v1/predict/", "/v1/predict/other", "/v1/models/none/examples/0/image",
    "/v1/models/image-text/examples/-1/image", "/v1/models/%00/examples/0/%ff", "/v1/models/reload",
    "/v1/..%2f..%2fetc", "/v1/models/image-text/examples/99/image", "/page/../../etc/passwd", "/v1/predict%0d%0a",
    "/page/%2e%2e/%2e%2e/service.py", "/v1/" + "a" * 5_000, "//v1//predict",
)  # fmt: skip


def _spoiled_request(random: Random, index: int, seeds: Seeds) -> Case:
    body = form(parts_of(sample(random, random.choice(PAIRINGS[1:]), seeds)))
    if random.random() < 0.5:
        kind = random.choice(TYPES)
        return Case(index, f"content type {kind[:60]!r}", body, kind)
    path, method = random.choice((*PATHS, "/v1/predict")), random.choice(("GET", "POST", "PUT", "DELETE", "PATCH"))
    return Case(index, "path and method", b"" if method == "GET" else body, FORM, path, method)


def check(case: Case, response: httpx.Response) -> None:
    """The one shape of an answer, or of a problem that is the caller's."""
    kind = response.headers.get("content-type", "")
    if case.path.startswith("/page") or (response.status_code == 200 and kind != JSON):
        assert response.status_code in (200, *REFUSALS), f"{response.status_code}"
        return
    if response.status_code == 200:
        content = response.json()
        for item in content.get("items", [{"answer": content}]) if "predict" in case.path else []:
            if "problem" in item:
                _check_problem(item["problem"], item["problem"].get("status"))
            else:
                _check_answer(item["answer"])
        return
    assert response.status_code in (*REFUSALS, 401, 403), f"{response.status_code} {response.text[:300]}"
    assert kind == "application/problem+json", kind
    _check_problem(response.json(), response.status_code)
    assert response.headers.get("x-request-id"), "no request id"


def _check_problem(content: dict[str, object], status: object) -> None:
    assert PROBLEM <= set(content) <= KNOWN, content
    assert content["status"] == status and status in (*REFUSALS, 401, 403), content
    assert str(content["type"]).startswith("urn:infobridge:problem:"), content
    assert len(json.dumps(content)) < 8_000, f"a problem of {len(json.dumps(content)):,} characters"


def _check_answer(content: dict[str, object]) -> None:
    predictions = content["predictions"]
    assert isinstance(predictions, list), content
    assert {entry["label"] for entry in predictions} == set(LABELS), content
    assert abs(sum(entry["probability"] for entry in predictions) - 1) < 1e-6, content
