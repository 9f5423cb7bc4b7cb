"""The modules `qt` and `ctk`: every listed class under its name, nothing else."""

from __future__ import annotations

import types
from typing import Any

from slicer_stand_in import api
from slicer_stand_in.python_qt import wrapper_class


class ListedModule(types.ModuleType):
    """A module that holds the listed classes of one room."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or api.room_of(name) != self.__name__:
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        return wrapper_class(name)


qt = ListedModule("qt")
ctk = ListedModule("ctk")
