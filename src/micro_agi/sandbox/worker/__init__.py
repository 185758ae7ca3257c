"""The child side: what runs in a locked worker process. Start with `zygote.py`."""
