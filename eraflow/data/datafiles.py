"""The files of one data version, by what they are for."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from eraflow.data.readable import MissingFileError, is_there

MANDATORY = ("features_json", "train", "validation", "live")


@dataclass(frozen=True)
class DataFiles:
    """Paths of a tournament folder; the last five may be None. Without a live file its round is not open yet."""

    features_json: Path
    train: Path
    validation: Path
    live: Path | None = None
    train_benchmark_models: Path | None = None
    validation_benchmark_models: Path | None = None
    live_benchmark_models: Path | None = None
    meta_model: Path | None = None

    @classmethod
    def in_folder(cls, folder: Path | str) -> DataFiles:
        """The files of a folder in tournament layout.

        Raises:
            MissingFileError: naming every mandatory file that is not there.
            UnreadableFileError: a file is a folder, or may not be read.
        """
        folder = Path(folder)
        names = {field.name: _file_name(field.name) for field in fields(cls)}
        absent = [names[name] for name in MANDATORY if not is_there(folder / names[name])]
        if absent:
            raise MissingFileError(
                f"{folder} has no {', '.join(absent)}", "name a folder in tournament layout, or download the data"
            )
        return cls(**{name: folder / file for name, file in names.items() if is_there(folder / file)})

    @property
    def benchmark_files(self) -> tuple[Path, ...]:
        """The benchmark files of train and validation, as many as there are."""
        return tuple(path for path in (self.train_benchmark_models, self.validation_benchmark_models) if path)


def _file_name(field: str) -> str:
    return "features.json" if field == "features_json" else f"{field}.parquet"
