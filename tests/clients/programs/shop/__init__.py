"""A small shop: a program as people write it, with code of every kind that ends, waits or is not run."""

from .orders import Order, OrderError

__all__ = ["Order", "OrderError"]
