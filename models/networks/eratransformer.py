"""The transformer that attends across the stocks of an era, through a few induced points."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch

from models.networks.grouptransformer import GroupEncoder
from models.networks.losses import SquaredError
from models.networks.network import Network
from models.networks.transformershape import Shape


class EraTransformer(GroupEncoder):
    """Each row as in `GroupEncoder`; then the rows of an era learn of each other, and one number a row comes out.

    Induced set attention (Lee and others, Set Transformer, ICML 2019): a few learned points attend to all rows of the
    era, and the rows attend to these points, so that the cost is linear in the rows. A row's place in its era does not
    matter.

    Args:
        groups: positions of the features of each token.
        shape: how large it is.
        points: how many induced points there are.
    """

    def __init__(self, groups: Sequence[Sequence[int]], shape: Shape, points: int) -> None:
        super().__init__(groups, shape)
        self.points = torch.nn.Parameter(torch.randn(points, shape.width))
        self.gather = Attending(shape)
        self.spread = Attending(shape)

    def forward(self, x: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        """float[n] of float32[n, f] and int64[e + 1], the offsets of the eras."""
        rows = self.embedded(x)
        eras = [self._era(rows[start:stop]) for start, stop in pairwise(offsets.tolist())]
        found: torch.Tensor = self.head(torch.cat(eras))[:, 0]
        return found

    def _era(self, rows: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.spread(rows, self.gather(self.points, rows))
        return found


class Attending(torch.nn.Module):
    """Some vectors attend to others: attention and a perceptron, each added and normalised."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self._heads = shape.heads
        self.query, self.key, self.value, self.dense = (torch.nn.Linear(shape.width, shape.width) for _ in range(4))
        self.inner = torch.nn.Linear(shape.width, shape.feedforward)
        self.outer = torch.nn.Linear(shape.feedforward, shape.width)
        self.first, self.second = torch.nn.LayerNorm(shape.width), torch.nn.LayerNorm(shape.width)
        self.dropout = torch.nn.Dropout(shape.dropout)

    def forward(self, mine: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """float[q, width] of float[q, width], which attend to float[k, width]."""
        query, key, value = self._by_head(self.query(mine)), self._by_head(self.key(others)), self.value(others)
        shares = (query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5).softmax(dim=-1)
        context = (shares @ self._by_head(value)).transpose(0, 1).reshape(mine.shape)
        hidden = self.first(mine + self.dropout(self.dense(context)))
        found: torch.Tensor = self.second(hidden + self.dropout(self.outer(self.inner(hidden).relu())))
        return found

    def _by_head(self, x: torch.Tensor) -> torch.Tensor:
        """float[heads, n, width / heads]"""
        return x.unflatten(1, (self._heads, -1)).transpose(0, 1)


def era_transformer_network(groups: Sequence[Sequence[int]], shape: Shape, points: int) -> Network:
    """The transformer across the era for the training loop, which gives it whole eras."""
    return Network(
        lambda: EraTransformer(groups, shape, points), SquaredError(), last=lambda made: made.head, takes_offsets=True
    )
