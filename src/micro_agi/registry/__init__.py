"""Entries, versions and the one door for writes. Start with `changes.py`."""
