"""Ships orders: in threads, in an event loop, in a process."""

import asyncio
import queue
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Sequence

from .orders import Order


def price(weight: int) -> float:
    """What shipping costs."""
    for limit, cost in ((1, 1.5), (5, 4.0), (50, 9.0)):
        if weight <= limit:
            break
    else:
        cost = 20.0
    return cost


def worker(jobs: "queue.Queue[Order | None]", prices: dict[int, float]) -> None:
    """Work until there is nothing more to do."""
    while (order := jobs.get()) is not None:
        try:
            if not order:
                continue
            prices[order.number] = price(sum(item.count for item in order.items))
        finally:
            jobs.task_done()


def in_threads(orders: Sequence[Order]) -> dict[int, float]:
    """The price of each order."""
    jobs: queue.Queue[Order | None] = queue.Queue()
    prices: dict[int, float] = {}
    threads = [threading.Thread(target=worker, args=(jobs, prices)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for order in [*orders, *(None for _ in threads)]:
        jobs.put(order)
    for thread in threads:
        thread.join()
    return prices


async def parcels(orders: Sequence[Order]) -> AsyncIterator[str]:
    """One for each item."""
    for order in orders:
        for item in order.items:
            await asyncio.sleep(0)
            yield f"{item.count} {item.name}"


class Van:
    """Opens and closes."""

    async def __aenter__(self) -> "Van":
        self.load: list[str] = []
        return self

    async def __aexit__(self, *error: object) -> bool:
        if any(error):
            self.load.clear()
        return True


async def deliver(orders: Sequence[Order]) -> list[str]:
    """Deliver everything."""
    delivered = []
    async with Van() as van:
        async for parcel in parcels(orders):
            van.load.append(parcel)
        delivered = [parcel async for parcel in parcels(orders) if parcel in van.load]
        raise TimeoutError("late")
    return delivered


def in_a_loop(orders: Sequence[Order]) -> str:
    """Deliver in an event loop."""
    return ", ".join(asyncio.run(deliver(orders)))


def in_a_process(status: int) -> int:
    """Ask a process of its own."""
    done = subprocess.run([sys.executable, "-m", "shop.child", str(status)], check=False)
    if done.returncode != status:
        print("the process did not do as it was told")
    return done.returncode
