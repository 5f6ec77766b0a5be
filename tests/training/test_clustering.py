"""k-means against scikit-learn's, and the matching of clusters against every permutation."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.cluster import KMeans

from training.clustering import Points, kmeans, match, squared_distances


def blobs(count: int, each: int = 30, width: int = 6, seed: int = 0) -> tuple[Points, Points]:
    generator = np.random.default_rng(seed)
    centres = generator.normal(0, 4, (count, width)).astype(np.float32)
    points = np.repeat(centres, each, axis=0) + generator.normal(0, 0.3, (count * each, width))
    return points.astype(np.float32), centres


def cost(points: Points, centroids: Points) -> float:
    return sum(min(float(((point - centre) ** 2).sum()) for centre in centroids) for point in points)


@pytest.mark.parametrize("count", [1, 2, 5, 10])
def test_separate_clusters_are_found_as_scikit_learn_finds_them(count: int) -> None:
    points, centres = blobs(count)
    found = kmeans(points, count, np.random.default_rng(1))
    reference = KMeans(count, n_init=10, random_state=0).fit(points)
    assert cost(points, found) == pytest.approx(reference.inertia_, rel=1e-3)
    np.testing.assert_allclose(match(found, centres), centres, atol=0.3)


def test_without_clusters_the_cost_is_near_that_of_many_restarts() -> None:
    points = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
    found = kmeans(points, 5, np.random.default_rng(1))
    assert cost(points, found) < 1.02 * KMeans(5, n_init=20, random_state=0).fit(points).inertia_
    nearest = squared_distances(points, found).argmin(axis=1)
    for number in range(5):  # where Lloyd's steps end, every centroid is the mean of its points
        np.testing.assert_allclose(found[number], points[nearest == number].mean(axis=0), atol=1e-4)


def test_the_generator_alone_decides() -> None:
    points = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    one, two, three = (kmeans(points, 4, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(one, two) and not np.array_equal(one, three)


def test_fewer_different_points_than_clusters_are_no_trouble() -> None:
    points = np.repeat(np.eye(3, dtype=np.float32)[:2], 4, axis=0)
    found = kmeans(points, 5, np.random.default_rng(0))
    assert found.shape == (5, 3) and np.isfinite(found).all()
    assert cost(points, found) == pytest.approx(0.0, abs=1e-6)


def test_moved_and_permuted_centroids_keep_their_numbers() -> None:
    _, centres = blobs(5)
    moved = centres + np.random.default_rng(2).normal(0, 0.2, centres.shape).astype(np.float32)
    for order in permutations(range(5)):
        np.testing.assert_array_equal(match(moved[list(order)], centres), moved)


@pytest.mark.parametrize("seed", range(5))
def test_no_order_matches_better(seed: int) -> None:
    generator = np.random.default_rng(seed)
    one, two = (generator.normal(size=(5, 3)).astype(np.float32) for _ in range(2))
    best = min(float(((one - two[list(order)]) ** 2).sum()) for order in permutations(range(5)))
    assert float(((one - match(two, one)) ** 2).sum()) == pytest.approx(best, rel=1e-5)


def test_distances_are_a_double_loops() -> None:
    generator = np.random.default_rng(0)
    one, two = generator.normal(size=(7, 3)).astype(np.float32), generator.normal(size=(4, 3)).astype(np.float32)
    expected = [[float(((a - b) ** 2).sum()) for b in two] for a in one]
    np.testing.assert_allclose(squared_distances(one, two), expected, rtol=1e-4, atol=1e-5)
