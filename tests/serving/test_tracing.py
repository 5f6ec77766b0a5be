"""Traces reach a collector when one is configured, and cost nothing when none is."""

import gzip
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tests.bundles import build_bundle
from tests.serving.process import ROOT, environment, serving

BODY = {"text": "red", "genomics": [1, 2, 3, 4]}


class Collector(BaseHTTPRequestHandler):
    """Keeps what is exported to it."""

    bodies: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.bodies.append(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[str]:
    Collector.bodies = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_request_becomes_a_span_with_its_stages(collector: str, tmp_path: Path) -> None:
    service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    bundle = build_bundle(tmp_path / "tiny", ("text", "genomics"))
    variables = environment(tmp_path / "home", bundles=bundle) | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector}
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01", "X-Request-ID": "traced"}
    with serving(tmp_path, variables) as server:
        server.wait_for("/readyz", 200)
        with server.client() as client:
            assert client.post("/v1/predict", json=BODY, headers=headers).status_code == 200
            assert client.post("/v1/predict", json={"text": "patient4711", "require_all": True}).status_code == 422
    requests = [service.ExportTraceServiceRequest.FromString(body) for body in Collector.bodies]
    resources = [resource for request in requests for resource in request.resource_spans]
    spans = [span for resource in resources for scope in resource.scope_spans for span in scope.spans]
    named = {attribute.key: attribute.value.string_value for attribute in resources[0].resource.attributes}
    assert named["service.name"] == "infobridge"
    [root] = [span for span in spans if span.trace_id.hex() == trace and span.name == "POST /v1/predict"]
    assert root.parent_span_id.hex() == "b7ad6b7169203331"
    known = {attribute.key: attribute.value for attribute in root.attributes}
    assert known["infobridge.request_id"].string_value == "traced"
    assert known["http.response.status_code"].int_value == 200
    stages = [span for span in spans if span.parent_span_id == root.span_id]
    assert [span.name for span in stages] == ["receive", "decode", "queue", "infer", "answer"]
    assert all(root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano for span in stages)
    assert stages[-1].end_time_unix_nano <= root.end_time_unix_nano
    assert b"patient4711" not in b"".join(Collector.bodies)


def test_without_an_exporter_nothing_of_it_is_loaded() -> None:
    code = (
        "import sys\nimport serving.service\n"
        "assert serving.service.APPLICATION._app.tracer is None\n"
        "assert 'opentelemetry.exporter.otlp.proto.http.trace_exporter' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(None), check=True, timeout=60)
