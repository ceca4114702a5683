"""How the results of a run are handed over: part files, and a Delta table made of them."""
