"""Every program's event stream is the golden's, but for the version's named differences."""

import re
import sys

import corpus
import pytest


@pytest.mark.parametrize("name", corpus.programs())
def test_stream(name: str) -> None:
    found = corpus.compare(name, corpus.record(name))
    assert found == corpus.difference(name).diff


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the rules are written down for 3.11's bytecode")
@pytest.mark.parametrize("name", [name for name in corpus.programs() if corpus.has_rules(name)])
def test_stream_is_what_the_rules_say_of_this_bytecode(name: str) -> None:
    recorded = corpus.without_exceptions(corpus.record(name, "--by-offset"))
    assert recorded == corpus.record(name, "--by-rule").splitlines()


@pytest.mark.parametrize("file", sorted(path.name for path in (corpus.HERE / "differences").iterdir()))
def test_difference_has_a_reason_and_a_program(file: str) -> None:
    name, version, suffix = file.split(".")
    known = corpus.difference(name, version)
    assert known.reason, "a difference without a reason is a failure not looked at"
    assert known.diff
    assert name in corpus.programs()
    assert suffix == "diff"
    assert re.fullmatch(r"cp3(11|12|13|15)", version), "the goldens are 3.14's: it cannot differ from itself"


def test_every_golden_has_a_program() -> None:
    assert sorted(path.stem for path in (corpus.HERE / "goldens").iterdir()) == corpus.programs()
