"""The package tabm, which is an extra: imported only when a TabM is trained, without what it has no use for here."""

from __future__ import annotations

from typing import Any

from models.base.leanimports import lean_imports
from models.base.libraries import needed

NOT_USED = "sklearn"
"""Needed for embeddings of numbers by decision trees. It brings pandas and SciPy; without it, importing tabm takes less
than half of the time and 90 MiB less."""


def tabm_library() -> Any:
    """The module tabm.

    Raises:
        MissingLibraryError: it is not installed.
    """
    with needed("a tabm", "the package tabm", "leave tabm out of `models`"), lean_imports([NOT_USED]):
        import tabm
    return tabm
