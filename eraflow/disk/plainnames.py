"""Names that come from data and become names of files: only those that stay in the folder they are meant for."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

LONGEST = 100
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+@-]*")


def is_plain_name(name: object) -> bool:
    """Whether a text is one name of a file or folder: no separator, no way up, nothing hidden, of bounded length."""
    return isinstance(name, str) and len(name) <= LONGEST and _PLAIN.fullmatch(name) is not None


def stays_within(name: object) -> bool:
    """Whether a relative path of several parts stays below the folder that it is joined to."""
    if not isinstance(name, str) or not name or "\0" in name or "\\" in name:
        return False
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and path.parts != ()
