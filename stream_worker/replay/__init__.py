"""`trilane replay`: score dead letters again with the current model.

`letters.py` reads a dead letter, `filters.py` chooses, `replaying.py` goes through them and
publishes, `ledger.py` remembers what was replayed, `lease.py` keeps two runs apart, `report.py`
tells what changed.
"""
