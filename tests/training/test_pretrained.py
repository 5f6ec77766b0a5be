"""Pretrained networks: saved in the transformers format, fine-tuned, and rebuilt without their folder."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from huggingface_hub import constants
from tokenizers import Tokenizer
from transformers import (
    AutoModel,
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ResNetConfig,
    ResNetModel,
    T5Config,
    T5Model,
    ViTConfig,
    ViTModel,
)
from transformers.utils import logging

from bundle.modalities import Image, Text
from tests.training.conftest import Refused
from training import pretrained
from training.checkpoint import read
from training.encoders.resnet import ResNet
from training.encoders.transformer import Transformer
from training.encoders.vit import VisionTransformer
from training.errors import ConfigError
from training.fit import main
from training.tokenizer import train_tokenizer

TEXTS = ["the cat of number and", "the dog is old and small", "an owl of another number"]
SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


def save_tokenizer(folder: Path, **special: object) -> Tokenizer:
    tokenizer = Tokenizer.from_str(train_tokenizer(TEXTS, 70))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", **special).save_pretrained(folder)
    return tokenizer


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.disable_progress_bar()


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    folder = tmp_path / "bert"
    tokenizer = save_tokenizer(folder, pad_token="[PAD]")
    config = BertConfig(vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=24, **SIZES)
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def resnet(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], layer_type="basic")
    ResNetModel(config).save_pretrained(tmp_path / "resnet")
    return tmp_path / "resnet"


@pytest.fixture
def vit(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    ViTModel(ViTConfig(image_size=32, patch_size=8, **SIZES)).save_pretrained(tmp_path / "vit")
    return tmp_path / "vit"


def text_of(folder: Path, max_length: int = 12) -> Text:
    return Text((folder / "tokenizer.json").read_text("utf-8"), max_length)


def test_a_pretrained_text_model_is_taken_with_its_weights(bert: Path) -> None:
    text = text_of(bert)
    encoder = Transformer(text, Transformer.Options(str(bert), pool="first")).eval()
    ids = torch.from_numpy(text.decode("the old cat"))[None]
    expected = BertModel.from_pretrained(bert).eval()(ids).last_hidden_state[:, 0]
    assert encoder.width == 16 and torch.allclose(encoder(ids), expected, atol=1e-6)


def test_pretrained_pictures_are_taken_with_their_weights(resnet: Path) -> None:
    encoder = ResNet(Image(32), ResNet.Options(pretrained=str(resnet))).eval()
    pictures = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    expected = ResNetModel.from_pretrained(resnet).eval()(encoder.pixels(pictures)).pooler_output.flatten(1)
    assert encoder.width == 12 and torch.allclose(encoder(pictures), expected, atol=1e-6)


def test_a_pretrained_vision_transformer_is_taken_with_its_weights_and_rebuilt_without_them(vit: Path) -> None:
    encoder = VisionTransformer(Image(32), VisionTransformer.Options(pretrained=str(vit))).eval()
    pictures = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    expected = ViTModel.from_pretrained(vit).eval()(encoder.pixels(pictures)).last_hidden_state[:, 0]
    assert encoder.width == 16 and torch.allclose(encoder(pictures), expected, atol=1e-6)
    described = json.loads(json.dumps(encoder.architecture()))
    shutil.rmtree(vit)
    rebuilt = VisionTransformer(Image(32), encoder.options, described).eval()
    rebuilt.load_state_dict(encoder.state_dict())
    assert torch.allclose(rebuilt(pictures), expected, atol=1e-6)


@pytest.mark.parametrize("picture", [Image(48), Image(32, channels=1)])
def test_pictures_of_another_kind_than_the_vision_transformer_was_made_for_are_refused(
    vit: Path, picture: Image
) -> None:
    with pytest.raises(ConfigError, match=r"takes pictures of 3 channels and 32 pixels, not of .*--image\.size 32"):
        VisionTransformer(picture, VisionTransformer.Options(pretrained=str(vit)))


def test_one_channel_takes_the_sum_of_the_first_kernel_over_colours(resnet: Path) -> None:
    colour = ResNet(Image(32), ResNet.Options(pretrained=str(resnet))).eval()
    grey = ResNet(Image(32, channels=1), ResNet.Options(pretrained=str(resnet))).eval()
    kernel, summed = (encoder.network.embedder.embedder.convolution.weight for encoder in (colour, grey))
    assert torch.equal(summed, kernel.sum(dim=1, keepdim=True))
    plane = torch.randn(2, 1, 32, 32)
    assert torch.allclose(grey(plane), colour(plane.expand(-1, 3, -1, -1)), atol=1e-4)


@pytest.mark.parametrize("modality", ["image", "audio"])
def test_a_run_needs_its_pretrained_folders_no_more(
    modality: str, bert: Path, resnet: Path, table: Path, tmp_path: Path, decoded: Path
) -> None:
    options = ["--dataset", "table", "--dataset.path", table, "--out", tmp_path / "run", "--cache", decoded]
    options += ["--method", "infobridge", "--epochs", "1", "--batch-size", "8", "--device", "cpu", "--image.size", "16"]
    options += ["--audio.rate", "2000", "--audio.window", "64", "--audio.hop", "64", "--audio.bins", "16"]
    options += ["--modalities", modality, "text", "--text.encoder.pretrained", bert, "--text.max-length", "12"]
    options += [f"--{modality}.encoder", "resnet", f"--{modality}.encoder.pretrained", resnet]
    assert main([str(option) for option in options]) == 0
    own = json.loads((bert / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    assert json.loads((tmp_path / "run" / "tokenizer.json").read_text("utf-8"))["model"]["vocab"] == own
    before = read(tmp_path / "run").model()
    shutil.rmtree(bert)
    shutil.rmtree(resnet)
    checkpoint = read(tmp_path / "run")
    model = checkpoint.model()
    text, other = checkpoint.modalities["text"], checkpoint.modalities[modality]
    generator = np.random.default_rng(0)
    inputs = {
        name: torch.from_numpy(found.stack([found.normalise(found.decode(found.example(generator)))]))
        for name, found in (("text", text), (modality, other))
    }
    assert torch.equal(model(inputs).logits, before(inputs).logits)
    trained = model.encoders["text"].network.state_dict()  # type: ignore[union-attr]
    assert trained and set(checkpoint.architectures) == {"text", modality}


def test_any_text_model_of_the_library_may_be_named(tmp_path: Path) -> None:
    folder = tmp_path / "distilbert"
    tokenizer = save_tokenizer(folder, pad_token="[PAD]")
    config = DistilBertConfig(vocab_size=tokenizer.get_vocab_size(), dim=16, n_layers=1, n_heads=2, hidden_dim=32)
    DistilBertModel(config).save_pretrained(folder)
    first = Transformer(text_of(folder), Transformer.Options(str(folder))).eval()
    again = Transformer(text_of(folder), Transformer.Options(str(folder)), json.loads(json.dumps(first.architecture())))
    again.load_state_dict(first.state_dict())
    ids = torch.from_numpy(text_of(folder).decode("an old owl"))[None]
    assert torch.equal(again.eval()(ids), first(ids))


def test_a_text_longer_than_the_model_is_refused(bert: Path) -> None:
    with pytest.raises(ConfigError, match=r"text\.max_length 25 exceeds the model's 24 positions"):
        Transformer(text_of(bert, 25), Transformer.Options(str(bert)))


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(bert: Path) -> None:
    larger = Text(train_tokenizer(["every letter abcdefghijklmnopqrstuvwxyz " + " ".join(TEXTS)], 500), 12)
    with pytest.raises(ConfigError, match="the tokenizer has more tokens than the pretrained model"):
        Transformer(larger, Transformer.Options(str(bert)))


def test_a_tokenizer_without_padding_is_refused(refused: Refused, table: Path, bert: Path) -> None:
    (bert / "tokenizer_config.json").unlink()
    save_tokenizer(bert)
    (line,) = refused(table, "--text.encoder.pretrained", bert)
    assert (
        line == f"--text.encoder.pretrained: {str(bert)!r} has a tokenizer without a padding token, expected one with"
    )


@pytest.mark.parametrize("absent", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_folder_without_one_of_its_files_is_refused(absent: str, refused: Refused, table: Path, bert: Path) -> None:
    (bert / absent).unlink()
    (line,) = refused(table, "--text.encoder.pretrained", bert)
    assert (
        line.startswith("--text.encoder.pretrained: the folder ")
        and "without the option, training starts from random" in line
    )


def test_a_text_longer_than_the_tokenizer_was_made_for_is_refused(refused: Refused, table: Path, bert: Path) -> None:
    save_tokenizer(bert, pad_token="[PAD]", model_max_length=7)
    (line,) = refused(table, "--text.encoder.pretrained", bert)
    assert line == f"text.max_length must be at most 7, which {str(bert)!r} was made for, not 8"


def test_a_model_of_another_kind_is_refused(bert: Path) -> None:
    with pytest.raises(ConfigError, match="it holds a model of type 'bert', expected 'resnet'"):
        ResNet(Image(32), ResNet.Options(pretrained=str(bert)))


def test_text_is_not_given_to_what_does_not_encode_it_alone(vit: Path, tmp_path: Path) -> None:
    tokens = save_tokenizer(vit, pad_token="[PAD]").get_vocab_size()
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    T5Model(T5Config(vocab_size=tokens, **sizes)).save_pretrained(tmp_path / "t5")
    for folder, kind in ((vit, "vit"), (tmp_path / "t5", "t5")):
        with pytest.raises(ConfigError, match=f"a model of type '{kind}', expected one that encodes text alone"):
            Transformer(text_of(vit), Transformer.Options(str(folder)))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A network in which nothing answers; what was asked for."""
    asked: list[str] = []

    def nobody(url: str, timeout: float) -> None:
        assert timeout <= 5
        asked.append(url)
        raise httpx.ConnectError("no route")

    monkeypatch.setattr(httpx, "head", nobody)
    pretrained.reachable.cache_clear()
    yield asked
    pretrained.reachable.cache_clear()


