"""Image: any picture file to uint8 pixels."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow

from bundle.errors import InvalidInput, ManifestError, TooLarge, UnsupportedMedia
from bundle.limits import Limits
from bundle.modalities import Array, Image
from bundle.work import Work
from tests.bundle.media import colourful, picture

IMAGE = Image(size=16)
PIXELS = colourful(16, 16)


def is_like(found: Array, pixels: Array, tolerance: float = 0) -> None:
    np.testing.assert_allclose(found.transpose(1, 2, 0).astype(float), pixels.astype(float), atol=tolerance)


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("PNG", 0), ("BMP", 0), ("TIFF", 0), ("JPEG", 60), ("WEBP", 40), ("GIF", 40), ("MPO", 60)]
)
def test_every_format_gives_the_pixels(kind: str, tolerance: float) -> None:
    found = IMAGE.decode(picture(PIXELS, kind))
    assert found.dtype == np.uint8 and found.shape == IMAGE.shape and found.flags.c_contiguous
    is_like(found, PIXELS, tolerance)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    upright = Pillow.new("RGB", (32, 32), "black")
    upright.paste("white", (0, 0, 16, 8))  # a bar at the top left that no turn or mirror maps onto itself
    flip = Pillow.Transpose
    stored = {
        1: lambda shown: shown,
        2: lambda shown: shown.transpose(flip.FLIP_LEFT_RIGHT),
        3: lambda shown: shown.transpose(flip.ROTATE_180),
        4: lambda shown: shown.transpose(flip.FLIP_TOP_BOTTOM),
        5: lambda shown: shown.transpose(flip.TRANSPOSE),
        6: lambda shown: shown.transpose(flip.ROTATE_90),
        7: lambda shown: shown.transpose(flip.TRANSVERSE),
        8: lambda shown: shown.transpose(flip.ROTATE_270),
    }[orientation](upright)
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    found = Image(size=32).decode(picture(stored, kind, exif=exif))
    is_like(found, np.asarray(upright), tolerance=0 if kind in ("PNG", "TIFF") else 60)


def test_a_broken_exif_block_leaves_the_picture_as_it_is() -> None:
    is_like(IMAGE.decode(picture(PIXELS, "PNG", exif=b"Exif\0\0not a header at all")), PIXELS)


def test_what_is_transparent_becomes_white() -> None:
    alpha = np.zeros((16, 16, 1), dtype=np.uint8)
    alpha[8:] = 255
    found = IMAGE.decode(picture(np.concatenate([PIXELS, alpha], axis=2)))
    assert (found[:, :8] == 255).all()
    is_like(found[:, 8:], PIXELS[8:])


def test_half_transparency_is_mixed_with_white() -> None:
    found = IMAGE.decode(picture(np.full((16, 16, 4), (0, 0, 0, 128), dtype=np.uint8)))
    assert (found == 127).all()


def test_grey_with_alpha_becomes_white_too() -> None:
    layer = Pillow.new("LA", (16, 16), (0, 0))
    assert (IMAGE.decode(picture(layer)) == 255).all()


def test_a_palette_with_transparent_entries_is_read() -> None:
    drawing = Pillow.new("P", (16, 16), 0)
    drawing.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    drawing.paste(1, (0, 8, 16, 16))
    found = IMAGE.decode(picture(drawing, "PNG", transparency=b"\0\xff\xff"))
    assert (found[:, :8] == 255).all()
    assert (found[:, 8:] == np.array([0, 255, 0])[:, None, None]).all()


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_palette_with_one_transparent_colour_is_read(kind: str) -> None:
    drawing = Pillow.new("P", (16, 16), 1)
    drawing.putpalette([255, 0, 0, 0, 0, 255])
    drawing.paste(0, (0, 0, 16, 8))
    found = IMAGE.decode(picture(drawing, kind, transparency=0))
    assert (found[:, :8] == 255).all() and (found[2, 8:] == 255).all() and (found[0, 8:] == 0).all()


def test_a_transparent_colour_of_an_rgb_picture_becomes_white() -> None:
    found = IMAGE.decode(picture(Pillow.new("RGB", (16, 16), (1, 2, 3)), "PNG", transparency=(1, 2, 3)))
    assert (found == 255).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_keeps_its_brightness(kind: str, channels: int) -> None:
    ramp = np.linspace(0, 65_535, 256).astype(np.uint16).reshape(16, 16)
    found = Image.checked({"size": 16, "channels": channels}).decode(picture(ramp, kind))
    assert found.shape == (channels, 16, 16)
    np.testing.assert_allclose(found[0].astype(float), ramp / 257.0, atol=0.51)


@pytest.mark.parametrize("mode", ["1", "L", "CMYK", "YCbCr", "LAB", "I", "F", "RGBA", "P"])
def test_every_colour_mode_is_read(mode: str) -> None:
    assert IMAGE.decode(picture(Pillow.new(mode, (16, 16)), "TIFF")).shape == (3, 16, 16)


def test_a_cmyk_jpeg_has_the_right_colours() -> None:
    found = IMAGE.decode(picture(Pillow.new("RGB", (16, 16), (200, 100, 50)).convert("CMYK"), "JPEG"))
    np.testing.assert_allclose(found.mean(axis=(1, 2)), (200, 100, 50), atol=6)


def test_pixels_that_are_not_finite_are_refused() -> None:
    with pytest.raises(InvalidInput, match="finite pixel values"):
        IMAGE.decode(picture(np.full((16, 16), np.nan, dtype=np.float32), "TIFF"))


def test_colour_becomes_grey_where_one_channel_is_asked() -> None:
    found = Image(size=16, channels=1).decode(picture(PIXELS))
    assert found.shape == (1, 16, 16)
    np.testing.assert_array_equal(found[0], np.asarray(Pillow.fromarray(PIXELS).convert("L")))


def test_only_the_first_frame_of_an_animation_counts() -> None:
    frames = [Pillow.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    found = IMAGE.decode(picture(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert (found[0] > 250).all() and (found[2] < 5).all()


def stripes() -> Array:
    """Three blocks side by side, 48 by 16: red, green, blue."""
    pixels = np.zeros((16, 48, 3), dtype=np.uint8)
    for block in range(3):
        pixels[:, 16 * block : 16 * block + 16, block] = 255
    return pixels


def test_crop_keeps_the_centre() -> None:
    found = Image(size=16, fit="crop").decode(picture(stripes()))
    assert (found[1] > 250).all() and (found[0] < 5).all() and (found[2] < 5).all()


def test_pad_keeps_everything_on_white() -> None:
    found = Image(size=48, fit="pad").decode(picture(stripes()))
    assert (found[:, :16] == 255).all() and (found[:, 32:] == 255).all()
    is_like(found[:, 16:32], stripes())


def test_squash_changes_the_proportions() -> None:
    found = Image(size=48, fit="squash").decode(picture(stripes()))
    assert [int(found[:, 24, column].argmax()) for column in (8, 24, 40)] == [0, 1, 2]
    assert (found.max(axis=0) > 250).mean() > 0.9


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("size", [(1, 3000), (3000, 1), (1, 1), (16, 16), (17, 5)])
def test_any_proportions_fit(fit: str, size: tuple[int, int]) -> None:
    found = Image.checked({"size": 16, "fit": fit}).decode(picture(Pillow.new("RGB", size, "red")))
    assert found.shape == (3, 16, 16)


def test_a_picture_over_the_limit_is_refused() -> None:
    with Work(Limits(pixels=255)).active(), pytest.raises(TooLarge, match="at most 255 pixels, received 16x16 pixels"):
        IMAGE.decode(picture(PIXELS))


@pytest.mark.parametrize("side", [9_500, 60_000])
def test_a_picture_that_would_fill_the_memory_is_refused_before_it_does(side: int) -> None:
    header = picture(Pillow.new("1", (8, 8)))
    size = side.to_bytes(4, "big") * 2
    chunk = b"IHDR" + size + header[24:29]
    payload = header[:12] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + header[33:]
    with pytest.raises(TooLarge):
        IMAGE.decode(payload)


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(InvalidInput, match="received an empty file"):
        IMAGE.decode(b"")


@pytest.mark.parametrize("payload", [b"a text, not a picture", b"%PDF-1.7 ...", b"<svg xmlns='x'/>", b"\0" * 64])
def test_other_formats_are_unsupported(payload: bytes) -> None:
    with pytest.raises(UnsupportedMedia, match="bytes of another format"):
        IMAGE.decode(payload)


def test_a_format_that_is_not_listed_is_unsupported() -> None:
    with pytest.raises(UnsupportedMedia):
        IMAGE.decode(picture(PIXELS, "PPM"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_cut_picture_is_refused(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    whole = picture(noise, kind)
    for share in (0.01, 0.02, 0.1, 0.5, 0.9, 0.97):
        with pytest.raises(InvalidInput) as caught:
            IMAGE.decode(whole[: int(len(whole) * share)])
        assert share < 0.1 or type(caught.value) is InvalidInput


@pytest.mark.parametrize("payload", ["picture.png", {"a": 1.0}, [1.0], io.BytesIO(b"")])
def test_anything_but_bytes_is_refused(payload: object) -> None:
    with pytest.raises(InvalidInput, match="instead of a file's bytes"):
        IMAGE.decode(payload)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("size", 0), ("size", -3), ("size", 4097), ("size", True), ("fit", "stretch"), ("channels", 4)],
)
def test_parameters_without_sense_are_refused_at_construction(parameter: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{parameter}: expected .* found "):
        Image(**{parameter: value})  # type: ignore[arg-type]
    with pytest.raises(ManifestError, match=f"parameters of image: {parameter}"):
        Image.checked({parameter: value})
