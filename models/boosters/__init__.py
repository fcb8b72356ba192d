"""LightGBM, XGBoost and CatBoost, and the binned rows that they learn from."""
