"""The terminal agent. Start with `chat.py`."""
