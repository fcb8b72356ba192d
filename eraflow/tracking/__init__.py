"""MLflow: the records of runs, and the registry of shipped ensembles."""
