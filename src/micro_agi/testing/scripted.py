"""The scripted model, under the name that tests know: see `llm.providers.scripted`."""

from micro_agi.llm.providers.scripted import PROVIDER as PROVIDER
from micro_agi.llm.providers.scripted import Asked as Asked
from micro_agi.llm.providers.scripted import Broken as Broken
from micro_agi.llm.providers.scripted import Call as Call
from micro_agi.llm.providers.scripted import Finish as Finish
from micro_agi.llm.providers.scripted import ScriptedModel as ScriptedModel
from micro_agi.llm.providers.scripted import Spent as Spent
from micro_agi.llm.providers.scripted import Thinking as Thinking
from micro_agi.llm.providers.scripted import scripted_card as scripted_card
