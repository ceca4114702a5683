"""Files of records (CSV, JSON Lines, Parquet) as chunks, for every command that reads some."""
