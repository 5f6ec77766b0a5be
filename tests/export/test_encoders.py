"""Every encoder on disk leaves as a graph that gives what torch gives, with and without its modality."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bundle.manifest import GRAPH
from export import parity
from export.assemble import assemble
from export.feeds import masked, random_feed
from tests.export.runs import PLAIN, make_run
from training import catalog
from training.checkpoint import read


@pytest.mark.parametrize("encoder", catalog.names("encoders"))
def test_the_graph_gives_torch_s_logits(encoder: str, tmp_path: Path) -> None:
    kind = catalog.load("encoders", encoder)
    modality = kind.ACCEPTS[0]
    other = "pathology" if modality == "genomics" else "genomics"
    few = {"layers": 2} if hasattr(kind.Options(), "layers") else {}  # twelve alike prove no more, and take a minute
    options = replace(PLAIN.of(modality), encoder=encoder, encoder_options=kind.Options(**few))
    run = read(make_run(tmp_path / "run", (modality, other), replace(PLAIN, **{modality: options})))
    assemble(run, tmp_path / "bundle", encoder)
    session = parity.load(tmp_path / "bundle" / GRAPH)
    feed = random_feed(run.modalities, 5, np.random.default_rng(0))
    inputs = {name: torch.from_numpy(array) for name, array in feed.items() if name != "present"}
    for present in ([True, True], [True, False], [False, True]):
        found = parity.run(session, masked(feed, np.array(present)))
        with torch.inference_mode():
            expected = run.model().examine(inputs, torch.tensor([present] * 5))
        np.testing.assert_allclose(found["logits"], expected.out.logits.numpy(), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found["coalitions"], expected.coalitions.numpy(), rtol=1e-4, atol=1e-4)
        distances = expected.shifts[modality].numpy()
        np.testing.assert_allclose(found[f"shift_{modality}"], distances, rtol=1e-4, atol=1e-4)
        assert (distances > 0).all() == present[0]
