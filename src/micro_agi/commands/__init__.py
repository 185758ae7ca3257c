"""One module for each command of `micro-agi`. Start with `table.py`, which lists them all."""
