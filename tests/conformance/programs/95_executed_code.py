# records starts, returns, branches, jumps, exceptions
"""Code that is compiled at run time, and functions made of code objects."""

from types import FunctionType

SOURCE = """
for i in range(2):
    if i:
        found = i
try:
    missing
except NameError:
    pass
"""


def template(n):
    for i in range(n):
        if i == 1:
            return i
    return n


exec(SOURCE)
exec(SOURCE)
eval("1 if found else 2")
code = compile("def made(a):\n    return 1 if a else 2", "<string>", "exec")
exec(code)
made(0), made(1)  # noqa: F821
copied = FunctionType(template.__code__, {"range": range})
copied(2), template(1)
template.__code__ = (lambda n: 0 if n else 1).__code__
template(2), copied(1)
