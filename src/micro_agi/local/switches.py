"""Leave out tools that a person switched off: their entries, and what names them.

Source: seed 004, `AGENT_ENABLE_…`. A tool that is off is not there: no agent sees it, and
calling it says that it does not exist. Its name stays taken: nobody can write below
namespace `local` at run time.
"""

from collections.abc import Iterable
from dataclasses import replace

from micro_agi.registry.entry import Entry
from micro_agi.settings import Settings

FILES = ("list_files", "read_file", "search_files", "write_file", "edit_file")


def switched_off(settings: Settings) -> frozenset[str]:
    """Return the ids of the entries that the settings switch off."""
    switches = (
        (settings.enable_files, FILES),
        (settings.enable_shell, ("shell",)),
        (settings.enable_fetch, ("fetch",)),
        (settings.enable_data_view, ("data_view",)),
        (settings.enable_pyexe, ("pyexe",)),
        (settings.enable_memory, ("memory", "recall", "memory_contract")),
    )
    return frozenset(f"local:{name}" for on, names in switches if not on for name in names)


def without(entries: Iterable[Entry], off: frozenset[str]) -> list[Entry]:
    """Return the entries that stay, none of which names one that is off."""
    return [_cleaned(entry, off) for entry in entries if entry.id not in off]


def _cleaned(entry: Entry, off: frozenset[str]) -> Entry:
    tools, contract = entry.data.get("tools"), entry.data.get("memory_contract")
    data = dict(entry.data)
    if isinstance(tools, list):
        data["tools"] = [tool for tool in tools if tool not in off]
    if isinstance(contract, dict) and contract.get("implementation_id") in off:
        del data["memory_contract"]
    return entry if data == entry.data else replace(entry, data=data)
