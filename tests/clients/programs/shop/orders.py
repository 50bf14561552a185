"""Orders and the stock."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property


class OrderError(Exception):
    """An order that cannot be filled."""

    def __str__(self) -> str:
        return " ".join(str(argument) for argument in self.args)


@dataclass
class Item:
    """Some of one thing."""

    count: int
    name: str
    price: float

    @property
    def total(self) -> float:
        return self.count * self.price


@dataclass
class Order:
    """What somebody wants."""

    number: int
    customer: str
    items: list[Item] = field(default_factory=list)
    discount: int = 0
    gift: bool = False
    closed: bool = False

    @cached_property
    def total(self) -> float:
        total = sum(item.total for item in self.items)
        if self.discount:
            total -= total * self.discount / 100
        return total + 2.5 if self.gift else total

    def close(self) -> None:
        assert not self.closed, "closed twice"
        self.closed = True

    def __str__(self) -> str:
        if not self.items:
            return f"{self.customer}: nothing"
        return f"{self.customer}: {len(self.items)}"

    def __bool__(self) -> bool:
        return self.total > 0


class Stock:
    """How much there is."""

    def __init__(self, counts: dict[str, int]) -> None:
        self.counts = counts

    @contextmanager
    def reserved(self, order: Order) -> Iterator[None]:
        """Take what is ordered, and put it back if something goes wrong."""
        taken: list[Item] = []
        try:
            for item in order.items:
                self.take(item)
                taken.append(item)
            yield
        except OrderError:
            while taken:
                item = taken.pop()
                self.counts[item.name] += item.count
            raise

    def take(self, item: Item) -> None:
        left = self.counts.get(item.name, 0)
        if left < item.count:
            raise OrderError("only", left, "of", item.name)
        elif left == item.count:
            del self.counts[item.name]
        else:
            self.counts[item.name] = left - item.count

    def refill(self, name: str, count: int) -> None:
        if name not in self.counts:
            self.counts[name] = 0
        self.counts[name] += count
