"""The five codes as inputs of a network."""

from __future__ import annotations

import math

CENTRE, SCALE = 2.0, math.sqrt(0.5)
"""A network is given (code - CENTRE) * SCALE: codes 0 to 4, equally often, get mean 0 and variance 1."""
