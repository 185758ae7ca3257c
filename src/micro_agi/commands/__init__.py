"""One file per command group. `cli.py` parses and dispatches."""
