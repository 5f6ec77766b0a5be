"""Stand-ins take the place of exactly the modalities that are absent, whatever their names."""

from itertools import permutations

import numpy as np
import pytest
import torch

from bundle.coalitions import membership
from training.absence import StandIns


@pytest.mark.parametrize("names", list(permutations(("pathology", "audio", "genomics"))))
def test_the_columns_of_the_mask_are_the_modalities_in_their_order(names: tuple[str, ...]) -> None:
    stand_ins = StandIns(dict(zip(names, (2, 3, 4), strict=True)))
    features = {name: torch.full((8, width), 5.0) for name, width in zip(names, (2, 3, 4), strict=True)}
    with torch.no_grad():
        for position, name in enumerate(names):
            stand_ins.vectors[name].fill_(-1.0 - position)
        found = stand_ins(features, torch.from_numpy(np.array(membership(3))))
    for row, present in enumerate(membership(3)):
        for position, name in enumerate(names):
            assert (found[name][row] == (5.0 if present[position] else -1.0 - position)).all()
