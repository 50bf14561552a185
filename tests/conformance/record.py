"""Runs one program of the corpus and prints its event stream.

Owns which `sys.monitoring` is recorded: monitrace's where monitrace can be imported, with --native the
interpreter's own. It must never change the stream to suit a version: that is what differences are for.
"""

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


def run(program: Path, *, by_offset: bool = False, by_rule: bool = False) -> list[str]:
    """Run the program with the events on, or with the rule's trace function, and give its stream."""
    import harness

    source = program.read_text()
    harness.program = program.name
    harness.by_offset = by_offset or by_rule
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
    """The command line: a program, --native to ignore monitrace, --by-offset to write offsets for lines,
    and on 3.11 --by-rule, which does so too (see by_rule.py).

    Without argparse, which takes longer to import than most programs to run.
    """
    options = {"--native", "--by-offset", "--by-rule"}.intersection(sys.argv)
    programs = [each for each in sys.argv[1:] if each not in options]
    if len(programs) != 1 or programs[0].startswith("-"):
        sys.exit("usage: record.py PROGRAM [--native] [--by-offset | --by-rule]")
    install("--native" in options)
    stream = run(Path(programs[0]), by_offset="--by-offset" in options, by_rule="--by-rule" in options)
    sys.stdout.write("".join(f"{line}\n" for line in stream))


if __name__ == "__main__":
    main()
