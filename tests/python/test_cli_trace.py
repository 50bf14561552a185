"""`monitrace trace`: what it writes, of which files, and that it always writes all of it."""

import dis
import itertools
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command import environment, events, monitrace, read

PROGRAM = """\
def double(x):
    y = x * 2
    return y


for i in range(2):
    double(i)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def brief(event: dict[str, Any]) -> tuple[Any, ...]:
    return event["event"], event["line"], event["name"], event["depth"]


def test_the_three_basic_events(tmp_path: Path, program: Path) -> None:
    got = events(tmp_path, "program.py")
    assert {event["file"] for event in got} == {str(program)}
    called = [
        ("LINE", 7, "<module>", 0),
        ("PY_START", 1, "double", 1),
        ("LINE", 2, "double", 1),
        ("LINE", 3, "double", 1),
        ("PY_RETURN", 3, "double", 1),
        ("LINE", 6, "<module>", 0),
    ]
    assert [brief(event) for event in got] == [
        ("PY_START", 1, "<module>", 0),
        ("LINE", 1, "<module>", 0),
        ("LINE", 6, "<module>", 0),
        *called,
        *called,
        ("PY_RETURN", 6, "<module>", 0),
    ]
    assert [event["value"] for event in got if event["event"] == "PY_RETURN"] == ["0", "2", "None"]


@pytest.mark.usefixtures("program")
def test_text_shows_the_same_in_aligned_columns(tmp_path: Path) -> None:
    text = monitrace("trace", "-e", "LINE,PY_START,PY_RETURN", "program.py", cwd=tmp_path).stderr.splitlines()
    pattern = re.compile(
        r"(?P<event>\w+) +(?P<file>[^ :]+):(?P<line>\d+)(?P<indent> +)(?P<name>\S+)(?P<rest>.*)"
    )
    rows = [pattern.fullmatch(line) for line in text]
    assert all(rows)
    told = [(row["event"], int(row["line"]), row["name"]) for row in rows if row]
    assert told == [brief(event)[:3] for event in events(tmp_path, "program.py")]
    assert {row["file"] for row in rows if row} == {"program.py"}
    assert {row["name"]: row.start("name") for row in rows if row} == {"<module>": 39, "double": 41}
    assert [row["rest"] for row in rows if row and row["event"] == "PY_RETURN"] == [
        " -> 0",
        " -> 2",
        " -> None",
    ]


def test_every_event_has_its_arguments(tmp_path: Path) -> None:
    source = """\
def produce():
    try:
        yield 1
    except KeyError:
        yield 2

def close():
    g = produce()
    next(g)
    g.throw(KeyError("k"))
    for item in produce():
        pass
    try:
        int("x")
    except ValueError as error:
        raise TypeError("t") from error

try:
    close()
except TypeError:
    pass
