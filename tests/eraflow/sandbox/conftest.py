"""One small generated folder and a numerapi client without anybody's keys."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from numerapi import NumerAPI, base_api

from eraflow.sandbox.generate import generate
from eraflow.sandbox.process import SandboxAddress
from eraflow.settings.source import SandboxSettings

SMALL = SandboxSettings(train_eras=40, validation_eras=30, rows_per_era=60, features=24, seed=3)
Connect = Callable[..., NumerAPI]


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("generated"), SMALL)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """The unmodified client, pointed at a sandbox."""
    monkeypatch.delenv("NUMERAI_PUBLIC_ID", raising=False)
    monkeypatch.delenv("NUMERAI_SECRET_KEY", raising=False)
    logging.getLogger("numerapi").setLevel(logging.CRITICAL)

    def point(address: SandboxAddress, secret: str | None = None) -> NumerAPI:
        monkeypatch.setattr(base_api, "API_TOURNAMENT_URL", address.url)
        return NumerAPI(address.public_id, secret or address.secret_key, verbosity="critical", show_progress_bars=False)

    return point
