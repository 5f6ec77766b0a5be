"""Pathology: a large colour tile to uint8 pixels."""

import numpy as np
import pytest
from PIL import Image as Pillow

from bundle.errors import InvalidInput, ManifestError, TooLarge
from bundle.limits import Limits
from bundle.modalities import Pathology
from bundle.work import Work
from tests.bundle.media import colourful, picture

PATHOLOGY = Pathology(size=16)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "JPEG2000"])
def test_every_format_gives_the_whole_tile(kind: str) -> None:
    tile = colourful(64, 64)
    found = PATHOLOGY.decode(picture(tile, kind))
    assert found.shape == PATHOLOGY.shape and found.dtype == np.uint8
    expected = np.asarray(Pillow.fromarray(tile).resize((16, 16), Pillow.Resampling.BILINEAR))
    np.testing.assert_allclose(found.transpose(1, 2, 0).astype(float), expected.astype(float), atol=16)


def test_a_large_tile_is_read() -> None:
    found = PATHOLOGY.decode(picture(Pillow.new("RGB", (4_096, 4_096), (200, 100, 150)), "JPEG"))
    np.testing.assert_allclose(found.mean(axis=(1, 2)), (200, 100, 150), atol=3)


def test_no_tile_within_the_limit_makes_pillow_warn() -> None:
    assert Pillow.MAX_IMAGE_PIXELS is not None
    assert Limits().tile_pixels < Pillow.MAX_IMAGE_PIXELS


def test_a_tile_over_the_limit_is_refused() -> None:
    with Work(Limits(tile_pixels=63 * 64)).active(), pytest.raises(TooLarge):
        PATHOLOGY.decode(picture(colourful(64, 64)))


@pytest.mark.parametrize("mode", ["L", "LA", "1", "I;16", "F"])
def test_a_grey_tile_is_refused(mode: str) -> None:
    with pytest.raises(InvalidInput, match=r"a colour \(RGB\) tile"):
        PATHOLOGY.decode(picture(Pillow.new(mode, (32, 32)), "TIFF"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_grey_tile_stored_in_colour_is_refused(kind: str) -> None:
    grey = Pillow.fromarray(colourful(40, 40)).convert("L").convert("RGB")
    with pytest.raises(InvalidInput, match="three channels are the same"):
        PATHOLOGY.decode(picture(grey, kind))


def test_a_blank_tile_is_read() -> None:
    assert (PATHOLOGY.decode(picture(Pillow.new("RGB", (32, 32), "white"))) == 255).all()


def test_a_tile_with_a_palette_is_read() -> None:
    assert PATHOLOGY.decode(picture(Pillow.fromarray(colourful(40, 40)).quantize(64))).shape == (3, 16, 16)


def test_a_long_tile_is_cut_at_its_centre() -> None:
    pixels = np.zeros((16, 48, 3), dtype=np.uint8)
    pixels[:, 16:32, 0] = 255
    assert (PATHOLOGY.decode(picture(pixels))[0] > 250).all()


@pytest.mark.parametrize("size", [0, -1, 4097])
def test_parameters_without_sense_are_refused_at_construction(size: int) -> None:
    with pytest.raises(ValueError, match=r"^size: expected .* found "):
        Pathology(size=size)
    with pytest.raises(ManifestError, match="parameters of pathology: size"):
        Pathology.checked({"size": size})
