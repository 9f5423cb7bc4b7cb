"""From a labelled folder and the user's options to what the training loop needs: model configuration, crops, split."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.datasets.crop_cache import CropSet, load_crops
from ClamSegLib.datasets.labelled_folder import LabelledFolder, split_rows
from ClamSegLib.model.config import Condition, IntensityConfig, ModelConfig, NetworkConfig, OrganConfig
from ClamSegLib.model.config_json import from_json, to_json
from ClamSegLib.model.decoding_config import NormativeConfig
from ClamSegLib.model.normative_map import NormativeMap
from ClamSegLib.objective.training_config import TrainingConfig
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.progress import Reporter
from ClamSegLib.training.fit_normative import fit_normative

_LESION = "SCT^49755003^Morphologically Altered Structure~SCT^52988006^Lesion~^^"
_LUNG = "SCT^123037004^Anatomical Structure~SCT^39607008^Lung~^^"
_BRAIN = "SCT^123037004^Anatomical Structure~SCT^12738006^Brain~^^"
# Colours that stay apart for colour-blind eyes (Okabe and Ito), the first for a single lesion class.
_COLOURS = ((213, 94, 0), (240, 228, 66), (204, 121, 167), (86, 180, 233), (0, 158, 115))
_ORGAN_COLOUR = (0, 114, 178)

# What is assumed about a modality unless options or a configuration file say otherwise.
_PRESETS: dict[str, dict[str, Any]] = {
    "CT": {
        "body_part": "chest",
        "intensity": IntensityConfig("window_hu", -1000.0, 400.0),
        "minimum_volume_ml": 0.1,
        "organ": OrganConfig("lungs_ct", "lungs", terminology=_LUNG, colour=_ORGAN_COLOUR),
        "normative": NormativeConfig(frame="box", compressed=True),
    },
    "CT head": {
        "body_part": "head",
        "intensity": IntensityConfig("window_hu", -20.0, 100.0),
        "minimum_volume_ml": 0.1,
        "organ": OrganConfig("brain_ct", "brain", terminology=_BRAIN, colour=_ORGAN_COLOUR),
        "normative": NormativeConfig(standardised="slice"),
    },
    "MR": {
        "body_part": "head",
        "intensity": IntensityConfig("organ_robust", -4.0, 8.0),
        "minimum_volume_ml": 0.03,
        "organ": OrganConfig("brain_mr", "brain", terminology=_BRAIN, colour=_ORGAN_COLOUR),
    },
    "XR": {
        "body_part": "chest",
        "intensity": IntensityConfig("organ_robust", -4.0, 4.0),
        "organ": OrganConfig("model:xray-lungs", "lungs", terminology=_LUNG, colour=_ORGAN_COLOUR),
        "normative": NormativeConfig(nodes=1, smoothing=2.5),
    },
}


@dataclass(frozen=True)
class TrainingSetup:
    """What a training starts from.

    Attributes:
        split: places in `crops` of training and of validation slices.
        counts: numbers that stand in the card: slices and patients by class and split.
        normative: what normal tissue looks like, where the model compares with it.
    """

    config: ModelConfig
    training: TrainingConfig
    crops: CropSet
    split: tuple[NDArray[np.int64], NDArray[np.int64]]
    counts: dict[str, int] = field(default_factory=dict)
    normative: NormativeMap | None = None


def read_config_file(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The 'model' and 'training' parts of a `--config` file, each partial.

    Raises:
        InputError: unreadable, not JSON, other keys.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise InputError(f"{path} is not a JSON file ({error}).") from error
    if not isinstance(values, dict) or set(values) - {"model", "training"}:
        raise InputError(
            f"{path} must be an object with the parts 'model' and 'training', each with the keys to change."
        )
    return dict(values.get("model", {})), dict(values.get("training", {}))


def guess_modality(folder: LabelledFolder) -> str:
    """'CT', 'MR' or 'XR' from labels.csv's column `modality`, else from the first image's header; '' if neither tells."""
    from ClamSegLib.imaging.reader_process import read_volume, reading_apart

    words = folder.rows[0].extra.get("modality", "").upper()
    if not words:
        with reading_apart():
            words = read_volume(folder.rows[0].image_path).modality
    for modality, signs in {"CT": ("CT",), "MR": ("MR",), "XR": ("XR", "CR", "DX", "X-RAY", "XRAY")}.items():
        if any(words.startswith(sign) for sign in signs):
            return modality
    return ""


def new_model_config(
    folder: LabelledFolder,
    name: str,
    modality: str,
    changes: dict[str, Any],
    task: str,
    features: tuple[int, ...] | None,
    objective: str = "normative",
) -> ModelConfig:
    """A configuration from the preset of the modality, the file's conditions and the changes of `--config`.

    Raises:
        InputError: the modality is neither said nor to be guessed, or a value is out of range.
    """
    modality = modality or str(changes.get("modality", "")) or guess_modality(folder)
    if not modality:
        raise InputError("The modality cannot be told from the images; say it with --modality CT, MR or XR.")
    of_head = modality == "CT" and changes.get("body_part") == "head"
    preset = _PRESETS["CT head" if of_head else modality]
    organ: OrganConfig = preset["organ"]
    if task == "organ":
        conditions: tuple[Condition, ...] = (Condition(organ.name, _ORGAN_COLOUR, organ.terminology),)
        organ = replace(organ, method="whole")
    else:
        conditions = tuple(
            Condition(c, _COLOURS[n % len(_COLOURS)], _LESION) for n, c in enumerate(folder.conditions)
        ) or (Condition(),)
    sequence = folder.rows[0].extra.get("modality", "").partition("_")[2] if modality == "MR" else ""
    normative = preset.get("normative", NormativeConfig()) if task == "lesion" and objective == "normative" else None
    network = NetworkConfig(
        classes=len(conditions) + 1, branches=1 if task == "organ" else 2, in_channels=1 if normative is None else 3
    )
    if features:
        kernels = tuple(3 if level < 3 else 5 for level in range(len(features)))
        network = replace(network, features=features, kernel_sizes=kernels)
    base = ModelConfig(
        name=name,
        task=task,
        modality=modality,
        sequence=sequence,
        body_part=preset["body_part"],
        network=network,
        intensity=preset["intensity"]
        if task == "lesion" or modality == "CT"
        else IntensityConfig("organ_robust", -4.0, 4.0),
        organ=organ,
        conditions=conditions,
        minimum_volume_ml=preset.get("minimum_volume_ml", 0.0),
        normative=normative,
    )
    return _changed(base, changes)


def _changed(base: ModelConfig, changes: dict[str, Any]) -> ModelConfig:
    """`base` with nested keys replaced."""
    values = json.loads(json.dumps(to_json(base)))
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            values[key] = {**values[key], **value}
        else:
            values[key] = value
    return from_json(ModelConfig, values, "model")


def fine_tuning_config(initial: ModelConfig, folder: LabelledFolder, name: str, task: str) -> ModelConfig:
    """The starting model's configuration with the new folder's conditions.

    Raises:
        InputError: other task, or another number of conditions than the model knows.
    """
    if initial.task != task:
        raise InputError(
            f"The starting model '{initial.name}' is made for task {initial.task}, not {task}; choose another."
        )
    if task == "lesion" and len(folder.conditions) != len(initial.conditions):
        known, came = ", ".join(c.name for c in initial.conditions), ", ".join(folder.conditions)
        raise InputError(
            f"The starting model outlines {len(initial.conditions)} condition(s) ({known}), the folder has "
            f"{len(folder.conditions)} ({came}); train from scratch, or merge classes in the folder."
        )
    conditions = initial.conditions
    if task == "lesion":
        conditions = tuple(
            old if old.name == new else replace(old, name=new, display_name="")
            for old, new in zip(conditions, folder.conditions, strict=True)
        )
    return replace(
        initial,
        name=name,
        display_name="",
        conditions=conditions,
        odds_normal=(),
        threshold=ModelConfig.threshold,
        refinement=None,
        calibration=(),
        volume_evidence=None,
        default_level=None,
        weights_sha256="",
    )


def objective_of(initial: ModelConfig, training: TrainingConfig, reporter: Reporter) -> TrainingConfig:
    """The options with the objective that fits the starting model: a network sees one channel or three, as it was made.

    Raises:
        InputError: the model lacks what the objective needs.
    """
    if training.task == "organ":
        return training
    if initial.normative is not None and training.objective != "normative":
        reporter.note(
            f"'{initial.name}' compares with normal tissue; it is fine-tuned with objective normative, not {training.objective}"
        )
        return replace(training, objective="normative")
    if initial.normative is None and training.follows_normative_map:
        raise InputError(
            f"The starting model '{initial.name}' has no normative map, which objective normative needs; choose another one, train "
            "from scratch, or give --objective paper."
        )
    return training


def prepare_training(
    folder: LabelledFolder,
    config: ModelConfig,
    training: TrainingConfig,
    reporter: Reporter,
    known: NormativeMap | None = None,
) -> TrainingSetup:
    """Splits by patient, loads the crops and, where the model compares with normal tissue, measures that.

    Args:
        known: the normative map of the model that is fine-tuned.

    Raises:
        InputError: too few patients or classes to train and to validate, or masks asked for where there are none.
    """
    trained, held_out = split_rows(folder, validation_share=training.validation_share, seed=training.seed)
    labels = np.array([row.label for row in folder.rows])
    if training.task == "organ":
        trained = [k for k in trained if folder.rows[k].organ_mask_path is not None]
        held_out = [k for k in held_out if folder.rows[k].organ_mask_path is not None]
        if not trained:
            raise InputError("No training image has an organ mask; give organ_mask_path in labels.csv.")
    elif len(np.unique(labels[trained] > 0)) < 2:
        raise InputError("Training slices are of one class only; both normal and diseased ones are needed.")
    if not held_out or (training.task == "lesion" and len(np.unique(labels[held_out] > 0)) < 2):
        reporter.warning(
            "Too few patients to hold some out with both classes: the training slices themselves choose the model, "
            "so its figures are too good."
        )
        held_out = trained
    if training.supervision == "masks" and not any(
        folder.rows[k].lesion_mask_path is not None and folder.rows[k].lesion_mask_kind != "box" for k in trained
    ):
        raise InputError(
            "--supervision masks needs lesion outlines (lesion_mask_path, kind 'mask'); there are none, or only boxes."
        )
    rows = sorted(set(trained) | set(held_out))
    crops = load_crops(folder, rows, config, reporter=reporter)
    split = (_places(trained, crops.row), _places(held_out, crops.row))
    counts = {
        "training_slices": len(split[0]),
        "training_diseased": int((crops.label[split[0]] > 0).sum()),
        "training_patients": len({folder.rows[k].patient_id for k in trained}),
        "validation_slices": len(split[1]),
        "validation_patients": len({folder.rows[k].patient_id for k in held_out}),
    }
    if config.normative is None:
        return TrainingSetup(config, training, crops, split, counts)
    fitted = fit_normative(crops, split, config, reporter, known)
    return TrainingSetup(
        replace(config, normative=fitted.map.config), training, fitted.crops, split, counts, fitted.map
    )


def _places(rows: list[int], row_of_crop: NDArray[np.int64]) -> NDArray[np.int64]:
    """The crops of the rows, row by row; a row of a whole volume has one for each of its slices."""
    order = np.argsort(row_of_crop, kind="stable")
    return np.asarray(order[np.isin(row_of_crop[order], rows)], np.int64)