def test_a_hub_that_cannot_be_reached_is_asked_once_and_the_error_says_what_to_do(offline: list[str]) -> None:
    for load in (
        lambda: ResNet(Image(32), ResNet.Options(pretrained="somebody/absent")),
        lambda: VisionTransformer(Image(32), VisionTransformer.Options(pretrained="somebody/absent")),
        lambda: pretrained.load_tokenizer("somebody/absent", 12),
        lambda: pretrained.load_pretrained(AutoModel, "somebody/absent"),
    ):
        with pytest.raises(ConfigError, match=r"cannot be reached.*`hf download somebody/absent --local-dir FOLDER`"):
            load()
    assert len(offline) == 1


def test_what_was_downloaded_before_is_taken_without_the_hub(
    bert: Path, tmp_path: Path, offline: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "hub" / "models--somebody--bert"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("0" * 40)
    shutil.copytree(bert, kept / "snapshots" / ("0" * 40))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    text = pretrained.load_tokenizer("somebody/bert", 12)
    assert text == pretrained.load_tokenizer(str(bert), 12)
    assert Transformer(text, Transformer.Options("somebody/bert")).width == 16 and offline


def test_weights_that_are_not_there_are_not_made_up(resnet: Path) -> None:
    deeper = json.loads((resnet / "config.json").read_text("utf-8")) | {"depths": [2, 1]}
    (resnet / "config.json").write_text(json.dumps(deeper), "utf-8")
    with pytest.raises(ConfigError, match="its weights lack encoder"):
        ResNet(Image(32), ResNet.Options(pretrained=str(resnet)))


def test_damaged_weights_are_refused(resnet: Path) -> None:
    weights = resnet / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ConfigError, match="gives no ResNetModel"):
        ResNet(Image(32), ResNet.Options(pretrained=str(resnet)))


def test_the_library_is_asked_only_for_what_may_be_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked for a path")

    monkeypatch.setattr(PreTrainedModel, "from_pretrained", refuse)
    for name in ("/absent", "./absent", "a/b/c", "../absent", "absent folder", "~/absent", ""):
        with pytest.raises(ConfigError, match="pretrained: found no folder"):
            ResNet(Image(32), ResNet.Options(pretrained=name))
