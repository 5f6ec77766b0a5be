"""Work: ended at any checkpoint, from any thread, and never mistaken for a fault of the payload."""

from functools import cache
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
from PIL import Image

from bundle.errors import InvalidInput, WorkCancelled
from bundle.modalities import MODALITIES
from bundle.predictor import Predictor
from bundle.work import Work, checkpoint
from tests.bundle.endless import build_endless
from tests.bundle.media import brightening, colourful, picture, sound, talking_clip, tone
from tests.bundles import build_bundle, tiny_modality


class Countdown(Work):
    """Cancelled at its checkpoint number `left`, counted from 0."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left

    @property
    def cancelled(self) -> bool:
        self.left -= 1
        return self.left < 0


@cache
def payloads(kind: str) -> list[bytes]:
    clips = [
        talking_clip(brightening(3), tone(500, 48_000, 0.3, 2), 48_000, "mp4", "aac", "libx264"),
        talking_clip(brightening(3), tone(500, 48_000, 0.3, 2), 48_000, "webm", "libopus", "libvpx"),
    ]
    transparent = picture(Image.fromarray(colourful()).convert("RGBA"))
    deep = picture(Image.fromarray(np.full((400, 9), 900, np.uint16)))
    return {
        "audio": [sound(tone(500, 22_050, 0.9), 22_050, form) for form in ("WAV", "FLAC", "OGG", "MP3")] + clips,
        "video": clips,
        "image": [picture(colourful(), form) for form in ("PNG", "JPEG", "WEBP", "GIF", "TIFF")] + [transparent, deep],
        "pathology": [picture(colourful(), form) for form in ("JPEG", "JPEG2000", "BMP")],
        "text": [b"red house"],
        "genomics": [b'{"gene_A": 1.5}'],
    }[kind]


@pytest.mark.parametrize("kind", sorted(set(MODALITIES) - {"genomics"}))
def test_decoding_ends_at_whichever_checkpoint_it_is_cancelled(kind: str) -> None:
    modality = tiny_modality(kind)
    for payload in payloads(kind):
        counter = Countdown(1_000_000)
        with counter.active():
            modality.normalise(modality.decode(payload))
        count = 1_000_000 - counter.left
        assert count >= 1
        for place in range(count):
            with pytest.raises(WorkCancelled), Countdown(place).active():
                modality.normalise(modality.decode(payload))


def test_without_work_a_checkpoint_does_nothing() -> None:
    checkpoint()
    with Work().active():
        checkpoint()


def test_work_that_was_cancelled_is_not_begun(tmp_path: Path) -> None:
    predictor = Predictor(build_bundle(tmp_path / "bundle", ("text", "genomics")))
    sample = {"text": b"red house", "genomics": b'{"gene_A": 1.5}'}
    work = Work()
    expected = predictor.infer([predictor.prepare(sample)])
    prepared = predictor.prepare(sample, work)
    assert predictor.infer([prepared], work) == expected
    work.cancel()
    work.cancel()
    with pytest.raises(WorkCancelled):
        predictor.prepare(sample, work)
    with pytest.raises(WorkCancelled):
        predictor.infer([prepared], work)
    assert predictor.infer([prepared]) == expected


def test_the_work_of_one_thread_is_not_that_of_another() -> None:
    work, seen = Work(), Event()
    work.cancel()

    def run() -> None:
        checkpoint()
        seen.set()

    with work.active():
        thread = Thread(target=run)
        thread.start()
        thread.join()
    assert seen.is_set()


def test_a_watcher_is_called_once_and_only_inside_its_context() -> None:
    work, called = Work(), []
    with work.watched(lambda: called.append("gone")):
        pass
    with work.watched(lambda: called.append("here")):
        work.cancel()
        work.cancel()
    assert called == ["here"]
    with pytest.raises(WorkCancelled), work.watched(lambda: called.append("late")):
        called.append("never")
    assert called == ["here"]


@pytest.fixture
def endless(tmp_path: Path) -> Predictor:
    return build_endless(tmp_path / "bundle")


def test_a_graph_that_runs_ends_soon_after_it_is_cancelled(endless: Predictor) -> None:
    work = Work()
    prepared = endless.prepare({"text": b"red house", "genomics": b'{"gene_A": 1.5}'})
    begun = Event()
    found: list[Exception] = []

    def run() -> None:
        begun.set()
        try:
            endless.infer([prepared], work)
        except (WorkCancelled, InvalidInput) as error:
            found.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    begun.wait()
    thread.join(0.3)
    assert thread.is_alive(), "it counts"
    work.cancel()
    thread.join(60)
    assert [type(error) for error in found] == [WorkCancelled]
