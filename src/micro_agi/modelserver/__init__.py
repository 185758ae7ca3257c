"""The native model server: an OpenAI-compatible server over one model. Start with `server.py`."""
