"""The module of the transformer: the encoder of Hugging Face Transformers over tokens that are groups of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from models.networks.losses import SquaredError
from models.networks.network import Network
from models.networks.transformershape import Shape
from models.networks.transformerslibrary import transformers_library


class GroupEncoder(torch.nn.Module):
    """A learned projection of each group of features, the encoder over these tokens, their mean; and a last layer.

    The encoder's position embedding tells which group a token is. In the state_dict stand, beside the weights, which
    columns a token has (`order`, cut by `sizes`) and the number of `heads`, so that it can be computed from that alone.

    Args:
        groups: positions of the features of each token.
        shape: how large it is.
    """

    order: torch.Tensor

    def __init__(self, groups: Sequence[Sequence[int]], shape: Shape) -> None:
        super().__init__()
        self._sizes = [len(members) for members in groups]
        self.register_buffer("order", torch.tensor([at for members in groups for at in members]))
        self.register_buffer("sizes", torch.tensor(self._sizes))
        self.register_buffer("heads", torch.tensor(shape.heads))
        widths = torch.tensor([float(size) for size in self._sizes for _ in range(size)])
        self.projection = torch.nn.Parameter(torch.randn(len(widths), shape.width) / widths.sqrt()[:, None])
        self.encoder = _encoder(len(groups), shape)
        self.head = torch.nn.Linear(shape.width, 1)
        with torch.no_grad():  # so that the training begins near a constant
            self.head.weight.mul_(0.1)
            self.head.bias.zero_()

    def embedded(self, x: torch.Tensor) -> torch.Tensor:
        """float[n, width] of float32[n, f]: each row as the mean of its tokens behind the encoder."""
        parts = zip(x[:, self.order].split(self._sizes, 1), self.projection.split(self._sizes), strict=True)
        tokens = torch.stack([part @ matrix for part, matrix in parts], dim=1)
        hidden: torch.Tensor = self.encoder(inputs_embeds=tokens).last_hidden_state
        return hidden.mean(dim=1)


class GroupTransformer(GroupEncoder):
    """One number a row, from that row alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """float[n] of float32[n, f]"""
        found: torch.Tensor = self.head(self.embedded(x))[:, 0]
        return found


def transformer_network(groups: Sequence[Sequence[int]], shape: Shape) -> Network:
    """The transformer for the training loop."""
    return Network(lambda: GroupTransformer(groups, shape), SquaredError(), last=lambda made: made.head)


def _encoder(tokens: int, shape: Shape) -> Any:
    """BERT's encoder from a configuration; nothing is asked of a hub.

    Dropout within attention stays 0: it would draw from torch's global generator. The attention is named, since
    eager and fused ones differ in the last digits. The word embedding is not used with `inputs_embeds`, nor trained.
    """
    library = transformers_library()
    config = library.BertConfig(
        vocab_size=1,
        type_vocab_size=1,
        pad_token_id=0,
        max_position_embeddings=tokens,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.feedforward,
        hidden_act="relu",  # NumPy has no error function for the usual one
        hidden_dropout_prob=shape.dropout,
        attention_probs_dropout_prob=0.0,
        attn_implementation="eager",
    )
    encoder = library.BertModel(config, add_pooling_layer=False)
    encoder.embeddings.word_embeddings.weight.requires_grad_(False)
    return encoder
