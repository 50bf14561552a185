"""Reads orders from lines of text."""

import re
from collections.abc import Iterable, Iterator

from .orders import Item, Order

WORD = re.compile(r"\S+")

Answer = tuple[Order, str | None]


def words(lines: Iterable[str]) -> Iterator[list[str]]:
    """The words of each line that says something."""
    for line in lines:
        if line.startswith("#"):
            continue
        found = WORD.findall(line)
        if found:
            yield found


def orders(lines: Iterable[str]) -> Iterator[Answer]:
    """Each order, with what is wrong with it."""
    order = None
    problem = None
    for line in words(lines):
        match line:
            case ["order", number, customer]:
                if order is not None:
                    yield order, problem
                order, problem = Order(int(number), customer), None
            case [*_] if order is None:
                return
            case ["add", count, name, price]:
                try:
                    item = Item(int(count), name, float(price))
                except ValueError as error:
                    problem = str(error)
                else:
                    order.items.append(item)
            case ["discount", percent] if percent.isdecimal():
                order.discount = int(percent)
            case ["gift"]:
                order.gift = True
            case ["cancel", *rest]:
                problem = " ".join(rest) or "cancelled"
            case _:
                pass
    if order is not None:
        yield order, problem


def numbers(lines: Iterable[str]) -> list[int]:
    """The numbers of the orders, which nobody asks for."""
    found = []
    for order, problem in orders(lines):
        if problem:
            break
        found.append(order.number)
    else:
        found.append(0)
    return found
