"""The networks as people write them, with torch.nn, Transformers, tabm and torch-geometric, on a float32 frame.

The same sizes as the product's. Data come from a DataLoader that fetches whole batches; one that fetches row by row is
several times slower and would flatter us. The graphs are a list of edges for all rows of a batch, as torch-geometric
has it, built once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

GRAPH_ROWS = 64
"""Rows of a graph batch. A thousand rows at once, as the others have, would take several GiB; gradients are summed."""
PREDICTED_ROWS = 4096
"""At once, in prediction without a graph."""


def frame(path: Path, features: Sequence[str], target: str) -> tuple[torch.Tensor, torch.Tensor]:
    """float32[n, f] of standardised codes and float32[n], as a notebook reads them."""
    import pandas as pd

    table = pd.read_parquet(path, columns=[*features, target])
    x = table[list(features)].astype(np.float32)
    x -= 2.0
    x *= np.float32(np.sqrt(0.5))
    return torch.from_numpy(x.to_numpy()), torch.from_numpy(table[target].to_numpy(np.float32, copy=True))


class WholeBatches(torch.utils.data.Dataset[Any]):
    """Gives all rows of a batch at once."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return self.x[rows], self.y[rows]


def loader(x: torch.Tensor, y: torch.Tensor, rows: int) -> Any:
    """Batches of so many rows in random order."""
    order = torch.utils.data.RandomSampler(range(len(x)), generator=torch.Generator().manual_seed(0))
    sampler = torch.utils.data.BatchSampler(order, rows, drop_last=False)
    return torch.utils.data.DataLoader(WholeBatches(x, y), sampler=sampler, batch_size=None)


def era_loader(x: torch.Tensor, y: torch.Tensor, rows: int) -> Any:
    """A whole era after the other, in random order."""
    starts = np.random.default_rng(0).permutation(len(x) // rows) * rows
    sampler = [slice(start, start + rows) for start in starts.tolist()]
    return torch.utils.data.DataLoader(WholeBatches(x, y), sampler=sampler, batch_size=None)


def forever(batches: Any) -> Iterator[Any]:
    """Epoch after epoch."""
    while True:
        yield from batches


def train(module: nn.Module, batches: Iterator[Any], updates: int, parts: int = 1) -> None:
    """So many updates, each of `parts` batches."""
    module.train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, weight_decay=0.01)
    for _ in range(updates):
        optimizer.zero_grad()
        for _ in range(parts):
            x, y = next(batches)
            (loss_of(module(x), x, y) / parts).backward()
        optimizer.step()


