"""The largest values of times and sizes: above them the system's clocks and counters overflow, some in native code."""

from __future__ import annotations

DAY_SECONDS = 86_400
YEAR_MINUTES = 525_600
PETABYTE_MB = 2**30
