"""Runs a script twice: it returns once, and once an exception comes out of it."""

import rhai_scripts


def discount(price):
    return price * 0.8


ticket = rhai_scripts.Script("ticket.rhai", {"discount": discount})
print("A family pays", ticket.run(ages=[9, 41]))
try:
    ticket.run(ages=[-1])
except rhai_scripts.ScriptError as error:
    print(error)
