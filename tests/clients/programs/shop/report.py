"""Makes the report."""

from collections.abc import Mapping, Sequence

from .orders import Order


def table(orders: Sequence[Order], prices: Mapping[int, float]) -> str:
    """A line for each order, and their sum."""

    def line(order: Order) -> str:
        shipping = prices.get(order.number)
        return f"{order.customer:8}{order.total:8.2f}" + (
            f"{shipping:8.2f}" if shipping is not None else f"{'-':>8}"
        )

    by_customer = {order.customer: order for order in orders}
    lines = [line(order) for _, order in sorted(by_customer.items(), key=lambda pair: pair[0])]
    names = {item.name for order in orders if order.items for item in order.items}
    lines.append(f"{'sum':8}{sum(order.total for order in orders):8.2f}")
    if not names:
        lines.append("nothing was ordered")
    return "\n".join(lines)


def letters(orders: Sequence[Order]) -> list[str]:
    """Letters, which are not written."""
    return [f"Dear {order.customer}," for order in orders if order]
