"""Errors of tasks that ran together."""

from __future__ import annotations


def first_error(error: BaseException) -> BaseException:
    """Return the first error in a group of groups, the one that ended the others; any other error as it is."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
