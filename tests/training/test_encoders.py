"""Encoders: every modality they accept to a vector, frame by frame or stacked, padding or not."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bundle.modalities import Audio, Genomics, Image, Modality, Pathology, Text, Video
from training import catalog
from training.encoder import Encoder
from training.encoders._pixels import Pixels
from training.encoders.convolutional import Convolutional
from training.encoders.resnet import ResNet
from training.encoders.snn import SelfNormalising
from training.encoders.transformer import Transformer, pairs
from training.errors import ConfigError
from training.tokenizer import train_tokenizer

WORDS = "the cat and the dog saw an owl in the old tree".split()
MODALITIES: dict[str, Modality] = {
    "audio": Audio(2000, 0.3, 64, 64, 8),
    "video": Video(3, 32),
    "image": Image(32),
    "text": Text(train_tokenizer(WORDS, 60), 12),
    "pathology": Pathology(32),
    "genomics": Genomics(("a", "b", "c"), (0.0,) * 3, (0.0,) * 3, (1.0,) * 3),
}
QUICK: dict[str, dict[str, Any]] = {
    "convolutional": {"width": 16, "blocks": 3},
    "resnet": {},
    "snn": {"widths": (8, 6)},
    "vit": {"width": 16, "layers": 1, "heads": 2, "patch": 8},
    "transformer": {"width": 16, "layers": 1, "heads": 2},
}


def build(name: str, modality: Modality, **options: Any) -> Encoder:
    torch.manual_seed(0)
    kind = catalog.load("encoders", name)
    encoder: Encoder = kind(modality, kind.Options(**{**QUICK.get(name, {}), **options}))
    return encoder.eval()


def batch_of(modality: Modality, count: int = 2) -> Tensor:
    generator = np.random.default_rng(0)
    arrays = [modality.normalise(modality.decode(modality.example(generator))) for _ in range(count)]
    return torch.from_numpy(modality.stack(arrays))


ACCEPTED = [(name, modality) for name in QUICK for modality in catalog.load("encoders", name).ACCEPTS]


@pytest.mark.parametrize(("name", "modality"), ACCEPTED)
def test_a_batch_becomes_vectors_of_the_stated_width(name: str, modality: str) -> None:
    encoder = build(name, MODALITIES[modality])
    features = encoder(batch_of(MODALITIES[modality], 3))
    assert features.shape == (3, encoder.width)
    assert features.dtype == torch.float32 and torch.isfinite(features).all()


@pytest.mark.parametrize(("name", "modality"), ACCEPTED)
def test_every_weight_gets_a_gradient(name: str, modality: str) -> None:
    encoder = build(name, MODALITIES[modality]).train()
    encoder(batch_of(MODALITIES[modality], 4)).square().sum().backward()
    assert [key for key, weight in encoder.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize("name", list(QUICK))
def test_a_modality_that_is_not_accepted_is_refused(name: str) -> None:
    for modality in set(MODALITIES) - set(catalog.load("encoders", name).ACCEPTS):
        with pytest.raises(ConfigError, match=f"takes .*, it cannot encode {modality}"):
            build(name, MODALITIES[modality])


@pytest.mark.parametrize("modality", [Image(32, channels=1), Video(2, 32, channels=1)])
@pytest.mark.parametrize("name", ["convolutional", "resnet", "vit"])
def test_grey_pictures_are_encoded_too(name: str, modality: Modality) -> None:
    encoder = build(name, modality)
    assert encoder(batch_of(modality)).shape == (2, encoder.width)


@pytest.mark.parametrize("name", ["convolutional", "resnet", "vit"])
def test_the_features_of_a_clip_are_the_average_of_its_frames(name: str) -> None:
    clips = batch_of(MODALITIES["video"])
    encoder = build(name, MODALITIES["video"])
    frames = torch.stack([encoder(clips[:, frame]) for frame in range(clips.shape[1])], dim=1)
    assert torch.allclose(encoder(clips), frames.mean(dim=1), atol=1e-5)
    assert torch.allclose(encoder(clips), encoder(clips.flip(1)), atol=1e-5), "their order does not matter"


def test_stacked_frames_see_their_order() -> None:
    clips = batch_of(MODALITIES["video"])
    encoder = build("convolutional", MODALITIES["video"], frames="stack")
    assert encoder(clips).shape == (2, 16)
    assert not torch.allclose(encoder(clips), encoder(clips.flip(1)), atol=1e-3)
    first = next(weight for weight in encoder.parameters())
    assert first.shape[1] == 9, "three frames of three colours"


def test_stacking_changes_nothing_for_a_picture() -> None:
    one, other = (build("convolutional", MODALITIES["image"], frames=frames) for frames in ("average", "stack"))
    assert torch.equal(one(batch_of(MODALITIES["image"])), other(batch_of(MODALITIES["image"])))


def trunk(depth: int, channels: int) -> int:
    """Parameters of a residual network without its classifier, from He et al. 2016, table 1."""
    blocks = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}[depth]
    total, before = channels * 64 * 49 + 128, 64
    for stage, count in enumerate(blocks):
        inner = 64 * 2**stage
        after = inner * (1 if depth == 18 else 4)
        for block in range(count):
            if depth == 18:
                total += 9 * before * inner + 9 * inner * inner + 4 * inner
            else:
                total += before * inner + 9 * inner * inner + inner * after + 4 * inner + 2 * after
            if block == 0 and before != after:
                total += before * after + 2 * after
            before = after
    return total


@pytest.mark.parametrize(("depth", "count"), [(18, 11_176_512), (50, 23_508_032)])
def test_residual_networks_have_the_parameters_of_the_paper(depth: int, count: int) -> None:
    encoder = build("resnet", MODALITIES["image"], depth=depth)
    assert trunk(depth, 3) == count
    assert sum(weight.numel() for weight in encoder.parameters()) == count
    grey = build("resnet", MODALITIES["audio"], depth=depth)
    assert sum(weight.numel() for weight in grey.parameters()) == trunk(depth, 1)


def test_a_vision_transformer_has_the_parameters_of_the_paper() -> None:
    """ViT-B/16 without its classifier, from Dosovitskiy et al. 2021, table 1: 12 layers of width 768."""
    width, layers, tokens = 768, 12, (224 // 16) ** 2 + 1
    layer = 4 * (width + 1) * width + (width + 1) * 4 * width + (4 * width + 1) * width + 4 * width
    expected = layers * layer + (3 * 16 * 16 + 1) * width + tokens * width + width + 2 * width
    with torch.device("meta"):
        kind = catalog.load("encoders", "vit")
        encoder = kind(Image(224), kind.Options())
    assert sum(weight.numel() for weight in encoder.parameters()) == expected == 85_798_656


@pytest.mark.parametrize("options", [{"patch": 64}, {"layers": 0}, {"width": 10, "heads": 4}])
def test_an_impossible_vision_transformer_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"encoder\.(patch|layers|width) must be"):
        build("vit", MODALITIES["image"], **options)


def test_pixels_are_standardised_as_for_imagenet_and_spectrograms_pass() -> None:
    pictures = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (pictures / 255 - mean[:, None, None]) / std[:, None, None]
    assert torch.allclose(Pixels(3)(pictures), expected, atol=1e-5)
    spectrogram = torch.randn(2, 1, 4, 4)
    assert Pixels(1)(spectrogram) is spectrogram


@pytest.mark.parametrize("pool", ["mean", "first"])
def test_a_text_alone_equals_the_text_in_a_padded_batch(pool: str) -> None:
    text = MODALITIES["text"]
    assert isinstance(text, Text)
    encoder = build("transformer", text, pool=pool)
    texts = [text.decode(words) for words in ("the cat", "the old dog saw an owl in the tree", "owl")]
    together = encoder(torch.from_numpy(text.stack(texts)))
    for position, ids in enumerate(texts):
        alone = encoder(torch.from_numpy(ids)[None])
        assert torch.allclose(alone[0], together[position], atol=1e-5)


def test_bert_attends_to_the_same_tokens_when_it_is_given_pairs_of_them() -> None:
    text = MODALITIES["text"]
    assert isinstance(text, Text)
    encoder = build("transformer", text)
    ids = torch.from_numpy(text.stack([text.decode(words) for words in ("the cat", "the old dog saw an owl")]))
    mask = ids != text.pad_id
    assert not mask.all()
    network = encoder.get_submodule("network")
    one, other = (network(input_ids=ids, attention_mask=given) for given in (mask.long(), pairs(mask)))
    assert torch.equal(one.last_hidden_state[mask], other.last_hidden_state[mask])


def test_the_order_of_words_matters() -> None:
    text = MODALITIES["text"]
    assert isinstance(text, Text)
    encoder = build("transformer", text)
    one, other = (encoder(torch.from_numpy(text.decode(words))[None]) for words in ("the cat dog", "dog the cat"))
    assert not torch.allclose(one, other, atol=1e-3)


def linears(encoder: nn.Module) -> list[nn.Linear]:
    return [layer for layer in encoder.modules() if isinstance(layer, nn.Linear)]


def test_the_self_normalising_network_begins_with_variance_one_over_fan_in() -> None:
    columns = tuple(f"g{number}" for number in range(400))
    genomics = Genomics(columns, (0.0,) * 400, (0.0,) * 400, (1.0,) * 400)
    encoder = build("snn", genomics, widths=(300, 200))
    for layer in linears(encoder):
        weight = layer.weight.detach()
        assert float(weight.var()) == pytest.approx(1 / layer.in_features, rel=0.03)
        assert abs(float(weight.mean())) < 0.01 and not layer.bias.any()


def test_the_self_normalising_network_keeps_mean_zero_and_variance_one_over_many_layers() -> None:
    columns = tuple(f"g{number}" for number in range(256))
    genomics = Genomics(columns, (0.0,) * 256, (0.0,) * 256, (1.0,) * 256)
    values = torch.randn(2000, 256)
    features = build("snn", genomics, widths=(256,) * 8)(values).detach()
    assert abs(float(features.mean())) < 0.1 and float(features.var()) == pytest.approx(1.0, abs=0.15)
    dropped = build("snn", genomics, widths=(256,) * 8, dropout=0.05).train()(values).detach()
    assert abs(float(dropped.mean())) < 0.15 and float(dropped.var()) == pytest.approx(1.0, abs=0.2)


def test_the_default_self_normalising_network_is_that_of_the_paper() -> None:
    encoder = SelfNormalising(MODALITIES["genomics"], SelfNormalising.Options())
    assert [layer.out_features for layer in linears(encoder)] == [64, 48, 32, 32]


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (Convolutional, {"blocks": 0}, "encoder.blocks must be from 1 to 12"),
        (Convolutional, {"width": 4, "blocks": 4}, r"encoder.width must be at least 2\^\(blocks - 1\), 8, not 4"),
        (SelfNormalising, {"widths": ()}, "encoder.widths must be one or more positive numbers"),
        (SelfNormalising, {"widths": (8, 0)}, "encoder.widths must be one or more positive numbers"),
        (SelfNormalising, {"dropout": 1.0}, "encoder.dropout"),
        (Transformer, {"width": 10, "heads": 4}, "encoder.width must be a multiple of heads"),
        (Transformer, {"layers": 0}, "encoder.layers must be at least 1"),
        (Transformer, {"dropout": -0.1}, "encoder.dropout"),
    ],
)
def test_options_that_cannot_be_are_refused(kind: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        kind.Options(**options)


def test_from_scratch_the_options_are_enough_to_rebuild() -> None:
    for name, modality in ACCEPTED:
        assert build(name, MODALITIES[modality]).architecture() is None


def test_the_base_encoder_encodes_nothing() -> None:
    class Bare(Encoder):
        ACCEPTS = ("image",)

    with pytest.raises(NotImplementedError):
        Bare(MODALITIES["image"], None)(torch.zeros(1))
    assert issubclass(ResNet, Encoder)
