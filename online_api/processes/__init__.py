"""The server's processes: listening, workers, draining, limits of connections, the uploader."""
