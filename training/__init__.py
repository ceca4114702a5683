"""The shipped example: the IBM HR attrition model, trained and registered with MLflow."""
