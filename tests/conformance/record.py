"""Runs one program of the corpus and prints its event stream.

Owns which `sys.monitoring` is recorded: monitrace's where monitrace can be imported, with --native the
interpreter's own. It must never change the stream to suit a version: that is what differences are for.
"""

import argparse
import sys
from pathlib import Path

from families import of_program


def install(native: bool) -> None:
    """Put the `sys.monitoring` to be recorded in its place."""
    if native:
        if not hasattr(sys, "monitoring"):
            sys.exit("this interpreter has no sys.monitoring of its own")
        return
    try:
        import monitrace
    except ModuleNotFoundError as error:
        if error.name != "monitrace" or not hasattr(sys, "monitoring"):
            raise
    else:
        monitrace.install()


def run(program: Path, *, by_rule: bool = False) -> list[str]:
    """Run the program with the events on, or with the rule's trace function, and give its stream."""
    import harness

    source = program.read_text()
    harness.program = program.name
    code = compile(source, program.name, "exec", dont_inherit=True)
    namespace: dict[str, object] = {"__name__": "__main__", "__file__": program.name}
    recorded = of_program(source)
    if not recorded:
        exec(code, namespace)
    elif by_rule:
        import by_rule as rule

        rule.run(code, namespace, recorded)
    else:
        harness.record(harness.RECORDER)
        harness.monitoring.set_events(harness.RECORDER, harness.set_of(*recorded))
        exec(code, namespace)
        harness.monitoring.set_events(harness.RECORDER, harness.events.NO_EVENTS)
    if harness.problems:
        sys.exit("\n".join(harness.problems))
    return harness.stream


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Print the events of one program of the corpus.")
    parser.add_argument("program", type=Path)
    parser.add_argument("--native", action="store_true", help="ignore monitrace")
    parser.add_argument("--by-rule", action="store_true", help="on 3.11: set no events, see by_rule.py")
    options = parser.parse_args()
    install(options.native)
    stream = run(options.program, by_rule=options.by_rule)
    sys.stdout.write("".join(f"{line}\n" for line in stream))


if __name__ == "__main__":
    main()
