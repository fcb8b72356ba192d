"""Learn and predict: one file per model, one protocol. Knows no Prefect."""
