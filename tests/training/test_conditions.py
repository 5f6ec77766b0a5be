"""Every context T against its definition written out."""

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.test_infobridge import (
    BATCH,
    CLASSES,
    NAMES,
    TWO,
    build,
    make_batch,
    make_features,
)
from training import catalog
from training.conditions.cluster import Cluster
from training.conditions.retrieval import similarity, terciles
from training.errors import ConfigError
from training.evaluate import Encoded
from training.method import Run
from training.methods.infobridge import InfoBridge

CONDITIONS = pytest.mark.parametrize("context", catalog.names("conditions"))


def run_of(features: dict[str, Tensor], epoch: int = 0) -> Run:
    """An epoch's start at which the training split has these features."""
    numbers = torch.arange(len(next(iter(features.values()))))
    model = torch.nn.Linear(1, 1)
    found = Encoded(numbers, numbers, {name: values.detach() for name, values in features.items()})
    return Run(epoch, 9, model, torch.optim.SGD(model.parameters(), 0.1), lambda split: found)


def contexts(method: InfoBridge, features: dict[str, Tensor], batch: Any) -> Tensor:
    projections = {name: method.critic.project(name, values) for name, values in features.items()}
    found: Tensor = method.condition.contexts(batch, features, projections, method.memory)
    return found


@CONDITIONS
@NAMES
def test_every_t_is_one_of_count_values_and_all_entries_of_the_memory_carry_theirs(
    names: tuple[str, ...], context: str
) -> None:
    method = build(names, context=context)
    for epoch in range(2):
        method.epoch_start(run_of(make_features(names, 30, seed=epoch), epoch))
        for number in range(3):
            features, batch = make_features(names, BATCH, 7 + number), make_batch([0, 1, 2] * 4, 100 * number)
            found = contexts(method, features, batch)
            assert found.shape == (BATCH,) and found.dtype == torch.long and not found.requires_grad
            assert 0 <= int(found.min()) and int(found.max()) < method.condition.count
            position = int(method.memory.position)
            objective = method.objective(features, batch)
            rows = (position + torch.arange(BATCH)) % method.memory.size
            assert torch.equal(method.memory.contexts[rows], found)
            assert objective.isfinite()


def test_semantic_is_the_label() -> None:
    method, batch = build(context="semantic"), make_batch([2, 0, 1])
    assert method.condition.count == CLASSES
    assert torch.equal(contexts(method, make_features(TWO, 3, 0), batch), batch.labels)


