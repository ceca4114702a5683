"""From a registered model version to a bundle: the only door to the MLflow registry."""
