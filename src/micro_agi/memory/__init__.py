"""Long-term memory: what is worth knowing in another session. Start with `memory.py`."""
