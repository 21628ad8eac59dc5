"""The dialects the simulator speaks, by name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from simulator.dialects.anthropic import Anthropic
from simulator.dialects.base import Dialect
from simulator.dialects.deepseek import DeepSeek
from simulator.dialects.gemini import Gemini
from simulator.dialects.groq import Groq
from simulator.dialects.mistral import Mistral
from simulator.dialects.openai import OpenAI
from simulator.dialects.openai_compatible import OpenAICompatible

_ALL: Final[tuple[Dialect, ...]] = (
    OpenAI(),
    Anthropic(),
    Gemini(),
    Groq(),
    Mistral(),
    DeepSeek(),
    OpenAICompatible(),
)

DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType({spoken.name: spoken for spoken in _ALL})

__all__ = ["DIALECTS", "Dialect"]
