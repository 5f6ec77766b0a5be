"""The data of a finished training, read again: the same batches each time, and few of them at once."""

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export import acceptance, data
from export.__main__ import main
from export.data import Data
from export.feeds import Feed
from training.checkpoint import read


@pytest.fixture(autouse=True)
def small(with_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many batches of few samples, and no graph that loses too much: on so few samples that is chance."""
    monkeypatch.chdir(with_data)
    monkeypatch.setattr(data, "BATCH", 3)
    for limit in ("LARGEST_DROP", "LARGEST_RISE", "LARGEST_DIFFERENCE"):
        monkeypatch.setattr(acceptance, limit, 1.0)


def test_batches_hold_every_sample_in_order_each_time() -> None:
    found = Data(read(Path("runs/mine")), "a test")
    for split, feeds in found.held_out.items():
        samples = found.trained[split].samples
        assert len(feeds) == -(-len(samples) // 3) > 5 and len(feeds[-1]["present"]) == (len(samples) - 1) % 3 + 1
        once, again = ([feed["text"] for feed in feeds] for _ in range(2))
        assert sum(map(len, once)) == len(samples)
        assert all(np.array_equal(one, other) for one, other in zip(once, again, strict=True))
        assert np.array_equal(feeds[1:3][1]["image"], feeds[2]["image"])
        with pytest.raises(IndexError):
            feeds[len(feeds)]
    joined = list(found.joined)
    assert np.array_equal(joined[len(found.held_out["val"])]["image"], found.held_out["test"][0]["image"])
    shown = [feed["image"] for feed in found.calibration()]
    assert sum(map(len, shown)) == data.CALIBRATED


@pytest.mark.parametrize("option", ["--quantize int8", "--precision fp16", "--precision fp16 --fused"])
def test_few_batches_live_at_once(option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = Alive()
    monkeypatch.setattr(data._Batches, "__getitem__", alive.watch(data._Batches.__getitem__))
    assert main(["runs/mine", "--to", str(tmp_path / "bundle"), *option.split()]) == 0
    assert alive.made > 20 and alive.most <= 3


class Alive:
    """How many batches there were at once, and in all."""

    def __init__(self) -> None:
        self._left: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self.made = self.most = 0

    def watch(self, make: Any) -> Any:
        def made(batches: Any, number: int) -> Feed:
            feed: Feed = make(batches, number)
            self._left[self.made] = feed["image"]
            self.made += 1
            self.most = max(self.most, len(self._left))
            return feed

        return made
