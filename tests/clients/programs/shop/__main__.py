"""The program: reads orders, ships them in threads and in a process, and prints a report."""

import sys

from . import report, reading, shipping
from .orders import OrderError, Stock

TEXT = """\
order 1 anna
add 3 pencil 0.50
add 1 book 12.00
discount 10
order 2 ben
add x pencil 0.50
order 3 cara
add 900 pencil 0.50
gift
order 4 dora

# a comment
note leave at the door
"""


def main(arguments: list[str]) -> int:
    """Run it."""
    if "--help" in arguments:
        print(__doc__)
        return 0
    stock = Stock({"pencil": 100, "book": 2})
    accepted = []
    for order, problem in reading.orders(TEXT.splitlines()):
        if problem is not None:
            print("refused:", problem)
            continue
        try:
            with stock.reserved(order):
                accepted.append(order)
        except OrderError as error:
            print("not in stock:", error)
        else:
            print("accepted:", order)
        finally:
            order.close()
    prices = shipping.in_threads(accepted)
    print(report.table(accepted, prices))
    print(shipping.in_a_loop(accepted))
    return shipping.in_a_process(len(accepted))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
