"""Two thousand planted rows, for networks that see them one by one."""

from __future__ import annotations

import pytest

from tests.models.planted import plant


@pytest.fixture(scope="module")
def data():
    planted = plant(eras=20, rows=100)
    return planted.x, planted.y
