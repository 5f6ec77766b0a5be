"""Every fusion leaves as a graph that gives torch's logits and shares, for two and for three modalities."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bundle.coalitions import membership
from bundle.manifest import GRAPH
from bundle.predictor import Predictor
from bundle.selfcheck import selfcheck
from export import parity
from export.assemble import assemble
from export.feeds import random_feed
from tests.export.runs import PLAIN, make_run
from training import catalog
from training.checkpoint import read

TWO, THREE = ("pathology", "genomics"), ("video", "genomics", "image")


@pytest.mark.parametrize("modalities", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize("fusion", catalog.names("fusion"))
def test_the_graph_gives_torchs_logits_and_shares(fusion: str, modalities: tuple[str, ...], tmp_path: Path) -> None:
    run = read(make_run(tmp_path / "run", modalities, replace(PLAIN, fusion=fusion)))
    assemble(run, tmp_path / "bundle", fusion)
    session = parity.load(tmp_path / "bundle" / GRAPH)
    for batch in (1, 3, 7):
        feed = random_feed(run.modalities, batch, np.random.default_rng(batch))
        found = parity.run(session, feed)
        inputs = {name: torch.from_numpy(array) for name, array in feed.items()}
        present = inputs.pop("present")
        with torch.inference_mode():
            out = run.model()(inputs, present)
        np.testing.assert_allclose(found["logits"], out.logits.numpy(), rtol=1e-4, atol=1e-4)
        for number, members in enumerate(membership(len(modalities))):
            with torch.inference_mode():
                part = run.model()(inputs, present & torch.from_numpy(members))
            np.testing.assert_allclose(found["coalitions"][:, number], part.logits.numpy(), rtol=1e-4, atol=1e-4)
        for name, share in out.shares.items():
            np.testing.assert_allclose(found[f"share_{name}"], share.numpy(), rtol=1e-4, atol=1e-4, err_msg=name)
    assert selfcheck(Predictor(tmp_path / "bundle")) == 4
