"""From an entry to a callable tool, and from a draft to an entry. Start with `call.py`."""
