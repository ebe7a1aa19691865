"""A type checker for jaxtyping that looks at arrays and nothing else.

jaxtyping leaves the checking to a library of one's choice. The general ones also refuse an
argument of a wrong plain type, before the code under test can answer it with the ValueError that
users see, and draw random numbers, which hypothesis rightly refuses. Shapes are what the
annotations are for, so shapes are what is checked.
"""

import functools
import inspect
import types
import typing

from jaxtyping import AbstractArray


def check_arrays(fn):
    """Raise TypeError where an argument or the result does not fit its array annotation."""
    signature = inspect.signature(fn)

    @functools.wraps(fn)
    def checked(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            _check(name, value, signature.parameters[name].annotation)
        result = fn(*args, **kwargs)
        _check("the result", result, signature.return_annotation)
        return result

    return checked


def _check(name, value, annotation):
    if not _fits(value, annotation):
        raise TypeError(f"{name} does not fit {annotation}: {getattr(value, 'shape', value)}")


def _fits(value, annotation):
    if inspect.isclass(annotation) and issubclass(annotation, AbstractArray):
        return isinstance(value, annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, option) for option in arguments)
    if annotation is type(None):
        return value is None
    if origin is tuple and isinstance(value, tuple) and len(value) == len(arguments):
        return all(map(_fits, value, arguments))
    return True
