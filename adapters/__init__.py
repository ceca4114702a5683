"""One outside technology per module, spoken to the rest of the code in our own types."""
