"""What this computer knows of the trainings it started: their words, to go on with them, and what they printed.

It lies in a folder `.trainings` of the user's models, so that another Slicer of the same user finds it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from ClamSegWorkflow.training.training_plan import resumed
from ClamSegWorkflow.words import tr as _

Start = Callable[[list[str], Path], int]


class StartedTrainings:
    """Starts trainings below a folder of models and remembers how.

    Args:
        models_folder: the user's own models.
        start: starts `train` with these words, output into this file, apart from this process; gives its pid.
    """

    def __init__(self, models_folder: Path, start: Start) -> None:
        self.models_folder, self._start = models_folder, start
        self._own = models_folder / ".trainings"

    def begin(self, name: str, words: list[str]) -> int:
        """Starts a training.

        Raises:
            OSError: Python cannot be started.
            OutputError: the folder cannot be written.
        """
        from ClamSegLib.system.atomic_output import whole_file

        self._own.mkdir(parents=True, exist_ok=True)
        self.preview(name).unlink(missing_ok=True)  # of a training before this one
        with whole_file(self._own / f"{name}.json") as part:
            part.write_text(json.dumps(words), encoding="utf-8")
        return self._start(words, self.log(name))

    def go_on(self, name: str) -> int:
        """Goes on with a training that was stopped or killed.

        Raises:
            OSError: as above, or its words are not known.
        """
        words = self.words(name)
        if not words:
            raise OSError(_("how '{name}' was started is not known on this computer; start it again").format(name=name))
        return self._start(resumed(words), self.log(name))

    def log(self, name: str) -> Path:
        """The file that holds what a training printed."""
        return self._own / f"{name}.log"

    def preview(self, name: str) -> Path:
        """The last picture of a training that a panel saw: patients' images, so that it lies in no model folder."""
        return self._own / f"{name}.png"

    def keep_preview(self, name: str, picture: Path) -> None:
        """Keeps a picture of a training for whoever opens the panel when it has ended."""
        with contextlib.suppress(OSError):  # a picture less is no reason to stop anything
            self._own.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(picture, self.preview(name))

    def words(self, name: str) -> list[str]:
        """The words of its first start, [] where they are not known."""
        try:
            words = json.loads((self._own / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return words if isinstance(words, list) and all(isinstance(word, str) for word in words) else []

    def can_go_on(self, name: str) -> bool:
        """Whether Resume takes it up: from its last validation, or before that from its start; it may run now."""
        return bool(self.words(name)) and (self.models_folder / name / "state").is_dir()

    def interrupted(self) -> list[str]:
        """Trainings that were killed before they made a model, and that can go on."""
        names = sorted(path.stem for path in self._own.glob("*.json")) if self._own.is_dir() else []
        return [n for n in names if self.can_go_on(n) and not (self.models_folder / n / "config.json").is_file()]
