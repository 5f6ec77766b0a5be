"""What Prometheus reads at /metrics: plain numbers, each counted by one thread, so that counting costs nothing."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from bundle.answer import Prediction
from bundle.session import Running
from serving.journey import STAGES, Journey

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
NOTES = ("missing", "unusual", "disagreement", "abstained")
"""What may be to note of an answer; the first two concern single inputs."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labels = tuple[str, ...]


class Histogram:
    """Counts by upper bound, and their sum.

    Args:
        bounds: upper bounds, ascending; what is over the last counts as infinite.
    """

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def buckets(self) -> tuple[list[tuple[str, float]], float]:
        """Cumulated counts by bound as Prometheus wants them, and the sum of all values."""
        total, found = 0, []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            found.append((bound, float(total)))
        return found, self._sum


class ModelNumbers:
    """What one loaded bundle counts.

    Args:
        running: what runs it.
        queue: tells how many samples wait for it.
    """

    def __init__(self, running: Running, queue: Callable[[], int]) -> None:
        self.running = running
        self.queue = queue
        self.sizes = Histogram(SIZES)
        """Samples of each inference."""
        self.answers = 0
        self.noted = dict.fromkeys(NOTES, 0)
        """Answers by what is to be noted of them."""
        self.inputs: dict[tuple[str, str], int] = defaultdict(int)
        """Times that an input was missing or unusual, by its name and which."""

    def count(self, prediction: Prediction) -> None:
        """Count an answer; nothing of what it says."""
        self.answers += 1
        said = (prediction.missing, prediction.unusual, prediction.disagreement, prediction.abstain)
        for note, true in zip(NOTES, said, strict=True):
            self.noted[note] += bool(true)
        for note, names in zip(NOTES, (prediction.missing, prediction.unusual), strict=False):
            for name in names:
                self.inputs[name, note] += 1


class Metrics(Collector):
    """Everything that is counted. Labels are routes, kinds of problems, stages, models and inputs by name: no paths."""

    def __init__(self) -> None:
        self._requests: dict[Labels, int] = defaultdict(int)
        self._rejects: dict[str, int] = defaultdict(int)
        self._durations: dict[str, Histogram] = defaultdict(lambda: Histogram(SECONDS))
        self._stages = {stage: Histogram(SECONDS) for stage in STAGES}
        self.in_progress = 0
        self.received = 0
        """Bytes of bodies."""
        self.reloads = {"done": 0, "refused": 0}
        self.models: Callable[[], dict[str, ModelNumbers]] = dict
        """Tells the numbers of the models that are loaded."""
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def count(self, route: str, status: int, journey: Journey) -> None:
        """Count a request that has been answered."""
        self._requests[route, str(status)] += 1
        self._durations[route].observe(journey.elapsed())
        self.received += journey.received
        if journey.problem:
            self.reject(journey.problem)
        for stage, seconds in journey.stages.items():
            self._stages[stage].observe(seconds)

    def reject(self, kind: str) -> None:
        """Count a request, or a sample of a batch, that ended with a problem of this kind."""
        self._rejects[kind] += 1

    def render(self) -> bytes:
        """The text of /metrics."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Everything, as Prometheus's own values."""
        requests = CounterMetricFamily(
            "infobridge_requests", "Requests answered, by route and status.", labels=("route", "status")
        )
        for labels, count in self._requests.items():
            requests.add_metric(labels, count)
        yield requests
        rejects = CounterMetricFamily(
            "infobridge_rejects", "Requests and samples that ended with a problem, by its kind.", labels=("reason",)
        )
        for reason, count in self._rejects.items():
            rejects.add_metric((reason,), count)
        yield rejects
        yield _histogram(
            "infobridge_request_seconds", "From the first byte to the answer, by route.", "route", self._durations
        )
        yield _histogram("infobridge_stage_seconds", "Where the time of predictions went.", "stage", self._stages)
        yield GaugeMetricFamily("infobridge_requests_in_progress", "Requests being answered.", self.in_progress)
        yield CounterMetricFamily("infobridge_received_bytes", "Bytes of bodies received.", self.received)
        reloads = CounterMetricFamily("infobridge_reloads", "Reloads of the bundles.", labels=("outcome",))
        for outcome, count in self.reloads.items():
            reloads.add_metric((outcome,), count)
        yield reloads
        yield from self._of_models()

    def _of_models(self) -> Iterable[Metric]:
        models = self.models()
        info = InfoMetricFamily("infobridge_model", "The loaded models, and what runs them.", labels=("model",))
        queue = GaugeMetricFamily("infobridge_queue_length", "Samples that wait, by model.", labels=("model",))
        for name, numbers in models.items():
            running = numbers.running
            told = {"provider": running.provider, "device": running.device, "precision": running.precision}
            info.add_metric((name,), told)
            queue.add_metric((name,), numbers.queue())
        yield info
        yield queue
        yield from _of_answers(models)
        sizes = {name: numbers.sizes for name, numbers in models.items()}
        yield _histogram("infobridge_batch_size", "Samples of each inference, by model.", "model", sizes)


def _of_answers(models: dict[str, ModelNumbers]) -> Iterable[Metric]:
    answers = CounterMetricFamily("infobridge_answers", "Samples answered, by model.", labels=("model",))
    noted = CounterMetricFamily(
        "infobridge_noted_answers",
        "Answers without one of the inputs, with an unusual one, with inputs that disagree, or that abstained.",
        labels=("model", "note"),
    )
    inputs = CounterMetricFamily(
        "infobridge_noted_inputs",
        "Inputs that were missing or unlike the training data (unusual).",
        labels=("model", "input", "note"),
    )
    for model, numbers in models.items():
        answers.add_metric((model,), numbers.answers)
        for note, count in numbers.noted.items():
            noted.add_metric((model, note), count)
        for (name, note), count in numbers.inputs.items():
            inputs.add_metric((model, name, note), count)
    yield answers
    yield noted
    yield inputs


def _histogram(name: str, documentation: str, label: str, histograms: dict[str, Histogram]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, documentation, labels=(label,))
    for value, histogram in histograms.items():
        buckets, total = histogram.buckets()
        family.add_metric((value,), buckets, total)
    return family
