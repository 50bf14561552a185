# records generators, exceptions, returns
"""Tasks of asyncio: they wait for each other, are cancelled, fail, and time out of nothing."""

import asyncio


async def child(value):
    await asyncio.sleep(0)
    return value


async def fails():
    await asyncio.sleep(0)
    raise ValueError


async def waits():
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return "cancelled"


async def cancelled():
    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    return await task


async def main():
    first = await child(1)
    both = await asyncio.gather(child(2), child(3))
    try:
        await asyncio.create_task(fails())
    except ValueError:
        first += 1
    return first, both, await cancelled()


asyncio.run(main())