@NAMES
def test_constant_t_is_unconditional_estimation_over_all_other_samples(names: tuple[str, ...]) -> None:
    """With every other sample drawn, Eq. 1 without T: a loop that knows neither classes nor contexts."""
    method = build(names, context="constant", memory=BATCH, negatives_per_pair=BATCH - 1).eval()
    assert method.condition.count == 1
    features = make_features(names, BATCH, 3)
    units = {}
    for name in names:
        projected = method.critic.projections[name](features[name])
        units[name] = projected / projected.norm(dim=1, keepdim=True)
    pairs, gamma = list(combinations(names, 2)), math.log(1 / (BATCH - 1))
    loss = torch.zeros(())
    for first, second in pairs:
        for i in range(BATCH):
            for j in range(BATCH):
                score = torch.dot(units[first][i], units[second][j]) / 0.1 + gamma
                loss = loss + torch.log(1 + torch.exp(-score if i == j else score)) / BATCH / len(pairs)
    found = -method.objective(features, make_batch([0, 1, 2] * 4))
    torch.testing.assert_close(found, loss)
    inputs = list(features.values())
    for one, two in zip(torch.autograd.grad(found, inputs), torch.autograd.grad(loss, inputs), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


# Clusters.


def centres(names: tuple[str, ...], seed: int = 5) -> dict[str, Tensor]:
    return {name: 5 * values.detach() for name, values in make_features(names, 5, seed).items()}


def clustered(names: tuple[str, ...], numbers: list[int], seed: int) -> dict[str, Tensor]:
    """Features about the centres of those numbers."""
    noise = make_features(names, len(numbers), seed)
    return {name: values[numbers] + 0.05 * noise[name].detach() for name, values in centres(names).items()}


@NAMES
def test_clusters_are_found_at_each_epochs_start_and_keep_their_numbers(names: tuple[str, ...]) -> None:
    method = build(names, context="cluster")
    numbers = [0, 1, 2, 3, 4] * 6
    batch = make_batch([0] * len(numbers))
    assert torch.equal(contexts(method, clustered(names, numbers, 0), batch), torch.zeros(30, dtype=torch.long))
    method.epoch_start(run_of(clustered(names, numbers, 1)))
    first = contexts(method, clustered(names, numbers, 2), batch)
    assert len(set(first.tolist())) == 5
    assert torch.equal(first, first[:5].repeat(6)), "each true cluster has one number"
    for epoch in range(1, 6):
        shuffled = torch.randperm(30, generator=torch.Generator().manual_seed(epoch)).tolist()
        method.epoch_start(run_of(clustered(names, [numbers[index] for index in shuffled], epoch), epoch))
        assert torch.equal(contexts(method, clustered(names, numbers, 9 + epoch), batch), first)


@NAMES
def test_a_sample_belongs_to_the_nearest_centroid_of_unit_features(names: tuple[str, ...]) -> None:
    method = build(names, context="cluster", clusters=4)
    training = make_features(names, 40, 0)
    method.epoch_start(run_of(training))
    assert isinstance(method.condition, Cluster)
    centroids = method.condition.centroids.tolist()
    features = {name: 7 * values for name, values in make_features(names, BATCH, 1).items()}  # lengths do not matter
    found = contexts(method, features, make_batch([0] * BATCH))
    for index in range(BATCH):
        point: list[float] = []
        for name in names:
            values = features[name][index].tolist()
            point += [value / math.sqrt(sum(v * v for v in values)) for value in values]
        distances = [sum((a - b) ** 2 for a, b in zip(point, centre, strict=True)) for centre in centroids]
        assert int(found[index]) == distances.index(min(distances))


def test_too_few_samples_and_unknown_contexts_are_refused() -> None:
    with pytest.raises(ConfigError, match="at most the 4 training samples, not 5"):
        build(context="cluster").epoch_start(run_of(make_features(TWO, 4, 0)))
    with pytest.raises(ConfigError, match="unknown name 'weather' in conditions"):
        build(context="weather")


def test_clustering_features_that_are_no_longer_numbers_leaves_the_error_to_the_loss() -> None:
    features = {name: values.detach() * math.nan for name, values in make_features(TWO, 9, 0).items()}
    build(context="cluster").epoch_start(run_of(features))


# Levels of similarity.


@NAMES
def test_levels_lie_between_the_terciles_of_the_memory(names: tuple[str, ...]) -> None:
    method = build(names, context="retrieval", memory=40)
    features, batch = make_features(names, BATCH, 0), make_batch([0] * BATCH)
    assert torch.equal(contexts(method, features, batch), torch.zeros(BATCH, dtype=torch.long)), "nothing is known"
    for number in range(5):  # more than the memory holds
        method.objective(make_features(names, BATCH, 20 + number), make_batch([0] * BATCH, first=100 + 50 * number))
        known = [index for index in range(40) if method.memory.samples[index] >= 0]
        past = [naive_similarity(names, {k: method.memory.projections(k)[i] for k in names}) for i in known]
        low, high = np.quantile(past, [1 / 3, 2 / 3])
        found = contexts(method, features, batch).tolist()
        projections = {name: method.critic.project(name, features[name]).detach() for name in names}
        for index in range(BATCH):
            value = naive_similarity(names, {name: projections[name][index] for name in names})
            assert found[index] == (0 if value <= low else 1 if value <= high else 2)


def naive_similarity(names: tuple[str, ...], sample: dict[str, Tensor]) -> float:
    found = [
        float(torch.dot(sample[one], sample[two]) / (sample[one].norm() * sample[two].norm()))
        for one, two in combinations(names, 2)
    ]
    return sum(found) / len(found)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64])
def test_terciles_are_those_of_the_known_values_alone(count: int) -> None:
    values = torch.randn(64, generator=torch.Generator().manual_seed(count))
    known = torch.zeros(64, dtype=torch.bool)
    known[torch.randperm(64, generator=torch.Generator().manual_seed(0))[:count]] = True
    expected = np.quantile(values[known].numpy(), [1 / 3, 2 / 3])
    np.testing.assert_allclose(torch.stack(terciles(values, known)), expected, rtol=1e-5, atol=1e-6)


def test_without_any_known_value_no_value_exceeds_the_terciles() -> None:
    assert torch.stack(terciles(torch.randn(8), torch.zeros(8, dtype=torch.bool))).tolist() == [math.inf] * 2


@pytest.mark.parametrize("form", ["cosine", "mlp"])
def test_similarity_is_of_directions_so_both_critics_serve(form: str) -> None:
    method = build(context="retrieval", critic=form)
    features = make_features(TWO, BATCH, 0)
    projections = {name: method.critic.project(name, values) for name, values in features.items()}
    doubled = {name: 3 * values for name, values in projections.items()}
    torch.testing.assert_close(similarity(projections), similarity(doubled))
    assert float(similarity(projections).detach().abs().max()) <= 1 + 1e-6
