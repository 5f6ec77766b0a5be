"""The classifier and its fusion: shares that add up to what one linear layer on the concatenation gives."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from bundle.modalities import Genomics, Image
from training.config import Config, GenomicsOptions, ImageOptions
from training.encoders.convolutional import Convolutional
from training.encoders.snn import SelfNormalising
from training.errors import ConfigError
from training.fusion.concat import Concat
from training.model import Classifier, build

WIDTHS = {"image": 5, "text": 3, "audio": 7}
CONFIG = Config(
    image=ImageOptions(encoder_options=Convolutional.Options(8, 2)),
    genomics=GenomicsOptions(encoder_options=SelfNormalising.Options((6, 4))),
)
MODALITIES = {"image": Image(8), "genomics": Genomics(("a", "b"), (0.0, 0.0), (0.0, 0.0), (1.0, 1.0))}
INPUTS = {"image": torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8), "genomics": torch.randn(4, 2)}


def as_one_layer(fusion: Concat) -> nn.Linear:
    """The linear layer on the concatenated features that the heads are parts of."""
    heads = [head for head in fusion.heads.values() if isinstance(head, nn.Linear)]
    whole = nn.Linear(sum(head.in_features for head in heads), heads[0].out_features)
    with torch.no_grad():
        whole.weight.copy_(torch.cat([head.weight for head in heads], dim=1))
        whole.bias.copy_(torch.stack([head.bias for head in heads]).sum(dim=0))
    return whole


def test_the_sum_of_the_shares_is_a_linear_layer_on_the_concatenation() -> None:
    torch.manual_seed(0)
    fusion = Concat(WIDTHS, 4)
    for head in fusion.heads.values():
        nn.init.normal_(head.bias)  # type: ignore[arg-type]
    features = {name: torch.randn(6, width) for name, width in WIDTHS.items()}
    shares = fusion(features)
    expected = as_one_layer(fusion)(torch.cat(list(features.values()), dim=1))
    assert {name: share.shape for name, share in shares.items()} == dict.fromkeys(WIDTHS, (6, 4))
    assert torch.allclose(sum(shares.values()), expected, atol=1e-6)


def test_trained_from_the_same_start_it_stays_that_layer() -> None:
    torch.manual_seed(0)
    fusion = Concat(WIDTHS, 4)
    whole = as_one_layer(fusion)
    features = {name: torch.randn(6, width) for name, width in WIDTHS.items()}
    labels = torch.arange(6) % 4
    one = torch.optim.SGD(fusion.parameters(), 0.1)
    # the bias is split among the modalities, so that their sum moves as many times as fast
    groups: list[dict[str, object]] = [{"params": [whole.weight]}, {"params": [whole.bias], "lr": 0.3}]
    other = torch.optim.SGD(groups, 0.1)
    for _ in range(5):
        one.zero_grad()
        other.zero_grad()
        logits = torch.stack(list(fusion(features).values())).sum(dim=0)
        torch.autograd.backward(functional.cross_entropy(logits, labels))
        torch.autograd.backward(functional.cross_entropy(whole(torch.cat(list(features.values()), dim=1)), labels))
        one.step()
        other.step()
    assert torch.allclose(as_one_layer(fusion).weight, whole.weight, atol=1e-6)
    assert torch.allclose(as_one_layer(fusion).bias, whole.bias, atol=1e-6)


def test_heads_begin_as_glorot_normal_without_bias() -> None:
    torch.manual_seed(0)
    head = Concat({"image": 800, "text": 2}, 400).heads["image"]
    assert isinstance(head, nn.Linear) and not head.bias.any()
    assert float(head.weight.detach().std()) == pytest.approx(math.sqrt(2 / 1200), rel=0.01)


def test_the_logits_are_the_sum_of_the_shares_and_the_shares_follow_the_features() -> None:
    torch.manual_seed(0)
    model = build(CONFIG, MODALITIES, 3).eval()
    out = model(INPUTS)
    assert torch.equal(out.logits, out.shares["image"] + out.shares["genomics"])
    assert {name: tuple(values.shape) for name, values in out.features.items()} == {"image": (4, 8), "genomics": (4, 4)}
    assert torch.equal(model.fusion(out.features)["image"], out.shares["image"])
    assert model.architectures() == {}


def test_a_share_does_not_depend_on_the_other_modality() -> None:
    torch.manual_seed(0)
    model = build(CONFIG, MODALITIES, 3).eval()
    changed = INPUTS | {"genomics": INPUTS["genomics"] + 1}
    assert torch.equal(model(INPUTS).shares["image"], model(changed).shares["image"])
    assert not torch.equal(model(INPUTS).shares["genomics"], model(changed).shares["genomics"])


def test_the_same_seed_gives_the_same_first_weights() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(5)
        states.append(build(CONFIG, MODALITIES, 3).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_an_encoder_that_does_not_take_its_modality_is_refused() -> None:
    config = Config(image=ImageOptions(encoder="snn", encoder_options=SelfNormalising.Options()))
    with pytest.raises(ConfigError, match="takes genomics, it cannot encode image"):
        build(config, {"image": Image(8)}, 3)


def test_an_unknown_fusion_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown name 'nope' in fusion"):
        build(Config(fusion="nope"), {}, 3)


def test_parts_are_reached_by_modality() -> None:
    model = build(CONFIG, MODALITIES, 3)
    assert isinstance(model, Classifier)
    assert list(model.encoders) == ["image", "genomics"] and isinstance(model.encoders["image"], Convolutional)


def test_logits_and_shares_are_float32_under_mixed_precision_too() -> None:
    model = build(CONFIG, MODALITIES, 3)
    with torch.autocast("cpu", torch.bfloat16):
        out = model(INPUTS)
        assert model.fusion(out.features)["genomics"].dtype == torch.bfloat16, "what the fusion itself gives"
    assert {out.logits.dtype, *(share.dtype for share in out.shares.values())} == {torch.float32}
