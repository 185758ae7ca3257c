"""One HTTP client for models and tools. Start with `client.py`."""
