"""The drawn tree of errors is the real one."""

import inspect
import re

from srgan import errors
from srgan.errors import SrganError


def test_the_drawn_tree_has_every_error_below_its_base_and_marks_the_hopeless_ones() -> None:
    drawn, above = {}, dict[int, str]()
    for indent, name, star in re.findall(
        r"^([ │├└─]+)(\w+Error)( \*)?", errors.__doc__ or "", re.M
    ):
        above[len(indent)] = name
        drawn[name] = (above.get(len(indent) - 3), bool(star))
    real = {
        name: (kind.__bases__[0].__name__, kind.hopeless)
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, SrganError)
    }
    assert drawn == real | {"SrganError": (None, False)}
