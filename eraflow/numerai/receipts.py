"""What was fetched, written beside the file: proof that it is whole, and which content it is.

NAME.arrived.json   all bytes are here, and are those that the server's checksums, if any, speak of
NAME.receipt.json   and every page was decoded: what later weeks rely on, together with the sha256 in it
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from eraflow.disk.atomic import storage_errors, write_json
from eraflow.disk.jsonobject import read_object
from eraflow.numerai.httpstream import Offer


@dataclass(frozen=True)
class Receipt:
    """What was fetched. Written as JSON beside the file, after everything else; see the head of this module.

    Attributes:
        name: the file's name in the data set, such as `v5.3/live.parquet`.
        path: where it lies.
        bytes, sha256: size and hash of its content.
        etag, last_modified: the server's labels of this content.
        reused: True when the file was here already, and the server still has the same.
        checksum: the kind of the server's checksum that the bytes agree with; None where it states none.
        decoded: whether every page was decoded.
    """

    name: str
    path: Path
    bytes: int
    sha256: str
    etag: str | None = None
    last_modified: str | None = None
    reused: bool = False
    checksum: str | None = None
    decoded: bool = False


def receipt_path(destination: Path) -> Path:
    """Where the receipt of a file lies."""
    return destination.with_name(f"{destination.name}.receipt.json")


def arrival_path(destination: Path) -> Path:
    """Where the note lies that a file has arrived whole, and was not decoded yet."""
    return destination.with_name(f"{destination.name}.arrived.json")


def same_content(receipt: Receipt, offer: Offer) -> bool:
    """Whether the server offers what the receipt describes. Without a label of its own nothing is certain."""
    if offer.length != receipt.bytes:
        return False
    if offer.etag is not None or receipt.etag is not None:
        return offer.etag == receipt.etag
    return offer.last_modified is not None and offer.last_modified == receipt.last_modified


def write_receipt(receipt: Receipt) -> None:
    """Write the receipt beside its file, or, of a file that was not decoded, the note that it has arrived."""
    write_json(
        receipt_path(receipt.path) if receipt.decoded else arrival_path(receipt.path),
        {
            "name": receipt.name,
            "bytes": receipt.bytes,
            "sha256": receipt.sha256,
            "etag": receipt.etag,
            "last_modified": receipt.last_modified,
            "checksum": receipt.checksum,
            "decoded": receipt.decoded,
        },
    )
    if receipt.decoded:
        with storage_errors(receipt.path):
            arrival_path(receipt.path).unlink(missing_ok=True)


def seal(receipt: Receipt) -> Receipt:
    """Write the receipt of a file whose pages have all been decoded, and return it."""
    sealed = replace(receipt, decoded=True)
    if sealed != receipt:
        write_receipt(sealed)
    return sealed


def forget(destination: Path) -> None:
    """Remove what vouches for a file, whose content is about to be another or is not to be trusted."""
    with storage_errors(destination):
        receipt_path(destination).unlink(missing_ok=True)
        arrival_path(destination).unlink(missing_ok=True)


def read_receipt(destination: Path, name: str) -> Receipt | None:
    """The receipt beside `destination`, or the note of its arrival; None when there is none for a file of this name."""
    for path in (receipt_path(destination), arrival_path(destination)):
        found = read_object(path)
        if found is None or found.get("name") != name:
            continue
        try:
            return Receipt(path=destination, **found)
        except TypeError:  # damaged: the file is fetched anew
            continue
    return None
