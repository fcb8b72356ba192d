"""What `data.features` may say: a set, a list, a file, or these added and taken away.

A statement is a row of terms. A term names a set of features.json or one feature; `+` before it (or nothing) adds it,
`-` takes it away. Which names there are is not known here: `eraflow.data.catalog` looks them up.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ENDINGS = (".json", ".txt", ".csv")
BEGINNINGS = ("/", "./", "../", "~/")
HEADINGS = ("feature", "features", "name", "names")
MOST_BYTES = 10_000_000
"""A hundred thousand names of a hundred letters; a longer file is not a list of features."""

SHOWN = 60


def with_files_read(value: Any) -> Any:
    """The value of the setting with the names in place of each file that it mentions; anything else as it is.

    Args:
        value: text (also a JSON list, as a command line gives it), or a list of terms.

    Returns:
        The same text where it mentions no file; otherwise a list of terms.

    Raises:
        ValueError: a file is not there, is too large, or holds no names.
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = _json_list(value)
    if isinstance(value, str) and _is_path(value) and Path(value).expanduser().is_file():
        return names_in(Path(value).expanduser())
    if not isinstance(value, str | list | tuple) or not all(isinstance(each, str) for each in value):
        return value
    found = terms(value)
    paths = [_name(term) for term in found if _is_path(_name(term))]
    if not paths:
        return value.strip() if isinstance(value, str) else list(value)
    absent = [path for path in paths if not Path(path).expanduser().is_file()]
    if absent and isinstance(value, str) and paths != [value]:
        raise ValueError(
            f"there is no file {in_short(value)}, nor {absent[0][:SHOWN]} in it: correct it, or write terms whose "
            'names hold - or + as a list: ["all", "-./my-drop.txt"]'
        )
    return [name for term in found for name in _replaced(term)]


def terms(value: str | Sequence[str]) -> list[str]:
    """The terms of a statement, each with its sign where it has one: `medium+rain-feature_a` is three.

    In a text, commas, blanks, + and - part the terms; in a list every element is a term, so that a name may hold them.
    """
    if not isinstance(value, str):
        return [term.strip() for term in value if term.strip()]
    return ["".join(part) for part in re.findall(r"([+-]?)\s*([^\s,+-]+)", value)]


def signed(term: str) -> tuple[bool, str]:
    """Whether a term adds (True) or takes away, and its name."""
    return not term.startswith("-"), _name(term)


def in_short(value: str | Sequence[str]) -> str:
    """The statement for a message: long ones are cut."""
    text = value if isinstance(value, str) else ",".join(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(terms(value))} names)"


def names_in(path: Path) -> list[str]:
    """The terms in a file: a JSON list, or text with a name a line (or parted by commas or blanks, # for a remark).

    Raises:
        ValueError: it cannot be read, is no regular file or too large, or holds no names.
    """
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode) and not stat.S_ISDIR(about.st_mode):  # a device may have no end
            raise ValueError(f"{path} is no regular file: name a file, not a device, a pipe or a socket")
        if about.st_size > MOST_BYTES:
            raise ValueError(f"{path} is too large for a list of features ({about.st_size / 1e6:,.0f} MB)")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8: give names of features, one a line") from error
    found = _json_names(path, text) if path.suffix.lower() == ".json" else _text_names(text)
    if not found:
        raise ValueError(f"{path} holds no names of features")
    like_paths = [name for name in found if _is_path(_name(name))]
    if like_paths:  # stored with the run, it would be taken for a file when it is read back
        raise ValueError(f"{path} holds {like_paths[0][:SHOWN]!r}, which is the name of a file and not of a feature")
    return found


def _text_names(text: str) -> list[str]:
    lines = [line.partition("#")[0] for line in text.splitlines()]
    found = [name.strip("\"'") for line in lines for name in re.split(r"[\s,;]+", line) if name.strip("\"'")]
    return found[1:] if found and found[0].lower() in HEADINGS else found


def _json_names(path: Path, text: str) -> list[str]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({str(error)[:80]})") from error
    if isinstance(content, dict):
        content = content.get("features")
    if not isinstance(content, list) or not all(isinstance(name, str) for name in content):
        raise ValueError(f'{path} holds no list of names: write ["feature_a", "feature_b"]')
    return [name.strip() for name in content if name.strip()]


def _json_list(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError('this begins like a list but is not one: write ["feature_a","feature_b"]') from None


def _replaced(term: str) -> list[str]:
    """A term that names a file as the file's own terms; a sign before the file counts for each of its names."""
    adds, name = signed(term)
    if not _is_path(name):
        return [term]
    names = names_in(Path(name).expanduser())
    if adds:
        return names
    if any(each.startswith("-") for each in names):
        raise ValueError(f"{name} takes names away itself, so it cannot be taken away: leave the signs out of the file")
    return [f"-{_name(each)}" for each in names]


def _is_path(text: str) -> bool:
    return text.startswith(BEGINNINGS) or text.lower().endswith(ENDINGS)


def _name(term: str) -> str:
    return term[1:].strip() if term[:1] in ("+", "-") else term
