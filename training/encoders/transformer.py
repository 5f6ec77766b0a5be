"""A transformer over text: any pretrained encoder of transformers, or a small BERT from random weights."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel, BertConfig, BertModel

from bundle.modalities import Modality, Text
from training.encoder import Encoder
from training.errors import ConfigError, PretrainedError
from training.pretrained import load_pretrained


class Transformer(Encoder):
    """Token ids to one vector; padding is recognised by its id, so the graph needs no mask input."""

    ACCEPTS = ("text",)

    @dataclass(frozen=True)
    class Options:
        """Which network, and its first weights."""

        pretrained: str | None = None
        """Hub id or folder in the transformers format, with its tokenizer.json; it then decides the sizes below."""
        width: int = 128
        """Width of the features."""
        layers: int = 2
        """Transformer layers."""
        heads: int = 4
        """Attention heads."""
        pool: Literal["mean", "first"] = "mean"
        """Average the tokens, or take the first ([CLS])."""
        dropout: float = 0.1
        """Inside the network."""

        def __post_init__(self) -> None:
            """Refuse impossible values at construction."""
            for name in ("width", "layers", "heads"):
                if getattr(self, name) < 1:
                    raise ConfigError(f"encoder.{name} must be at least 1, not {getattr(self, name)}")
            if self.width % self.heads:
                raise ConfigError(f"encoder.width must be a multiple of heads, not {self.width} of {self.heads}")
            if not 0 <= self.dropout < 1:
                raise ConfigError(f"encoder.dropout must be from 0 up to, not including, 1, not {self.dropout}")

    def __init__(
        self, modality: Modality, options: "Transformer.Options", architecture: dict[str, Any] | None = None
    ) -> None:
        super().__init__(modality, options)
        assert isinstance(modality, Text)
        self.pad_id = modality.pad_id
        if architecture is not None:
            self.network = AutoModel.from_config(AutoConfig.for_model(**architecture))
        elif options.pretrained is None:
            self.network = BertModel(_small(modality, options), add_pooling_layer=False)
        else:
            self.network = load_pretrained(AutoModel, options.pretrained)
            config = self.network.config
            if config.is_encoder_decoder or not hasattr(config, "vocab_size") or not hasattr(config, "hidden_size"):
                raise PretrainedError(
                    f"pretrained: {options.pretrained!r} holds a model of type {config.model_type!r}, expected one "
                    "that encodes text alone, such as bert"
                )
            positions = getattr(self.network.config, "max_position_embeddings", modality.max_length)
            if modality.max_length > positions:
                raise ConfigError(f"text.max_length {modality.max_length} exceeds the model's {positions} positions")
            if modality.vocabulary > self.network.config.vocab_size:
                raise ConfigError("the tokenizer has more tokens than the pretrained model")
        self.width = int(self.network.config.hidden_size)

    def architecture(self) -> dict[str, Any] | None:
        """The configuration of a pretrained network."""
        return None if self.options.pretrained is None else dict(self.network.config.to_dict())

    def forward(self, values: Tensor) -> Tensor:
        """`(batch, tokens)` ids to `(batch, width)`."""
        mask = values != self.pad_id
        hidden: Tensor = self.network(input_ids=values, attention_mask=self._attended(mask)).last_hidden_state
        if self.options.pool == "first":
            return hidden[:, 0]
        weights = mask.to(hidden.dtype).unsqueeze(-1)
        return (hidden * weights).sum(dim=1) / torch.clamp(weights.sum(dim=1), min=1.0)

    def _attended(self, mask: Tensor) -> Tensor:
        """The mask as the network gets it.

        BERT asks of a mask of tokens whether there is any padding at all, and a GPU's answer comes only when everything
        that was queued before is done. Given a mask of pairs of tokens, it asks nothing.
        """
        return pairs(mask) if mask.is_cuda and isinstance(self.network, BertModel) else mask.long()


def pairs(mask: Tensor) -> Tensor:
    """From `(batch, tokens)`, true for a token, to `(batch, 1, tokens, tokens)`: which tokens each may attend to."""
    return mask[:, None, None].expand(-1, 1, mask.shape[1], -1)


def _small(modality: Text, options: "Transformer.Options") -> BertConfig:
    return BertConfig(
        vocab_size=modality.vocabulary,
        hidden_size=options.width,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        intermediate_size=4 * options.width,
        hidden_dropout_prob=options.dropout,
        attention_probs_dropout_prob=options.dropout,
        max_position_embeddings=modality.max_length,
        pad_token_id=modality.pad_id,
    )
