"""CPython's own tests have the results with events on that they have plainly, but for named differences."""

import pytest
import results


@pytest.mark.skipif(bool(results.missing()), reason=results.missing())
@pytest.mark.parametrize("module", results.MODULES)
def test_same_results(module: str) -> None:
    assert results.compare(module) == results.difference(module).diff


@pytest.mark.parametrize("module", sorted(path.stem for path in (results.HERE / "differences").iterdir()))
def test_difference_has_a_reason_and_a_module(module: str) -> None:
    known = results.difference(module)
    assert known.reason, "a difference without a reason is a failure not looked at"
    assert known.diff
    assert module in results.MODULES
