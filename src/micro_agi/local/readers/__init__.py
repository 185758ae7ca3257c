"""Programs that read hostile formats in a process with nothing to lose. Start with `start.py`."""
