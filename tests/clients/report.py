"""What a client's script tells .ci/clients: `version V` once, then `ok WHAT` or `not ok WHAT<tab>why` for each check.

Connections are made from PGHOST, PGPORT, PGUSER and PGDATABASE, as libpq does it.
"""

import asyncio
import inspect
import os
import sys
import traceback

HOST = os.environ["PGHOST"]
PORT = int(os.environ["PGPORT"])
USER = os.environ["PGUSER"]
DATABASE = os.environ["PGDATABASE"]

_checks = []


def check(what):
    """A function with this decorator is one check; it fails by raising."""

    def add(function):
        _checks.append((what, function))
        return function

    return add


def equal(got, expected):
    """Values and their types, so that '1' is not 1 and Decimal('1.0') is not 1.0 or Decimal('1.00')."""
    if repr(got) != repr(expected):
        raise AssertionError(f"got {got!r}, expected {expected!r}")


def raises(sqlstate, call, state_of):
    """`call` must fail with this SQLSTATE; returns the error."""
    try:
        call()
    except Exception as error:
        if state_of(error) != sqlstate:
            raise AssertionError(f"expected SQLSTATE {sqlstate}, got {error!r}") from error
        return error
    raise AssertionError(f"expected SQLSTATE {sqlstate}, got no error")


def run(version, afterwards=lambda: None):
    """Runs all checks in order, each with something `afterwards` whether it failed or not, and ends the program."""
    print(f"version {version}", flush=True)
    failed = 0
    for what, function in _checks:
        try:
            result = function()
            if inspect.iscoroutine(result):
                asyncio.run(result)
            print(f"ok {what}", flush=True)
        except Exception as error:
            failed += 1
            if "VERBOSE" in os.environ:
                traceback.print_exc()
            first_line = (str(error) or repr(error)).strip().splitlines()[0]
            print(f"not ok {what}\t{type(error).__name__}: {first_line}", flush=True)
        afterwards()
    sys.exit(1 if failed else 0)
