"""What is claimed of the stream worker: nothing lost, nothing out of order, and how fast."""
