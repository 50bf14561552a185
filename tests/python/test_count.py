"""The native tool that counts events."""

import pytest
from monitrace import _native


def called() -> None:
    pass


def test_counts_what_it_is_asked_for_while_it_is_attached() -> None:
    count = _native.Count(["PY_START", "PY_RETURN"])
    called()
    count.start()
    called()
    called()
    count.stop()
    called()
    assert count.counts() == {"PY_START": 2, "PY_RETURN": 2}


def test_goes_on_where_it_stopped() -> None:
    count = _native.Count(["PY_START"])
    for _ in range(2):
        count.start()
        called()
        count.stop()
    assert count.counts() == {"PY_START": 2}


def test_starts_once() -> None:
    count = _native.Count(["LINE"])
    count.start()
    try:
        with pytest.raises(RuntimeError, match="the count has been started already"):
            count.start()
    finally:
        count.stop()


def test_unknown_event() -> None:
    with pytest.raises(ValueError, match="no event is called"):
        _native.Count(["LIEN"])