"""
    (tmp_path / "program.py").write_text(source)
    report = tmp_path / "events.jsonl"
    done = monitrace("trace", "--format", "jsonl", "-o", str(report), "program.py", cwd=tmp_path)
    assert done.returncode == 0
    got = read(report)
    arguments = {
        "PY_START": set(),
        "PY_RESUME": set(),
        "LINE": set(),
        "PY_RETURN": {"value"},
        "PY_YIELD": {"value"},
        "CALL": {"callable", "arg0"},
        "C_RETURN": {"callable", "arg0"},
        "C_RAISE": {"callable", "arg0"},
        "RAISE": {"exception"},
        "EXCEPTION_HANDLED": {"exception"},
        "PY_UNWIND": {"exception"},
        "PY_THROW": {"exception"},
        "RERAISE": {"exception"},
        "STOP_ITERATION": {"exception"},
        "BRANCH_LEFT": {"destination", "destination_line"},
        "BRANCH_RIGHT": {"destination", "destination_line"},
    }
    common = {"event", "file", "line", "name", "depth", "thread", "offset"}
    seen = set()
    for event in got:
        seen.add(event["event"])
        known = common | arguments[event["event"]]
        assert set(event) <= known, event
        assert known - set(event) <= {"arg0", "offset", "destination_line"}, event
    assert seen >= set(arguments) - {"STOP_ITERATION"}
    calls = [(e["line"], e["callable"], e.get("arg0")) for e in got if e["event"] == "CALL"]
    assert (14, "int", "'x'") in calls
    assert (8, "produce", None) in calls
    unwound = {(e["name"], e["exception"]) for e in got if e["event"] == "PY_UNWIND"}
    assert ("close", "TypeError('t')") in unwound


def test_branches_tell_their_sides_apart(tmp_path: Path) -> None:
    source = (
        "for x in [1, None, 2]:\n    if x:\n        y = 1\n    if x is None:\n        y = 2\n"
        "    while y and not x: y = x\n"
    )
    behind = {}
    instructions = list(dis.get_instructions(compile(source, "<string>", "exec")))
    for here, following in itertools.pairwise(instructions):
        # 3.14 marks the side that goes on by an instruction of its own, behind which it goes on.
        marks = following.opname == "NOT_TAKEN"
        behind[here.offset] = following.offset + 2 if marks else following.offset
    got = events(tmp_path, "-c", source, of="BRANCH_LEFT,BRANCH_RIGHT")
    sides = [event["event"] for event in got]
    assert set(sides) == {"BRANCH_LEFT", "BRANCH_RIGHT"}
    assert len({event["offset"] for event in got}) >= 4
    for event in got:
        goes_on = event["destination"] == behind[event["offset"]]
        assert event["event"] == ("BRANCH_LEFT" if goes_on else "BRANCH_RIGHT"), event
    assert [event["event"] for event in events(tmp_path, "-c", source, of="branch")] == sides
    for side in set(sides):
        alone = events(tmp_path, "-c", source, of=side)
        assert alone == [event for event in got if event["event"] == side]


def test_ancillary_events_can_be_had_alone(tmp_path: Path) -> None:
    got = events(tmp_path, "-c", "len('x')", of="C_RETURN")
    assert [(event["event"], event["callable"]) for event in got] == [("C_RETURN", "len")]


def test_the_default_is_all_but_the_drowning_ones(tmp_path: Path) -> None:
    done = monitrace(
        "trace", "--format", "jsonl", "-c", "while True:\n  for x in 'ab': len(x)\n  break", cwd=tmp_path
    )
    seen = {json.loads(line)["event"] for line in done.stderr.splitlines()}
    assert seen == {"PY_START", "LINE", "CALL", "C_RETURN", "BRANCH_LEFT", "BRANCH_RIGHT", "PY_RETURN"}
    everything = events(
        tmp_path, "-c", "while True:\n  for x in 'ab': len(x)\n  break", of="JUMP,INSTRUCTION"
    )
    assert {event["event"] for event in everything} == {"JUMP", "INSTRUCTION"}


def test_only_own_files_unless_others_are_included(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("def help(): return 1\n")
    (tmp_path / "program.py").write_text(
        "import bisect, helper, textwrap\nhelper.help()\ntextwrap.dedent(' x')\n"
    )

    def files(*options: str) -> set[str]:
        got = events(tmp_path, *options, "program.py")
        return {Path(event["file"]).name for event in got}

    assert files() == {"program.py", "helper.py"}
    assert files("--exclude", "helper.py") == {"program.py"}
    assert files("--include", "*/textwrap.py") == {"textwrap.py"}
    assert files("--include", "help*", "--include", "program.py") == {"program.py", "helper.py"}
    assert files("--include", "*.py", "--exclude", "*/lib/python*") == {"program.py", "helper.py"}
    everything = files("--include", "*")
    assert everything >= {"program.py", "helper.py", "textwrap.py"}
    assert not everything & {"_cli.py", "_run.py"}


def test_code_without_a_file_is_shown_when_it_is_asked_for(tmp_path: Path) -> None:
    source = "import collections\ncollections.namedtuple('P', 'x')(1)\nexec('y = 2')\n"
    (tmp_path / "program.py").write_text(source)

    def files(*arguments: str) -> set[str]:
        return {Path(event["file"]).name for event in events(tmp_path, *arguments)}

    assert files("program.py") == {"program.py"}
    assert files("--include", "<*>", "--exclude", "<frozen*", "program.py") == {"<string>"}
    assert files("-c", source) == {"<string>"}


def test_generators_and_recursion_keep_the_depth(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\n"
        "def items():\n    yield 1\n    yield 2\n"
        "fib(3)\n"
        "for x in items():\n    x\n"
    )
    done = monitrace("trace", "--format", "jsonl", "program.py", cwd=tmp_path)
    got = [json.loads(line) for line in done.stderr.splitlines()]
    assert {event["depth"] for event in got if event["name"] == "<module>"} == {0}
    assert {event["depth"] for event in got if event["name"] == "items"} == {1}
    assert max(event["depth"] for event in got if event["name"] == "fib") == 3


HOSTILE = """
class Hostile:
    def __getattribute__(self, name): raise SystemExit(f"ran {name}")
    def __repr__(self): raise SystemExit("ran __repr__")
    def __str__(self): raise SystemExit("ran __str__")
    def __len__(self): raise SystemExit("ran __len__")
    def __iter__(self): raise SystemExit("ran __iter__")
    def __bool__(self): raise SystemExit("ran __bool__")
    def __eq__(self, other): raise SystemExit("ran __eq__")
    def __hash__(self): return 1
    __class__ = property(lambda self: str)

