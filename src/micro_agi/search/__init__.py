"""Ranked text search over SQLite FTS5. Start with `index.py`."""
