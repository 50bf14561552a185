"""Module level code, and code that is compiled and executed at run time."""

import sys

if sys.version_info < (3,):
    never = True
elif __name__ == "__main__":
    always = True
else:
    never = True

value: int = 3
first, *middle, last = range(5)
del middle

exec("made = value + 1")
exec(
    """
def made_function(x):
    y = x + 1
    return y

made_function(value)
"""
)
made_function(10)
eval("value * 2")
eval("(lambda n: n - 1)(value)")
eval("max(n for n in range(2))")

statements = compile("a = 1\nb = a + 1\n", __file__, "exec")
namespace = {}
exec(statements, namespace)
exec(statements, namespace)
expression = compile("a + b", __file__, "eval")
eval(expression, namespace)
single = compile("c = a; d = b", __file__, "single")
exec(single, namespace)
moved = compile("\n" * 99 + "def moved():\n    return 1\nmoved()", __file__, "exec")
exec(moved, namespace)


def executes():
    local = 5
    return eval("local + 1", globals(), {"local": local})


executes()
try:
    exec("1\n2 / 0\n3")
except ZeroDivisionError:
    last = 0
