"""Bases of networks, kept between windows, runs and weeks: each trained once, by one process, and used by all.

    FOLDER/KEY/model.json, weights...    a base as it was saved
    FOLDER/KEY/base.json                 written last: the sha256 of model.json, and what its training told
    FOLDER/KEY.lock                      held by whoever trains or takes it

A key names everything that decides the base, so a base that is not there, or is damaged, is trained anew to the same
bytes; the store saves time and nothing else.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import StorageError, write_json
from eraflow.disk.digest import file_sha256, value_sha256
from eraflow.disk.keptentries import put, turn
from models.base.protocol import MODEL_FILE

NOTE = "base.json"

log = logging.getLogger("eraflow.bases")


@dataclass(frozen=True)
class BaseStore:
    """Where bases are kept.

    Attributes:
        folder: of all of them; made when it is needed. None: none are kept.
        code: names the code that trains them.
        seed: of the bases; not that of a fit, which is another one for each window.
    """

    folder: Path | None
    code: str
    seed: int

    def key(self, parts: Mapping[str, Any]) -> str:
        """The name of a base: sha256 of all that decides it."""
        return value_sha256({"code": self.code, "seed": self.seed, **parts})

    @contextmanager
    def turn(self, key: str) -> Iterator[None]:
        """Keep others from training the same base at the same time. Without locks everybody trains his own."""
        if self.folder is None:
            yield
            return
        with turn(
            self.folder,
            key,
            lambda: log.info("another process trains the same base: waiting"),
            lambda error: log.warning("bases are not shared: %s", error),
        ):
            yield

    def find(self, key: str) -> tuple[Path, dict[str, Any]] | None:
        """The folder of a base that is whole, as far as its note tells, with what was noted; None: there is none."""
        if self.folder is None or not (self.folder / key).is_dir():
            return None
        entry = self.folder / key
        try:
            note: dict[str, Any] = json.loads((entry / NOTE).read_text(encoding="utf-8"))
            if note["model"] != file_sha256(entry / MODEL_FILE):
                raise ValueError(f"its {MODEL_FILE} is not the one that was written")
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.damaged(key, error)
            return None
        with suppress(OSError):
            os.utime(entry / NOTE)  # it was used now: `eraflow clean` removes what nobody uses
        return entry, note

    def damaged(self, key: str, error: Exception) -> None:
        """Say that a base cannot be used; it is trained anew, to the same bytes."""
        log.warning("the base %s is damaged and is trained anew: %s", key[:12], error)

    def keep(self, key: str, save: Callable[[Path], None], note: Mapping[str, Any]) -> None:
        """Keep a base for others; what keeps it from being kept is told, and costs this fit nothing.

        Args:
            key: of the base.
            save: writes its files into a folder.
            note: what its training told, JSON.
        """
        if self.folder is None:
            return

        def write(coming: Path) -> None:
            save(coming)
            write_json(coming / NOTE, {**note, "model": file_sha256(coming / MODEL_FILE)})

        try:
            put(self.folder, key, write)
        except (StorageError, OSError) as error:
            log.warning("the base %s is not kept: %s", key[:12], error)
