"""Which provider ids there are, and which dialect each speaks."""

from collections.abc import Mapping

from micro_agi.llm.providers.openai import OFFICIAL, OpenAi
from micro_agi.llm.request import Provider, ProviderAccess

OPENAI = "wippy.llm.openai:provider"
OPENAI_COMPATIBLE = "wippy.llm.openai_compat:provider"
DEFAULT_URLS: Mapping[str, str] = {OPENAI: OFFICIAL, OPENAI_COMPATIBLE: ""}
"""Every provider that needs a network, with the address it has unless told otherwise."""


def build_providers(accesses: Mapping[str, ProviderAccess]) -> dict[str, Provider]:
    """Build the providers that were given an access, by id.

    A key is mandatory only at OpenAI's own address: another server says when it wants one.
    """
    return {
        id_: OpenAi(access, compatible=access.base_url.rstrip("/") != OFFICIAL)
        for id_, access in accesses.items()
        if id_ in DEFAULT_URLS
    }
