"""What a file of predictions carries of its origin: a parquet file in its metadata, a CSV in a side file beside it.

The side file knows the CSV by its content, so that it is found when either was renamed, compressed or decompressed.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from eraflow.data.footer import read_footer
from eraflow.disk.atomic import write_json
from eraflow.rows.compressed import CompressedFile
from eraflow.rows.openrows import form_of
from eraflow.scoring.insample import METADATA, NO_NOTE, UNKNOWN, Origin

SIDE = ".eras.json"
"""What the name of a CSV is followed by in that of its side file."""
READ_BYTES = 1 << 20
MOST_SIDE_BYTES = 16 << 20


def write_side(out: Path, content: Path, origin: Origin) -> Path:
    """Write the side file of the CSV `out`, which `content` is to become."""
    side = out.with_name(out.name + SIDE)
    write_json(side, {**origin.as_dict(), "sha256": content_sha256(content)})
    return side


def origin_of_file(path: Path) -> Origin:
    """What a file of predictions carries, or a side file in its folder that knows its content; else unknown.

    A renamed CSV is found by its content, and so is one that was compressed or decompressed meanwhile.
    """
    if form_of(path) == "parquet":
        footer = read_footer(path)
        text = ((footer.metadata.metadata if footer.metadata else None) or {}).get(METADATA.encode())
        return UNKNOWN if text is None else _parsed(text) or UNKNOWN
    sides = [side for side in _sides(path) if side.is_file()]
    if not sides:
        return UNKNOWN
    digest = content_sha256(path)
    found = (_parsed(_read(side), digest) for side in sides)
    return next((origin for origin in found if origin is not None), UNKNOWN)


def content_sha256(path: Path) -> str:
    """Of the text of a CSV, decompressed where it is compressed."""
    digest = hashlib.sha256()
    with CompressedFile(path) as file:
        while block := file.beginning(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _sides(path: Path) -> list[Path]:
    """The side files of the folder, and of that of the file which a link points to; those of this very name first."""
    folders = {path.absolute().parent, path.resolve().parent}
    places = (place for folder in folders for place in folder.iterdir() if place.name.endswith(SIDE))
    return sorted(places, key=lambda place: (place.name != path.name + SIDE, str(place)))


def _read(side: Path) -> bytes:
    try:
        with side.open("rb") as file:
            return file.read(MOST_SIDE_BYTES)
    except OSError:
        return b""  # not ours to read, so it tells nothing


def _parsed(text: bytes, sha256: str | None = None) -> Origin | None:
    """What is written there; None where it is about other content, or no such note."""
    try:
        values = json.loads(text)
        return Origin.from_dict(values) if sha256 is None or values["sha256"] == sha256 else None
    except NO_NOTE:
        return None
