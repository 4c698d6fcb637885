"""Codes to sound while they are made, for as long as somebody listens."""

from cadenza.streaming.level import SteadyLevel
from cadenza.streaming.performance import Performance, Solo
from cadenza.streaming.producer import Producer
from cadenza.streaming.sounding import Sounding
from cadenza.streaming.stream import Stream

__all__ = ["Performance", "Producer", "Solo", "Sounding", "SteadyLevel", "Stream"]
