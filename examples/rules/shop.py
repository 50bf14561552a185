"""A host: it asks its clerks' rules what two orders cost."""

import rules

shipping = rules.load("shipping.rules")

ORDERS = [
    {"customer": {"staff": False}, "parcels": [(2, "home"), (25, "moon")]},
    {"customer": {"staff": False}, "parcels": [(0, "near")]},
]

for order in ORDERS:
    try:
        print("costs", shipping["invoice"](order))
    except ValueError as error:
        print(f"refused: {error}", *error.__notes__, sep="\n")
