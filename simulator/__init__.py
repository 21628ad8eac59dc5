"""Real HTTP on loopback that answers as LLM providers do, in health and in every sickness.

It knows nothing of the broker: what it imitates are the providers' documented formats.
"""

from simulator.dialects import DIALECTS
from simulator.ledger import Call
from simulator.server import Simulator
from simulator.switchboard import Switchboard
from simulator.words import Fault, Refusal, RouteKind

__all__ = ["DIALECTS", "Call", "Fault", "Refusal", "RouteKind", "Simulator", "Switchboard"]
