"""Uploaded models kept in the home: their bytes with the hash, and for which slot and round each was uploaded.

HOME/uploads/SLOT/NUMBER-SHA/   model.pkl and what lies beside it, then upload.json, which makes it whole

SLOT is a hash of the source and the slot's id, because an id comes from a server and must not choose a folder. Nothing
here is ever unpickled: a model is sent again as the bytes that it is, when they still have the hash that was noted.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import storage_errors, write_bytes, write_json
from eraflow.disk.digest import file_sha256, value_sha256
from eraflow.disk.jsonobject import read_object
from eraflow.errors import EraflowError
from eraflow.numerai.pickles import ActivePickle
from eraflow.numerai.pickleupload import WantedUpload

FOLDER, MODEL, ENTRY = "uploads", "model.pkl", "upload.json"
SHOWN_HASH = 12


class KeptModelError(EraflowError):
    """A kept model is damaged, or there is none to be restored. Nothing was sent."""

    code = "kept_model"


@dataclass(frozen=True)
class KeptModel:
    """A model that was uploaded, or was about to be.

    Attributes:
        path: its folder.
        sha256, bytes: of the pickle.
        python, data_version: what it was uploaded for.
        slot_id, slot_name: the slot.
        signature: of its ensemble.
        round_number: the round that it was judged for.
        run_dir: the run that made it.
        kept_at: when it was kept, ISO 8601.
        upload_id: the tournament's; None as long as it was not delivered.
        delivered_at: when it was last delivered, ISO 8601; None: never.
    """

    path: Path
    sha256: str
    bytes: int
    python: str
    data_version: str
    slot_id: str
    slot_name: str
    signature: str
    round_number: int
    run_dir: str
    kept_at: str
    upload_id: str | None = None
    delivered_at: str | None = None

    @property
    def pickle(self) -> Path:
        """The file."""
        return self.path / MODEL

    @property
    def wanted(self) -> WantedUpload:
        """As it is uploaded."""
        return WantedUpload(self.pickle, self.sha256, self.python, self.data_version)

    def checked(self) -> KeptModel:
        """This model, when its bytes still have the hash that was noted.

        Raises:
            KeptModelError: they have not, or are gone.
        """
        found = file_sha256(self.pickle) if self.pickle.is_file() else "none"
        if found != self.sha256:
            raise KeptModelError(
                f"{self.pickle} is not the model that was kept (sha256 {found[:12]}, not {self.sha256[:12]})",
                f"remove {self.path} and restore an older one, or upload that of a run: `eraflow upload --run-dir DIR`",
            )
        return self

    def is_run_by(self, active: ActivePickle | None) -> bool:
        """Whether it is what a slot runs."""
        return active is not None and (active.id == self.upload_id or self.wanted.stem in active.filename)


def slot_folder(home: Path, source: str, slot_id: str) -> Path:
    """Where the models of a slot are kept.

    Args:
        home: the home folder.
        source: name of the source, such as `numerai`.
        slot_id: as the server tells it.
    """
    return home / FOLDER / value_sha256([source, slot_id])[:16]


def keep_model(folder: Path, files: Mapping[str, Path], told: Mapping[str, Any]) -> KeptModel:
    """Keep a model before it is uploaded; one that is kept already stays as it is.

    Args:
        folder: of the slot.
        files: name -> file; `model.pkl` is the model, all others lie beside it.
        told: fields of `KeptModel`: python, data_version, slot_id, slot_name, signature, round_number, run_dir.

    Raises:
        StorageError: it cannot be written.
    """
    found, entries = file_sha256(files[MODEL]), kept_models(folder)
    there = next((entry for entry in entries if (entry.sha256, entry.python) == (found, told["python"])), None)
    number = 1 + max((int(entry.path.name.partition("-")[0]) for entry in entries), default=0)
    path = folder / f"{number:06d}-{found[:SHOWN_HASH]}" if there is None else there.path
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    for name, file in files.items():
        if not (path / name).is_file() or file_sha256(path / name) != file_sha256(file):
            write_bytes(path / name, file.read_bytes())
    now = datetime.now(UTC).isoformat()
    entry = KeptModel(path, found, files[MODEL].stat().st_size, kept_at=now, **told)
    if there is not None:
        entry = replace(entry, kept_at=there.kept_at, upload_id=there.upload_id, delivered_at=there.delivered_at)
    return _written(entry)


def note_delivered(entry: KeptModel, upload_id: str) -> KeptModel:
    """Note that the slot runs it."""
    return _written(replace(entry, upload_id=upload_id, delivered_at=datetime.now(UTC).isoformat()))


def kept_models(folder: Path) -> list[KeptModel]:
    """The models of a slot, the one that was delivered last first; those that were never delivered come last."""
    found = [_read(path.parent) for path in sorted(folder.glob(f"[0-9]*-*/{ENTRY}"), reverse=True)]
    return sorted((one for one in found if one is not None), key=lambda one: one.delivered_at or "", reverse=True)


def model_before(entries: Sequence[KeptModel], active: ActivePickle | None) -> KeptModel:
    """The model that a slot ran before the one that it runs.

    Raises:
        KeptModelError: none is kept.
    """
    for entry in entries:
        if entry.delivered_at is not None and not entry.is_run_by(active):
            return entry
    raise KeptModelError(
        "no earlier model of this slot is kept in this home",
        "name the home and the slot that it was uploaded from (--home, --set submit.model=NAME), or upload the model "
        "of a run: `eraflow upload --run-dir DIR`",
    )


def forget_old(folder: Path, kept: int) -> list[Path]:
    """Remove all but the newest `kept` models of a slot; returns what was removed. The note goes first."""
    gone = [entry.path for entry in kept_models(folder)[kept:]]
    for path in gone:
        with storage_errors(path):
            (path / ENTRY).unlink(missing_ok=True)
            shutil.rmtree(path)
    return gone


def _written(entry: KeptModel) -> KeptModel:
    values = asdict(entry)
    values.pop("path")
    write_json(entry.path / ENTRY, values)
    return entry


def _read(path: Path) -> KeptModel | None:
    values = read_object(path / ENTRY)
    try:
        return None if values is None else KeptModel(path=path, **values)
    except TypeError:  # damaged, or of another version
        return None
