"""Rows in a library's own bins, made once and learnt from many times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from eraflow.disk.digest import value_sha256
from models.base.protocol import ModelSettingsError, TrainingDataError
from models.base.rows import TrainingRows


class Prepared:
    """The binned rows of one fit, for as many fits as agree with it in rows, columns and binning settings.

    Labels are no part of it where the library can set them afterwards; several targets that are known for the same
    rows then share one. Use it as a context manager, or `close` it: it may have files in the scratch folder.
    One fit at a time.

    Attributes:
        parts: what decides the bins, by name; see `BoosterModel.binning`.
        bins: the library's own object; None once closed.
    """

    def __init__(self, parts: Mapping[str, Any], bins: Any, close: Callable[[], None] | None = None) -> None:
        self.parts = dict(parts)
        self.bins: Any = bins
        self._close = close

    @property
    def signature(self) -> str:
        """Names the bins; the same for equal parts."""
        return value_sha256(self.parts)

    def check(self, parts: Mapping[str, Any]) -> None:
        """Refuse a fit that would need other bins.

        Raises:
            TrainingDataError: other rows, columns or labels than these were made of, or it is closed.
            ModelSettingsError: settings that decide the bins differ.
        """
        if self.bins is None:
            raise TrainingDataError("these prepared rows are closed", "prepare them again")
        differing = sorted(name for name in {**self.parts, **parts} if self.parts.get(name) != parts.get(name))
        if not differing:
            return
        if {"library", "settings"} & set(differing):
            raise ModelSettingsError(
                f"the prepared rows were made with other settings: {self.parts.get('settings')} of "
                f"{self.parts.get('library')}, not {parts.get('settings')} of {parts.get('library')}",
                "prepare them with a model whose binning settings agree",
            )
        raise TrainingDataError(
            f"the prepared rows are of another fit: {', '.join(differing)} differ", "prepare the rows of this fit"
        )

    def close(self) -> None:
        """Give back memory and files."""
        self.bins = None
        if self._close is not None:
            self._close()
            self._close = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def parts_of(rows: TrainingRows, columns: tuple[int, ...] | None) -> dict[str, Any]:
    """What of the rows decides their bins: which rows, which columns, and how many there are."""
    return {
        "rows": rows.mask_digest,
        "width": rows.width,
        "columns": None if columns is None else list(columns),
    }
