"""The append-only journal and the conversation derived from it. Start with `journal.py`."""
