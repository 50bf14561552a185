"""try, except, else, finally, raise."""


def fails(kind=ValueError):
    raise kind("reason")


def no_exception():
    try:
        value = 1
    except ValueError:
        value = 2
    else:
        value += 10
    finally:
        value += 100
    return value


def caught():
    try:
        fails()
    except KeyError:
        value = 1
    except (ValueError, TypeError) as error:
        value = len(error.args)
    else:
        value = 3
    finally:
        value += 100
    return value


def uncaught():
    try:
        fails(KeyError)
    except ValueError:
        return 1
    finally:
        cleaned = True
        assert cleaned


def bare():
    try:
        return 1 // 0
    except:
        return -1


def nested():
    try:
        try:
            fails()
        except ValueError:
            fails(KeyError)
    except KeyError as error:
        return type(error.__context__).__name__


def chained():
    try:
        try:
            fails()
        except ValueError as error:
            raise RuntimeError("outer") from error
    except RuntimeError as error:
        return type(error.__cause__).__name__


def reraises():
    try:
        try:
            fails()
        except ValueError:
            raise
    except ValueError:
        return "again"


def return_runs_finally():
    done = []
    try:
        return len(done)
    finally:
        done.append(1)


def loop_with_finally():
    for i in range(3):
        try:
            if i == 0:
                continue
            break
        finally:
            last = i
    return last


def only_finally():
    try:
        value = 1
    finally:
        value = 2
    return value


def condition():
    try:
        fails()
    except ValueError if True else KeyError:
        pass


def asserts(value):
    assert value, (
        "message"
    )  # fmt: skip
    return value


def over_lines():
    try:
        return (
            1
            + fails()
        )  # fmt: skip
    except ValueError:
        return 0


no_exception()
caught()
try:
    uncaught()
except KeyError:
    pass
bare()
nested()
chained()
reraises()
return_runs_finally()
loop_with_finally()
only_finally()
condition()
asserts(1)
try:
    asserts(0)
except AssertionError:
    pass
over_lines()
try: fails()  # fmt: skip
except ValueError: pass  # fmt: skip
