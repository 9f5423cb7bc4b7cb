"""What the user asked of a training, complete, and that a resumed one asks the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ClamSegLib.datasets.labelled_folder import LabelledFolder
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.config_json import to_json
from ClamSegLib.model.licence import licence_text
from ClamSegLib.model.model_folder import read_config
from ClamSegLib.objective.training_config import TrainingConfig
from ClamSegLib.system.atomic_output import whole_file
from ClamSegLib.system.errors import InputError
from ClamSegLib.training.run_folder import STATE_FOLDER

REQUEST = "request.json"


@dataclass(frozen=True)
class TrainingRequest:
    """The same request with `resume` goes on where a kill left off.

    Attributes:
        initial_model: folder of the model to fine-tune, or None.
        about: words for the card: 'data' and 'limits', each may be missing.
        tune: find eta by short trainings first.
        licence_file: text of the licence, to be kept beside the weights; None for that of the model that is fine-tuned.
        quantize: also write the network in eight-bit numbers, where NNCF is installed and scans would be faster by it.
    """

    folder: LabelledFolder
    config: ModelConfig
    training: TrainingConfig
    output: Path
    device: torch.device
    initial_model: Path | None = None
    resume: bool = False
    about: dict[str, str] | None = None
    command: tuple[str, ...] = ()
    tensorboard: bool = False
    tune: bool = False
    licence_file: Path | None = None
    quantize: bool = True

    @property
    def state_folder(self) -> Path:
        """Where an unfinished training keeps what it needs to go on."""
        return self.output / STATE_FOLDER

    def licence_words(self, licence: str) -> str | None:
        """Text of the licence that goes beside the weights, where there is one.

        Args:
            licence: of the model that is made.

        Raises:
            InputError: the file that was named cannot be read.
        """
        path = self.licence_file
        if path is None and self.initial_model is not None:
            start = read_config(self.initial_model)
            path = licence_text(self.initial_model, start) if start.licence == licence else None
        try:
            return None if path is None else path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise InputError(f"The licence's text {path} cannot be read; name a text file.") from error

    def keep_or_compare(self) -> None:
        """Writes the request on a first start; on resume refuses one that differs from the first.

        Raises:
            InputError: it differs.
            OutputError: not writable.
        """
        described = {
            "data": str(self.folder.root.resolve()),
            "model": to_json(replace(self.config, name="")),
            "training": to_json(self.training) | ({"eta": "tune"} if self.tune else {}),
            "initial": str(self.initial_model or ""),
        }
        described = json.loads(json.dumps(described))
        path = self.state_folder / REQUEST
        if not (self.resume and path.is_file()):
            # The state of a training before this one would be taken for this one's.
            shutil.rmtree(self.state_folder, ignore_errors=True)
            with whole_file(path) as part:
                part.write_text(json.dumps(described, indent=1), encoding="utf-8")
            return
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = [key for key in described if before.get(key) != described[key]]
        if changed:
            raise InputError(
                f"--resume must repeat the options of the first start (and its version of ClamSeg), but "
                f"{', '.join(changed)} differ; repeat the first command with --resume added, or start anew with "
                "another --output."
            )


def words_for_card(words: Sequence[str]) -> list[str]:
    """The command for the card, without the folders of this machine; sentences with a slash stay as they are."""
    return [Path(word).name if Path(word).is_absolute() or Path(word).exists() else word for word in words]
