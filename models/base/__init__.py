"""What every kind of model shares: the protocol, the rows it learns from, its saved form, its predictions."""
