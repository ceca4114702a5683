"""The peer on Spark: `mlflow.pyfunc.spark_udf` over a Parquet file, scores to Parquet.

python -m benchmarks.batch.spark_udf MODEL FILE OUTPUT THREADS
"""

import os
import sys


def main() -> int:
    """Score the file with all columns of the model's signature."""
    model, file, output, threads = sys.argv[1:]
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    import mlflow.pyfunc
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import struct

    spark = (
        SparkSession.builder.master(f"local[{threads}]")
        .appName("spark_udf")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "4g")
        .getOrCreate()
    )
    names = mlflow.pyfunc.load_model(model).metadata.get_input_schema().input_names()
    score = mlflow.pyfunc.spark_udf(spark, model, result_type="string", env_manager="local")
    frame = spark.read.parquet(file)
    scored = frame.select("EmployeeNumber", score(struct(*names)).alias("score"))
    scored.write.mode("overwrite").parquet(output)
    spark.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
