"""Hugging Face Transformers, which is an extra: imported only when a transformer is trained, offline and in silence."""

from __future__ import annotations

import os
from typing import Any

from models.base.libraries import needed


def transformers_library() -> Any:
    """The module transformers; it asks no hub for anything and draws no bars of progress.

    Raises:
        MissingLibraryError: it is not installed.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # both are read when it is imported
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    with needed("the transformer", "Transformers", "leave the transformer out of `models`"):
        import transformers
    library: Any = transformers
    library.utils.logging.set_verbosity_error()
    return library
