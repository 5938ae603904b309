"""Takes orders from risk, validates and routes them, and keeps the books on what became of each."""

from components.order_manager.order_manager import OrderManager
from components.order_manager.validator import OrderValidator

__all__ = ["OrderManager", "OrderValidator"]