def loss_of(output: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The squared error; of the autoencoder also that of the features, of tabm the mean of those of its parts."""
    if isinstance(output, tuple):
        prediction, decoded = output
        return nn.functional.mse_loss(prediction, y) + nn.functional.mse_loss(decoded, x)
    if output.ndim == 2:
        return nn.functional.mse_loss(output, y[:, None].expand_as(output))
    return nn.functional.mse_loss(output, y)


def predict(module: nn.Module, x: torch.Tensor, rows: int) -> np.ndarray:
    """float32[n], so many rows at once."""
    module.eval()
    with torch.inference_mode():
        outputs = (module(part) for part in x.split(rows))
        first = (each[0] if isinstance(each, tuple) else each for each in outputs)
        return torch.cat([each.mean(1) if each.ndim == 2 else each for each in first]).numpy()


def mlp(features: int, _: Path) -> nn.Module:
    return _perceptron(features)


def _perceptron(features: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs in (features, 256):
        layers += [nn.Linear(inputs, 256), nn.LayerNorm(256), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Linear(256, 1), nn.Flatten(0))


class Autoencoder(nn.Module):
    """A code with noise, a decoder, a perceptron on features and code."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(features, 32), nn.LayerNorm(32), nn.ReLU())
        self.decoder = nn.Linear(32, features)
        self.head = _perceptron(features + 32)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        noisy = x + 0.1 * torch.randn_like(x) if self.training else x
        code = self.encoder(noisy)
        return self.head(torch.cat([x, code], dim=1)), self.decoder(code)


def autoencoder(features: int, _: Path) -> nn.Module:
    return Autoencoder(features)


class Tabm(nn.Module):
    """The package's module; k predictions a row."""

    def __init__(self, features: int) -> None:
        super().__init__()
        import tabm as library

        self.inner = library.TabM.make(n_num_features=features, d_out=1, k=8, n_blocks=2, d_block=128, dropout=0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.inner(x).squeeze(2)
        return found


def tabm(features: int, _: Path) -> nn.Module:
    return Tabm(features)


class GroupTransformer(nn.Module):
    """A linear layer for each group of features, BERT's encoder over these tokens, their mean."""

    def __init__(self, features: int) -> None:
        super().__init__()
        from transformers import BertConfig, BertModel

        self.groups = [part.tolist() for part in np.array_split(np.arange(features), 12)]
        self.tokens = nn.ModuleList(nn.Linear(len(group), 48) for group in self.groups)
        config = BertConfig(
            vocab_size=1,
            type_vocab_size=1,
            pad_token_id=0,
            max_position_embeddings=12,
            hidden_size=48,
            num_hidden_layers=1,
            num_attention_heads=4,
            intermediate_size=96,
            hidden_act="relu",
            hidden_dropout_prob=0.3,
            attention_probs_dropout_prob=0.0,
        )
        self.encoder = BertModel(config, add_pooling_layer=False)
        self.head = nn.Linear(48, 1)

    def embedded(self, x: torch.Tensor) -> torch.Tensor:
        """float32[n, 48]"""
        parts = zip(self.tokens, self.groups, strict=True)
        tokens = torch.stack([token(x[:, group]) for token, group in parts], dim=1)
        found: torch.Tensor = self.encoder(inputs_embeds=tokens).last_hidden_state.mean(dim=1)
        return found

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.embedded(x))[:, 0]
        return found


def transformer(features: int, _: Path) -> nn.Module:
    return GroupTransformer(features)


class Attending(nn.Module):
    """nn.MultiheadAttention and a perceptron, each added and normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(48, 4, batch_first=True)
        self.inner = nn.Sequential(nn.Linear(48, 96), nn.ReLU(), nn.Linear(96, 48), nn.Dropout(0.3))
        self.first, self.second, self.dropout = nn.LayerNorm(48), nn.LayerNorm(48), nn.Dropout(0.3)

    def forward(self, mine: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        hidden = self.first(mine + self.dropout(self.attention(mine, others, others, need_weights=False)[0]))
        found: torch.Tensor = self.second(hidden + self.inner(hidden))
        return found


class EraTransformer(GroupTransformer):
    """The rows of an era attend to each other through sixteen induced points."""

    def __init__(self, features: int) -> None:
        super().__init__(features)
        self.points = nn.Parameter(torch.randn(1, 16, 48))
        self.gather, self.spread = Attending(), Attending()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = self.embedded(x)[None]
        found: torch.Tensor = self.head(self.spread(rows, self.gather(self.points, rows)))[0, :, 0]
        return found


def transformer_across(features: int, _: Path) -> nn.Module:
    return EraTransformer(features)


class GraphNetwork(nn.Module):
    """Two layers of torch-geometric over a list of edges for all rows of the batch."""

    def __init__(self, features: int, edges: torch.Tensor, kind: str) -> None:
        super().__init__()
        from torch_geometric.nn import GATv2Conv, GINConv

        def sums() -> nn.Module:
            return GINConv(nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16)), train_eps=True)

        attention = kind == "gatv2"
        width = 8 if attention else 16
        self.embedding = nn.Parameter(torch.randn(features, width))
        sizes = (width, 16)
        self.layers = nn.ModuleList(
            GATv2Conv(size, 8, heads=2, residual=True) if attention else sums() for size in sizes
        )
        self.dropout, self.readout = nn.Dropout(0.5), nn.Linear(16 * features, 1)
        self.edges, self.lists = edges, {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, features = x.shape
        if rows not in self.lists:
            starts = torch.arange(rows)[:, None, None] * features
            self.lists = {rows: (self.edges[None] + starts).transpose(0, 1).reshape(2, -1).contiguous()}
        hidden = (x[:, :, None] * self.embedding).reshape(rows * features, -1)
        for layer in self.layers:
            hidden = torch.relu(layer(hidden, self.lists[rows]))
        found: torch.Tensor = self.readout(self.dropout(hidden.reshape(rows, -1)))[:, 0]
        return found


def graph(kind: str) -> Callable[[int, Path], nn.Module]:
    """The module over the edges that the product chose, int64[2, e] in edges.npy."""
    return lambda features, folder: GraphNetwork(features, torch.from_numpy(np.load(folder / "edges.npy")), kind)


MODULES: dict[str, Callable[[int, Path], nn.Module]] = {
    "mlp": mlp,
    "autoencoder": autoencoder,
    "tabm": tabm,
    "transformer": transformer,
    "transformer across=era": transformer_across,
    "gatv2": graph("gatv2"),
    "gin": graph("gin"),
}