class Meta(type):
    def __getattribute__(cls, name): raise SystemExit(f"ran Meta.{name}")
    def __repr__(cls): raise SystemExit("ran Meta.__repr__")

class Error(Exception):
    args = property(lambda self: 1 / 0)
    def __str__(self): raise SystemExit("ran __str__")

class List(list):
    def __iter__(self): raise SystemExit("ran __iter__")
    def __len__(self): raise SystemExit("ran __len__")
    def __getitem__(self, i): raise SystemExit("ran __getitem__")

class Text(str):
    def __repr__(self): raise SystemExit("ran __repr__")

class Int(int):
    def __repr__(self): raise SystemExit("ran __repr__")

def give(x): return x

Class = Meta("Class", (), {})
"""


def returned(tmp_path: Path, expressions: list[str], before: str = HOSTILE) -> list[str]:
    calls = "\n".join(f"give({expression})" for expression in expressions)
    (tmp_path / "program.py").write_text(f"{before}\n{calls}\n")
    got = events(tmp_path, "program.py", of="PY_RETURN")
    return [event["value"] for event in got if event["name"] == "give"]


def test_values_are_summarized_without_running_the_program(tmp_path: Path) -> None:
    summaries = {
        "Hostile()": "<Hostile object>",
        "[Hostile(), 1]": "[<Hostile object>, 1]",
        "{Hostile(): Hostile()}": "{<Hostile object>: <Hostile object>}",
        "Hostile": "Hostile",
        "Class": "Class",
        "Class()": "<Class object>",
        "Error('x')": "Error('x')",
        "KeyError(Hostile())": "KeyError(<Hostile object>)",
        "List([1])": "<List object>",
        "Text('x')": "<Text object>",
        "Int(1)": "<Int object>",
        "Hostile.__repr__": "Hostile.__repr__",
        "object.__getattribute__(Hostile(), '__repr__')": "Hostile.__repr__",
    }
    assert returned(tmp_path, list(summaries)) == list(summaries.values())


def test_values_of_builtin_types_look_as_in_python(tmp_path: Path) -> None:
    same = [
        "None",
        "True",
        "...",
        "1",
        "-1",
        "1.5",
        "1j",
        "'a\\'b'",
        "'\\n'",
        "b'x'",
        "[]",
        "()",
        "(1,)",
        "{}",
        "set()",
    ]
    same += [
        "{1}",
        "{'a': 1}",
        "[1, 'b', None]",
        "'\\ud800'",
        "10**30",
        "ValueError('x', 1)",
        "frozenset({1})",
    ]
    same += ["'\U0001f600'", "bytearray(b'x')", "OSError()"]
    assert returned(tmp_path, same) == [repr(eval(expression)) for expression in same]
    named = {
        "len": "len",
        "[].append": "list.append",
        "str.upper": "str.upper",
        "dict.fromkeys": "dict.fromkeys",
        "__import__('math').sqrt": "math.sqrt",
        "__import__('json')": "<module json>",
        "__import__('json').JSONDecoder": "json.decoder.JSONDecoder",
        "__import__('json').JSONDecoder().decode": "JSONDecoder.decode",
        "__import__('types').SimpleNamespace(a=1)": "<types.SimpleNamespace object>",
        "int": "int",
        "lambda: 1": "<lambda>",
    }
    assert returned(tmp_path, list(named)) == list(named.values())


def test_large_values_are_cut(tmp_path: Path) -> None:
    summaries = {
        "list(range(5))": "[0, 1, 2, …] (5 items)",
        "tuple(range(5))": "(0, 1, 2, …) (5 items)",
        "dict.fromkeys(range(5))": "{0: None, 1: None, 2: None, …} (5 items)",
        "[[1], (), {1: 2}]": "[[…], (), {…}]",
        "'x' * 1000": "'" + "x" * 60 + "…' (1000 long)",
        "b'x' * 10**8": "b'" + "x" * 60 + "…' (100000000 long)",
        "[0] * 10**7": "[0, 0, 0, …] (10000000 items)",
        "1 << 10**7": "<int of 10000001 bits>",
    }
    assert returned(tmp_path, list(summaries)) == list(summaries.values())
    loop = "x = []\nx.append(x)\ndef give(y): return y\n"
    assert returned(tmp_path, ["x"], loop) == ["[[…]]"]


def test_code_without_builtins_is_summarized_too(tmp_path: Path) -> None:
    source = "class C:\n    def m(self): pass\nexec('(lambda x: x)(c)', {'__builtins__': {}, 'c': C().m})"
    got = events(tmp_path, "-c", source, of="PY_RETURN")
    assert [event["value"] for event in got if event["name"] == "<lambda>"] == ["C.m"]


def test_a_name_cannot_break_the_report(tmp_path: Path) -> None:
    source = "exec(compile('f = lambda: 1', 'a\\nb', 'exec')); f.__code__; f()"
    done = monitrace("trace", "-e", "PY_START", "-c", source, cwd=tmp_path)
    assert all(line.startswith("PY_START ") for line in done.stderr.splitlines())
    assert len(done.stderr.splitlines()) == 3
    assert events(tmp_path, "-c", source, of="PY_START")[-1]["file"] == "a\nb"


def test_code_that_takes_the_place_of_dead_code_is_told_as_itself(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "for i in range(500):\n"
        "    exec(compile('\\n' * i + f'def f{i}():\\n  return {i}\\nf{i}()', f'file{i}', 'exec'))\n"
    )
    got = [event for event in events(tmp_path, "program.py") if event["name"].startswith("f")]
    assert len(got) == 500 * 3
    for position, event in enumerate(got):
        number = position // 3
        assert (event["name"], event["file"]) == (f"f{number}", f"file{number}")
        assert event["line"] in (number + 1, number + 2)


def test_memory_is_bounded(tmp_path: Path) -> None:
    source = (
        "import resource\n"
        "def f(i): exec(f'a{i} = {i}', {})\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for i in range(20000): f(i)\n"
        "before = peak()\n"
        "for i in range(60000): f(i)\n"
        "print((peak() - before) // 1024)\n"
    )
    (tmp_path / "program.py").write_text(source)
    done = monitrace("trace", "-e", "LINE,PY_START,PY_RETURN", "-o", os.devnull, "program.py", cwd=tmp_path)
    assert done.returncode == 0
    assert int(done.stdout) < 8, "MiB more for another 60,000 code objects"


def test_threads_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import threading\n"
        "def work(n):\n"
        "    for _ in range(n):\n"
        "        x = 1\n"
        "threads = []\n"
        "for _ in range(3):\n"
        "    threads.append(threading.Thread(target=work, args=(50,)))\n"
        "    threads[-1].start()\n"
        "for t in threads: t.join()\n"
    )
    got = events(tmp_path, "program.py")
    work = [event for event in got if event["name"] == "work"]
    assert len({event["thread"] for event in work}) == 3
    assert {event["depth"] for event in work} == {0}
    for thread in {event["thread"] for event in work}:
        own = [(event["event"], event["line"]) for event in work if event["thread"] == thread]
        assert own == [("PY_START", 2), *[("LINE", 3), ("LINE", 4)] * 50, ("LINE", 3), ("PY_RETURN", 3)]
    text = monitrace("trace", "-e", "PY_START", "program.py", cwd=tmp_path).stderr.splitlines()
    assert text[0].startswith("PY_START ")
    assert [bool(re.match(r"T\d+ +PY_START ", line)) for line in text[1:]] == [True] * 3


def test_the_report_has_what_happens_after_the_end(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import atexit, sys, threading, time\n"
        "def late(): time.sleep(0.1)\n"
        "def last(): pass\n"
        "atexit.register(last)\n"
        "threading.Thread(target=late).start()\n"
        "sys.exit(5)\n"
    )
    done = monitrace("trace", "-e", "PY_RETURN", "program.py", cwd=tmp_path)
    assert done.returncode == 5
    assert [line.split()[-3:][0] for line in done.stderr.splitlines()] == ["late", "last"]


def interrupted(tmp_path: Path, number: signal.Signals) -> tuple[int, list[dict[str, Any]]]:
    (tmp_path / "program.py").write_text(
        "import time\n"
        "def wait():\n"
        "    print('ready', flush=True)\n"
        "    while True:\n"
        "        time.sleep(0.01)\n"
        "try:\n"
        "    wait()\n"
        "finally:\n"
        "    last = 1\n"
    )
    options = ["-e", "LINE,PY_START,PY_RETURN", "--format", "jsonl", "-o", "report"]
    process = subprocess.Popen(
        [sys.executable, "-m", "monitrace", "trace", *options, "program.py"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        # Long enough for a line to be due.
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.6)
        process.send_signal(number)
        process.wait(timeout=30)
    return process.returncode, read(tmp_path / "report")


def test_ctrl_c_leaves_a_complete_report(tmp_path: Path) -> None:
    status, got = interrupted(tmp_path, signal.SIGINT)
    assert status == -signal.SIGINT
    assert got[-1]["line"] == 9


def test_signals_are_left_to_the_program(tmp_path: Path) -> None:
    # Making a summary must not handle them: what the handler raises would be lost.
    (tmp_path / "program.py").write_text(
        "import itertools, signal\n"
        "class Alarm(Exception): pass\n"
        "def ring(*_): raise Alarm\n"
        "def give(x): return x\n"
        "signal.signal(signal.SIGALRM, ring)\n"
        "for n in range(1000):\n"
        "    try:\n"
        "        signal.setitimer(signal.ITIMER_REAL, 0.0001 + n * 1e-7)\n"
        "        for _ in range(10**6): give('x')\n"
        "    except Alarm: continue\n"
        "    print('lost', n)\n"
    )
    done = monitrace("trace", "-o", os.devnull, "program.py", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_killed_program_leaves_most_of_its_report(tmp_path: Path) -> None:
    status, got = interrupted(tmp_path, signal.SIGKILL)
    assert status == -signal.SIGKILL
    assert got[-1]["name"] == "wait"


def test_a_child_process_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import os\ndef f():\n    return\nf()\npid = os.fork()\nf()\nif pid:\n    os.waitpid(pid, 0)\nf()\n"
    )
    got = [event["line"] for event in events(tmp_path, "program.py", of="LINE")]
    assert got == [1, 2, 4, 3, 5, 6, 3, 7, 8, 9, 3]


LONG = "for i in range(100000):\n    x = i\nprint('end')\nraise SystemExit(6)\n"


def test_a_reader_who_leaves_early_does_not_disturb_the_program(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(LONG)
    process = subprocess.Popen(
        [sys.executable, "-m", "monitrace", "trace", "program.py"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline().startswith("PY_START")
        process.stderr.close()
        assert process.stdout.read() == "end\n"
        assert process.wait(timeout=30) == 6


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize(
    ("source", "status"),
    [("print('end')", 1), (LONG, 6), ("print('end'); import sys; sys.exit()", 1), ("print('end'); 1/0", 1)],
)
def test_a_full_disk_is_told_at_the_end(tmp_path: Path, source: str, status: int) -> None:
    (tmp_path / "program.py").write_text(source)
    done = monitrace("trace", "-o", "/dev/full", "program.py", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (status, "end\n")
    told = [line for line in done.stderr.splitlines() if "monitrace" in line]
    assert told == ["monitrace: error: cannot write the report: No space left on device"]


def test_a_program_that_closes_standard_error_is_still_reported(tmp_path: Path) -> None:
    done = monitrace("trace", "-e", "LINE", "-c", "import os\nos.close(2)\nx = 1", cwd=tmp_path)
    assert done.returncode == 0
    assert [line.split()[1] for line in done.stderr.splitlines()] == [
        "<string>:1",
        "<string>:2",
        "<string>:3",
    ]


def test_colour_is_for_terminals_and_those_who_ask(tmp_path: Path) -> None:
    def coloured(**changes: str) -> bool:
        env = environment(**changes)
        return "\x1b[" in monitrace("trace", "-c", "1", cwd=tmp_path, env=env).stderr

    assert not coloured()
    assert coloured(FORCE_COLOR="1")
    assert not coloured(FORCE_COLOR="1", NO_COLOR="1")
    monitrace("trace", "-o", "report", "-c", "1", cwd=tmp_path, env=environment(FORCE_COLOR="1"))
    assert "\x1b[" not in (tmp_path / "report").read_text()


def test_tools_of_the_program_work_besides(tmp_path: Path) -> None:
    source = (
        "import monitrace\n"
        "m = monitrace.install()\n"
        "lines = []\n"
        "m.use_tool_id(0, 'own')\n"
        "m.register_callback(0, m.events.LINE, lambda code, line: lines.append(line))\n"
        "m.set_events(0, m.events.LINE)\n"
        "x = 1\n"
        "m.set_events(0, 0)\n"
        "print(lines, [m.get_tool(i) for i in range(6)])\n"
    )
    done = monitrace("trace", "-o", "report", "-c", source, cwd=tmp_path)
    assert done.stdout == "[7, 8] ['own', None, 'monitrace trace', None, None, None]\n"


def test_the_example_runs(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "examples" / "python" / "quickstart.py"
    got = events(tmp_path, str(example))
    assert [event["value"] for event in got if event["name"] == "shout" and "value" in event] == [
        "'ADA!'",
        "'GUIDO!'",
    ]
