"""Runs two programs of postfix.c: one returns, and an exception comes out of the other."""

from pathlib import Path

import postfix


def discount(price):
    return price * 0.9 if price > 50 else price


def run(name):
    program = postfix.Program(Path(name).read_text(), name)
    return program.run({"discount": discount, "round": round, "hex": hex})


print("order.postfix:", run("order.postfix"))
try:
    run("label.postfix")
except TypeError as error:
    print("label.postfix:", error)
