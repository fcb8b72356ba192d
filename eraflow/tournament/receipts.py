"""What was fetched, written beside the file after everything else: proof that it is whole, and which content it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eraflow.store.atomic import write_json
from eraflow.tournament.stream import Offer


@dataclass(frozen=True)
class Receipt:
    """What was fetched. Written as JSON beside the file, after everything else.

    Attributes:
        name: the file's name in the data set, such as `v5.3/live.parquet`.
        path: where it lies.
        bytes, sha256: size and hash of its content.
        etag, last_modified: the server's labels of this content.
        reused: True when the file was here already, and the server still has the same.
    """

    name: str
    path: Path
    bytes: int
    sha256: str
    etag: str | None = None
    last_modified: str | None = None
    reused: bool = False


def receipt_path(destination: Path) -> Path:
    """Where the receipt of a file lies."""
    return destination.with_name(f"{destination.name}.receipt.json")


def same_content(receipt: Receipt, offer: Offer) -> bool:
    """Whether the server offers what the receipt describes. Without a label of its own nothing is certain."""
    if offer.length != receipt.bytes:
        return False
    if offer.etag is not None or receipt.etag is not None:
        return offer.etag == receipt.etag
    return offer.last_modified is not None and offer.last_modified == receipt.last_modified


def write_receipt(receipt: Receipt) -> None:
    """Write the receipt beside its file."""
    write_json(
        receipt_path(receipt.path),
        {
            "name": receipt.name,
            "bytes": receipt.bytes,
            "sha256": receipt.sha256,
            "etag": receipt.etag,
            "last_modified": receipt.last_modified,
        },
    )


def read_receipt(destination: Path, name: str) -> Receipt | None:
    """The receipt beside `destination`; None when there is none for a file of this name."""
    found = read_json(receipt_path(destination))
    if found is None or found.get("name") != name:
        return None
    try:
        return Receipt(path=destination, **found)
    except TypeError:  # written by another version: the file is fetched anew
        return None


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object; None when there is none that can be read."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
