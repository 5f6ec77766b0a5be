"""Draws, plays and writes the files of the generated data: one function for each modality."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bundle.modalities.video import write_mp4
from training.datasets._demo_truth import Truth

Generator = np.random.Generator
PITCHES = (320.0, 510.0, 820.0)
"""Hertz, by `shared`: far apart, so heard at once."""
UNCLEAR_PITCH = 1_300.0
"""Hertz, where the ear is not to tell `shared`."""
PERIODS = (10.0, 6.3, 4.0)
"""Pixels from stripe to stripe, by `shared`: what is big sounds low."""
WIDER = 1.12
"""By which factor `detail` changes pitch and stripes within a class, at most: less than half of the way to the next."""
PULSES = 6.0
"""Per second, in a pulsing tone."""
SIDE = 48
"""Height and width of frames and pictures in pixels; a tile is twice as large and drawn twice as coarse."""
FAINT = 11.0
"""Height of the stripes, of 255: below the noise, so that an encoder takes many steps to see them."""
NOISE = 14.0
"""Standard deviation of the noise of single pixels, of 255."""
DISC, RING = 110, 154
"""Brightness over the ground, of 255, when the light is even: seen at once."""


def _audio(folder: Path, number: int, truth: Truth, generator: Generator) -> dict[str, object]:
    """A tone in noise, steady or switched on and off; sampling rate and channels tell nothing."""
    rate = int(generator.choice([16_000, 22_050, 44_100]))
    time = np.arange(int(rate * generator.uniform(0.8, 1.0))) / rate
    pitch = PITCHES[truth.shared] * WIDER**-truth.detail if truth.clear else UNCLEAR_PITCH
    tone = np.sin(2 * np.pi * pitch * time + generator.uniform(0, 6.28))
    gate = 1.0 + np.sign(np.sin(2 * np.pi * PULSES * time + generator.uniform(0, 6.28))) if truth.sound else 1.0
    wave = 0.15 * tone * gate + 0.06 * generator.standard_normal(len(time))
    channels = int(generator.integers(1, 3))
    path = Path("audio") / f"{number:04}.wav"
    soundfile.write(folder / path, np.repeat(wave[:, None], channels, axis=1), rate)
    return {"audio": path}


def _stripes(truth: Truth, generator: Generator, side: int, scale: float) -> NDArray[np.float64]:
    """Faint stripes in any direction, so that neither mirroring nor turning changes what they tell: `(side, side)`."""
    angle, phase = generator.uniform(0, np.pi), generator.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:side, :side] / scale
    period = PERIODS[truth.shared] * WIDER**truth.detail
    return np.asarray(FAINT * np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period + phase))


def _noise(generator: Generator, side: int) -> NDArray[np.float64]:
    """Of single pixels, of their colours and of the whole light: `(side, side, 3)`."""
    grain = generator.normal(0, NOISE, (side, side, 1)) + generator.normal(0, 5, (side, side, 3))
    return np.asarray(grain + generator.normal(0, 10) + generator.normal(0, 3, 3))


def _drawing(truth: Truth, generator: Generator, place: float) -> NDArray[np.uint8]:
    """A disc or a ring on faint stripes: `(SIDE, SIDE, 3)`."""
    picture = Image.new("L", (SIDE, SIDE), 0)
    radius = SIDE * 0.19
    x, y = SIDE * (0.3 + 0.4 * place), SIDE * 0.5
    box = (x - radius, y - radius, x + radius, y + radius)
    ImageDraw.Draw(picture).ellipse(box, None if truth.sight else 255, 255, 4 if truth.sight else 1)
    shape = np.asarray(picture, dtype=np.float64)[..., None] / 255 * (RING if truth.sight else DISC)
    drawn = 100 + shape + _stripes(truth, generator, SIDE, 1.0)[..., None] + _noise(generator, SIDE)
    return np.clip(drawn, 0, 255).astype(np.uint8)


def _video(folder: Path, number: int, truth: Truth, generator: Generator) -> dict[str, object]:
    start, speed = generator.uniform(0, 1), generator.uniform(-0.1, 0.1)
    frames = [_drawing(truth, generator, float(np.clip(start + speed * step, 0, 1))) for step in range(4)]
    path = Path("video") / f"{number:04}.mp4"
    (folder / path).write_bytes(write_mp4(frames, rate=4))
    return {"video": path}


def _image(folder: Path, number: int, truth: Truth, generator: Generator) -> dict[str, object]:
    path = Path("image") / f"{number:04}.{generator.choice(['png', 'jpg'])}"
    Image.fromarray(_drawing(truth, generator, generator.uniform(0, 1))).save(folder / path, quality=95)
    return {"image": path}


FILLERS = "the a of with some over under near long evening street window".split()
SHARED = ("vast huge heavy bulky".split(), "medium middling moderate fair".split(), "thin little slight tiny".split())
SOUND = ("steady calm even constant".split(), "pulsing beating throbbing restless".split())


def _text(folder: Path, number: int, truth: Truth, generator: Generator) -> dict[str, object]:
    """Twelve words in any order: two tell `sound`, two tell `shared` and, by which they are, something of `detail`."""
    del folder, number
    words = list(generator.choice(FILLERS, 8)) + list(generator.choice(SOUND[truth.sound], 2))
    if truth.clear:
        first = int((truth.detail + 1) / 2 * 3)
        words += SHARED[truth.shared][first : first + 2]
    return {"text": " ".join(generator.permutation(words))}


def _pathology(folder: Path, number: int, truth: Truth, generator: Generator) -> dict[str, object]:
    """Solid or hollow dots on pink with faint stripes; a drawing in the colours of a stain, no tissue."""
    side = 2 * SIDE
    tile = Image.new("RGB", (side, side), (226, 178, 205))
    draw = ImageDraw.Draw(tile)
    for _ in range(9):
        x, y = generator.uniform(0, side, 2)
        radius = generator.uniform(9, 12)
        box = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(box, None if truth.sight else (140, 95, 165), (110, 70, 150), 5)
    drawn = np.asarray(tile) + _stripes(truth, generator, side, 2.0)[..., None] + _noise(generator, side)
    path = Path("pathology") / f"{number:04}.png"
    Image.fromarray(np.clip(drawn, 0, 255).astype(np.uint8)).save(folder / path)
    return {"pathology": path}


def _genomics(folder: Path, number: int, truth: Truth, generator: Generator) -> dict[str, object]:
    """Forty columns in noise: eight tell `shared` and `detail`, eight tell `sound`, some cells are empty."""
    del folder, number
    values = generator.normal(5.0, 1.0, 40)
    values[:8] += (truth.shared - 1) * 2.4 + truth.detail * 0.4 if truth.clear else 0.0
    values[8:16] += (-1.1, 1.1)[truth.sound]
    gone = generator.random(40) < 0.03
    return {f"gene_{index:02}": "" if gone[index] else f"{values[index]:.3f}" for index in range(40)}


Writer = Callable[[Path, int, Truth, Generator], dict[str, object]]
WRITERS: dict[str, Writer] = {
    "audio": _audio,
    "video": _video,
    "image": _image,
    "text": _text,
    "pathology": _pathology,
    "genomics": _genomics,
}
"""By modality: writes a sample's file, where it has one, and gives its cells of the table."""
