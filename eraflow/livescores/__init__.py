"""Live scores of past submissions: kept in the home, compared with what the backtest promised, and drawn."""
