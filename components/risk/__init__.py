"""Risk: signals in, orders out. The only place where orders are made."""

from components.risk.stub import RiskStub

__all__ = ["RiskStub"]
