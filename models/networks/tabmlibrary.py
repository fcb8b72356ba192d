"""The package tabm, which is an extra: imported only when a TabM is trained, without what it has no use for here."""

from __future__ import annotations

from typing import Any

from models.base.leanimports import lean_imports
from models.base.libraries import MissingLibraryError

NOT_USED = "sklearn"
"""Needed for embeddings of numbers by decision trees. It brings pandas and SciPy; without it, importing tabm takes less
than half of the time and 90 MiB less."""


def tabm_library() -> Any:
    """The module tabm.

    Raises:
        MissingLibraryError: it is not installed.
    """
    try:
        with lean_imports([NOT_USED]):
            import tabm
    except ImportError as error:
        raise MissingLibraryError(
            f"tabm needs the package of this name, which cannot be imported ({error})",
            "install it with `pip install 'eraflow[networks]'`, or leave tabm out of `models`",
        ) from error
    return tabm
