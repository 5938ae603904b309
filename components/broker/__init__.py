"""Brokers: who executes orders."""

from components.broker.base import BrokerBase
from components.broker.passthrough import PassthroughBroker
from components.broker.simulated import SimulatedBroker

__all__ = ["BrokerBase", "PassthroughBroker", "SimulatedBroker"]
