"""CPython's own tests have the results with events on that they have plainly, but for named differences."""

from collections.abc import Iterator
from concurrent.futures import Future

import pytest
import results


@pytest.fixture(scope="module")
def diffs(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[str]]]:
    """The diffs of the modules that were chosen, on their way."""
    cases = (item for item in request.session.items if isinstance(item, pytest.Function))
    chosen = [str(case.callspec.params["module"]) for case in cases if case.function is test_same_results]
    with results.comparisons(chosen) as diffs:
        yield diffs


@pytest.mark.skipif(bool(results.missing()), reason=results.missing())
@pytest.mark.parametrize("module", results.MODULES)
def test_same_results(module: str, diffs: dict[str, Future[str]]) -> None:
    assert diffs[module].result() == results.difference(module).diff


@pytest.mark.parametrize("module", sorted(path.stem for path in (results.HERE / "differences").iterdir()))
def test_difference_has_a_reason_and_a_module(module: str) -> None:
    known = results.difference(module)
    assert known.reason, "a difference without a reason is a failure not looked at"
    assert known.diff
    assert module in results.MODULES
