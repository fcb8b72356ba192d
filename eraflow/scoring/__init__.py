"""Scores as Numerai computes them, what overlapping eras allow one to say of them, and the backtest."""
