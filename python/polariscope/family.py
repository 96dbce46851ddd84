"""The family of re-weighting functions, as the library lists it."""

from typing import Dict, List, NamedTuple, Tuple

from . import _library


class Form(NamedTuple):
    """A re-weighting function: what becomes of a row of scores z."""

    name: str
    alias: str  # "" where there is none
    formula: str
    statistics: Tuple[str, ...] = ()  # that its rows have
    parameters: Tuple[str, ...] = ()  # that it takes
    scaled: bool = True  # whether the default scale is 1/sqrt(width), else 1


def _described(index: int) -> Form:
    library, found = _library.library(), _library.Form()
    _library.check(library.describe_form(index, found))
    name, alias, formula, statistics, parameters = (
        text.decode() for text in (found.name, found.alias, found.formula, found.statistics, found.parameters))
    return Form(name, alias, formula, tuple(statistics.split(",")), tuple(parameters.split(",")) if parameters else (),
                bool(found.scaled))


_BY_NAME: Dict[str, Form] = {}  # and by alias; compilers, who ignore a cache's decorator, read it too


def _load() -> None:
    for index in range(_library.library().form_count()):
        form = _described(index)
        _BY_NAME[form.name] = form
        if form.alias:
            _BY_NAME[form.alias] = form


def forms() -> List[Form]:
    """The family of re-weighting functions, softmax first."""
    if not _BY_NAME:
        _load()
    return list(dict.fromkeys(_BY_NAME.values()))


def find(name: str) -> Form:
    """The form of that name or alias. Raises ArgumentError, which names the nearest."""
    if not _BY_NAME:
        _load()
    if name in _BY_NAME:
        return _BY_NAME[name]
    if not isinstance(name, str):
        raise _library.ArgumentError(
            f"attend: reweighting is of type {type(name).__name__}: expected a name of polariscope.forms()")
    _library.check(_library.library().find_form(name.encode()) < 0)
    raise _library.ArgumentError(f'attend: unknown attention "{name}"')
