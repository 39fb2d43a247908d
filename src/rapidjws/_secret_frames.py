"""Errors that leave a function which was given a secret: without the frames and the errors that hold it.

A report of an error with the values of local variables, as some services collect them, would else hold a key,
a PIN or a passphrase, whatever the messages say.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

Target = TypeVar("Target", bound=Callable[..., Any])


def keeps_secrets(function: Target) -> Target:
    """Let errors leave a function without its frames, its arguments, and what they were raised from."""

    @functools.wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        try:
            return function(*given, **named)
        except Exception as fault:
            failed = fault
        given, named = (), {}
        failed.__cause__ = failed.__context__ = None
        raise failed.with_traceback(None)

    return cast("Target", call)
