"""What a model's folder tells of it before its weights are loaded, without torch: enough to look at a scan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.licence import require_model
from ClamSegLib.model.model_folder import NORMATIVE, WEIGHTS, read_config_and_warnings, require_intact


@dataclass(frozen=True)
class DescribedModel:
    """A model that may be used and whose files are those that its configuration names.

    Attributes:
        config: its configuration.
        folder: that it lies in.
        warnings: what of an older configuration is no longer followed.
    """

    config: ModelConfig
    folder: Path
    warnings: tuple[str, ...] = ()

    @property
    def weights(self) -> Path:
        """The file of its weights."""
        return self.folder / WEIGHTS

    @property
    def normative(self) -> Path | None:
        """The file of its map of normal tissue, None where it has none."""
        return None if self.config.normative is None else self.folder / NORMATIVE


def describe_model(folder: Path) -> DescribedModel:
    """Reads the configuration of a model folder and compares its files with it.

    Raises:
        InputError: anything missing, of a newer format, or another file than the configuration names.
        LicenceError: it is for non-commercial use only, which nobody has confirmed yet.
    """
    config, warnings = read_config_and_warnings(folder)
    require_model(config)
    model = DescribedModel(config, Path(folder), warnings)
    require_intact(model.weights, config.weights_sha256)
    if config.normative is not None:
        require_intact(model.folder / NORMATIVE, config.normative.sha256)
    return model
