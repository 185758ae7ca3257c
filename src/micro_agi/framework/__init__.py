"""Models and agents for Lua code, behind `wippy.llm` and `wippy.agent`. Start in `host.py`."""
