"""Models and agents for Lua code: what stands behind `wippy.llm` and `wippy.agent`. Start in `host.py`."""
