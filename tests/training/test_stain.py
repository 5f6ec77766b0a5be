"""Stain normalisation: known stains are found, scikit-learn finds no better ones, and real tiles come nearer."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.decomposition import DictionaryLearning

from tests.bundle.media import picture
from training.errors import DataError
from training.normalise_stains import main, read_tile
from training.stain import SPARSITY, Stains, amounts, density, normalised, objective, stains_of

Floats = NDArray[np.float64]
HAEMATOXYLIN, EOSIN = np.array([0.72, 0.62, 0.31]), np.array([0.20, 0.93, 0.31])


def stained(colours: Floats, strengths: tuple[float, float], seed: int = 0, side: int = 96) -> NDArray[np.uint8]:
    """A tile of nuclei in one stain on tissue in the other, some glass between them."""
    generator = np.random.default_rng(seed)
    found = generator.gamma(2.0, 0.25, (side * side, 2))
    kind = generator.integers(0, 10, side * side)
    found[kind < 4, 1] *= 0.02
    found[(kind >= 4) & (kind < 8), 0] *= 0.02
    found[kind == 8] *= 0.0
    pixels = 256.0 * np.exp(-(found * strengths) @ colours.T) - 1.0
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8).reshape(side, side, 3)


def unit(*colours: Floats) -> Floats:
    return np.stack([colour / np.linalg.norm(colour) for colour in colours], axis=1)


def angle(one: Floats, other: Floats) -> float:
    """Degrees between the columns, the larger."""
    return float(np.degrees(np.arccos(np.clip((one * other).sum(axis=0), -1, 1))).max())


def naive(pixel: Floats, colours: Floats, sparsity: float) -> Floats:
    """The best amounts by trying a fine grid, then a finer one around what was best."""
    middle, reach = np.array([2.0, 2.0]), 2.0
    for _ in range(12):
        steps = np.linspace(-reach, reach, 21)
        grid = np.maximum(np.stack(np.meshgrid(middle[0] + steps, middle[1] + steps), axis=-1).reshape(-1, 2), 0.0)
        costs = 0.5 * np.square(pixel - grid @ colours.T).sum(axis=1) + sparsity * grid.sum(axis=1)
        middle, reach = grid[costs.argmin()], reach / 3
    return middle


@pytest.mark.parametrize("sparsity", [0.0, 0.1])
def test_amounts_are_the_minimum_of_the_objective(sparsity: float) -> None:
    colours = unit(HAEMATOXYLIN, EOSIN)
    pixels = np.random.default_rng(0).uniform(0, 1.5, (40, 3))
    pixels[:3] = ((0.0, 0.0, 0.0), 1.2 * colours[:, 0], 0.9 * colours[:, 1])
    found = amounts(pixels, colours, sparsity)
    expected = np.stack([naive(pixel, colours, sparsity) for pixel in pixels])
    assert np.allclose(found, expected, atol=1e-4) and (found >= 0).all() and (found == 0).any()


def test_the_stains_that_made_a_tile_are_found() -> None:
    colours = unit(HAEMATOXYLIN, EOSIN)
    found = stains_of(stained(colours, (1.2, 0.8)), sparsity=0.01)
    assert angle(found.colours, colours) < 3.0
    assert 1.2 < found.strengths[0] / found.strengths[1] < 1.8
    assert np.allclose(np.linalg.norm(found.colours, axis=0), 1.0) and (found.colours >= 0).all()


def test_scikit_learn_finds_no_better_stains(real_data: Path) -> None:
    tile = read_tile(sorted((real_data / "her2st").rglob("*.jpg"))[5])
    pixels = density(tile)
    tissue = pixels[pixels.mean(axis=1) > 0.15][::20]
    peer = DictionaryLearning(
        2,
        alpha=SPARSITY,
        fit_algorithm="cd",
        transform_algorithm="lasso_cd",
        positive_code=True,
        positive_dict=True,
        random_state=0,
        max_iter=200,
    ).fit(tissue)
    ours, theirs = stains_of(tile).colours, peer.components_.T[:, np.argsort(-peer.components_[:, 0])]
    costs = [objective(tissue, colours, amounts(tissue, colours)) for colours in (ours, theirs)]
    assert costs[0] <= costs[1] * 1.005
    assert angle(ours, theirs) < 3.0


def test_a_tile_normalised_to_itself_stays_what_it_is(real_data: Path) -> None:
    tile = read_tile(sorted((real_data / "her2st").rglob("*.jpg"))[5])
    done = normalised(tile, stains_of(tile))
    assert done.shape == tile.shape and done.dtype == np.uint8
    assert np.abs(done.astype(int) - tile).mean() < 6, "what two stains cannot make, such as blood, is lost"


def test_the_same_tissue_in_other_stains_becomes_the_same_tile() -> None:
    colours, others = unit(HAEMATOXYLIN, EOSIN), unit(np.array([0.6, 0.7, 0.4]), np.array([0.3, 0.85, 0.43]))
    target, other = stained(colours, (1.2, 0.8)), stained(others, (0.7, 1.1))
    done = normalised(other, stains_of(target, 0.01), 0.01)
    before, after = (np.abs(tile.astype(int) - target).mean() for tile in (other, done))
    assert after < before / 4


def test_normalised_tiles_have_the_stains_of_the_reference(real_data: Path) -> None:
    paths = sorted((real_data / "her2st").rglob("*.jpg"))
    reference = stains_of(read_tile(paths[0]))
    for path in paths[100:600:200]:
        tile = read_tile(path)
        own, done = stains_of(tile), stains_of(normalised(tile, reference))
        assert angle(done.colours, reference.colours) < min(3.0, 0.5 * angle(own.colours, reference.colours) + 1.0)
        assert np.allclose(done.strengths, reference.strengths, rtol=0.2)


def test_glass_is_refused() -> None:
    with pytest.raises(DataError, match="expected a tile with tissue, found 0 pixels"):
        stains_of(np.full((50, 50, 3), 250, dtype=np.uint8))
    reference = Stains(unit(HAEMATOXYLIN, EOSIN), np.ones(2))
    with pytest.raises(DataError, match="tile with tissue"):
        normalised(np.full((50, 50, 3), 250, dtype=np.uint8), reference)


def run(*arguments: object) -> int:
    return main(list(map(str, arguments)))


@pytest.fixture
def tiles(tmp_path: Path) -> Path:
    (tmp_path / "tiles").mkdir()
    for number in range(3):
        tile = stained(unit(HAEMATOXYLIN, EOSIN), (0.6 + 0.3 * number, 0.8), number)
        (tmp_path / "tiles" / f"tile_{number}.png").write_bytes(picture(tile))
    return tmp_path / "tiles"


def test_a_folder_is_normalised_once(tiles: Path, tmp_path: Path) -> None:
    given = ("--from", tiles, "--to", tmp_path / "out", "--reference", tiles / "tile_1.png")
    assert run(*given) == 0
    strengths = [stains_of(np.asarray(Image.open(path))).strengths for path in sorted((tmp_path / "out").iterdir())]
    assert len(strengths) == 3 and np.allclose(strengths, strengths[1], rtol=0.1)
    before = (tmp_path / "out" / "tile_0.png").stat().st_mtime_ns
    assert run(*given) == 0 and (tmp_path / "out" / "tile_0.png").stat().st_mtime_ns == before


def test_tiles_that_cannot_be_normalised_are_named(
    tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tiles / "glass.png").write_bytes(picture(np.full((50, 50, 3), 250, dtype=np.uint8)))
    (tiles / "broken.png").write_bytes(b"\x89PNG")
    assert run("--from", tiles, "--to", tmp_path / "out", "--reference", tiles / "tile_1.png") == 3
    said = capsys.readouterr().out
    assert "glass.png: expected a tile with tissue" in said and "broken.png: expected a picture" in said
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_what_cannot_be_normalised_at_all_is_refused(
    tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = tiles / "tile_1.png"
    assert run("--from", tmp_path / "nowhere", "--to", tmp_path / "out", "--reference", reference) == 2
    assert "expected a folder of tiles" in capsys.readouterr().err
    assert run("--from", tiles, "--to", tiles, "--reference", reference) == 2
    assert "must be another folder" in capsys.readouterr().err
    assert run("--from", tiles, "--to", tmp_path / "out", "--reference", tmp_path / "nowhere.png") == 2
    assert "--reference" in capsys.readouterr().err
