"""Traces for OpenTelemetry: a span for each request and one for each stage, made when it has been answered."""

from typing import TYPE_CHECKING

from serving.journey import STAGES, Journey

if TYPE_CHECKING:
    pass

NANOSECONDS = 1_000_000_000
SERVICE = "infobridge"


class Tracer:
    """Sends spans to the exporter that the variables OTEL_EXPORTER_OTLP_* describe.

    What OpenTelemetry needs is imported here and nowhere else: without an exporter nothing of it runs.

    Raises:
        ImportError: the package opentelemetry-exporter-otlp-proto-http is not installed.
    """

    def __init__(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        named = Resource.create().attributes.get(SERVICE_NAME, "unknown_service")
        extra = {SERVICE_NAME: SERVICE} if str(named).startswith("unknown_service") else {}
        self._provider: TracerProvider = TracerProvider(resource=Resource.create(extra))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer(SERVICE)

    def record(self, route: str, method: str, status: int, journey: Journey) -> None:
        """Hand a request's spans to the exporter's thread."""
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parent = TraceContextTextMapPropagator().extract({"traceparent": journey.parent}) if journey.parent else None
        start = int(journey.wall * NANOSECONDS)
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
            "infobridge.request_id": journey.request_id,
            "infobridge.model": journey.model,
            "infobridge.problem": journey.problem,
        }
        known = {name: value for name, value in attributes.items() if value != ""}
        span = self._tracer.start_span(
            f"{method} {route}", context=parent, kind=SpanKind.SERVER, attributes=known, start_time=start
        )
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        within = set_span_in_context(span)
        begin = start
        for stage in STAGES:
            if stage in journey.stages:
                end = begin + int(journey.stages[stage] * NANOSECONDS)
                self._tracer.start_span(stage, context=within, start_time=begin).end(end)
                begin = end
        span.end(start + int(journey.elapsed() * NANOSECONDS))

    def close(self) -> None:
        """Send what has not been sent yet."""
        self._provider.shutdown()
