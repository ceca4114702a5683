"""The watcher: hourly windows of the inference log, compared with the model's reference.

Reads the log and the bundle's manifest and reference; never loads the model.
"""
