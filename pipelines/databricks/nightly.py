"""The nightly run as a Databricks task: `trilane batch` with the parameters of the task."""

import sys

from batch_scorer.__main__ import main

code = main(sys.argv[1:])
if code:  # Databricks takes every SystemExit for a failure
    raise SystemExit(code)
