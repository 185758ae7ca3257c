"""Accelerators for trusted Lua: bytes in, bytes out. See `lua.py` for who may call them."""
