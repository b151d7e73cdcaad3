"""The run-time type checker of the tests: signatures hold, and an int may stand for a float."""

import dataclasses
import functools
import inspect
import typing

import jaxtyping
from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
_jaxtyped = jaxtyping.jaxtyped


def jaxtyped(checked=None, *, typechecker=check):
    """What jaxtyping's own does, at a third of the cost: it checks parameters once, not twice,
    and binds none for names of axes that are computed from them, of which we have none.
    """
    if checked is None:
        return functools.partial(jaxtyped, typechecker=typechecker)
    if inspect.isclass(checked):
        if dataclasses.is_dataclass(checked) and "__init__" in vars(checked):
            checked.__init__ = jaxtyped(checked.__init__, typechecker=typechecker)
        return checked
    if inspect.isgeneratorfunction(checked) or inspect.iscoroutinefunction(checked):
        return _jaxtyped(checked, typechecker=typechecker)  # what they do comes later
    said = {name: _known(hint, checked) for name, hint in checked.__annotations__.items()}
    checked.__annotations__ = said
    function = typechecker(checked)
    if function is checked:  # nothing is said of what it takes and returns
        return checked

    @functools.wraps(checked)
    def within_axes_of_its_own(*args, **kwargs):
        __tracebackhide__ = True
        with _jaxtyped("context"):
            return function(*args, **kwargs)

    return within_axes_of_its_own


def _known(hint, function):
    """Names in quotes are looked up; of those that are known to other tools alone nothing is said,
    as in jaxtyping.
    """

    def holder():
        pass

    holder.__annotations__ = {"hint": hint}
    try:
        return typing.get_type_hints(holder, function.__globals__, include_extras=True)["hint"]
    except (NameError, ValueError):
        return typing.Any


jaxtyping.jaxtyped = jaxtyped  # what the import hook decorates with
