"""The organ step: finds the organ by the method asked for, says how good it is, and falls back aloud.

Fall-backs: organ mask -> box of the body -> whole image. Nothing inside the crop is ever blacked out unless the
model says so, because classical masks miss consolidations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ClamSegLib.imaging.volume import Array, Volume
from ClamSegLib.model.config import IntensityConfig, ModelConfig, OrganConfig
from ClamSegLib.organ.picture_frame import within_frame
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.progress import Reporter

METHODS = ("lungs_ct", "brain_mr", "strip_skull", "brain_ct", "body", "whole")
PLUGINS = ("totalsegmentator", "lungmask", "hd-bet")
_GOOD_ENOUGH = 0.5
# What serves where no organ was found, or where the user asked for none, in words.
_STAND_INS = {"body": "body", "whole": "whole image", "central box": "central box"}


@dataclass(frozen=True)
class OrganResult:
    """The organ in the frame of the canonical volume.

    Attributes:
        mask: (slice, row, column) bool.
        method: the method that gave the mask in the end.
        quality: 0..1, the share of plausibility checks that hold; 1 for a mask the user gave.
        problem: what is doubtful, '' when nothing is.
        fell_back: whether another method than the one asked for had to serve.
    """

    mask: Array
    method: str
    quality: float
    problem: str = ""
    fell_back: bool = False

    def label(self, organ: OrganConfig) -> tuple[str, str]:
        """Name and terminology of the mask: the organ's only where the mask is the organ.

        What served in its place (the body, a box, the whole image) must not be called lungs in a result that others read.
        """
        if self.fell_back or (self.method in _STAND_INS and self.method != organ.method):
            return f"searched: {_STAND_INS.get(self.method, self.method)}", ""
        return organ.name, organ.terminology


def find_organ(
    volume: Volume,
    organ: OrganConfig,
    *,
    request: str = "auto",
    device: str = "cpu",
    reporter: Reporter | None = None,
    intensity: IntensityConfig | None = None,
) -> OrganResult:
    """Finds the organ.

    Args:
        volume: canonical.
        organ: the model's organ step.
        request: 'auto' (the model's method), 'none' (whole image), a method, a plug-in, 'model:NAME', or the path
            of a mask file on the grid of the input file.
        device: for organ networks.
        reporter: told about doubts and fall-backs.
        intensity: the model's window, for 8-bit pictures of CT.

    Raises:
        InputError: unknown method, absent plug-in, or a mask file that does not fit.
    """
    reporter = reporter or Reporter()
    method = organ.method if request == "auto" else "whole" if request == "none" else request
    if method == "whole":
        return OrganResult(np.ones(volume.array.shape, bool), "whole", 1.0)
    if _is_file(method):
        return OrganResult(_mask_from_file(Path(method), volume, reporter), "mask file", 1.0)
    found = _by_method(method, volume, device, intensity)
    if found.quality >= _GOOD_ENOUGH and found.mask.any():
        if found.problem:
            reporter.warning(f"Organ step: {found.problem}.")
        return found
    return _fall_back(volume, found, reporter)


def organ_of(
    volume: Volume,
    config: ModelConfig,
    *,
    request: str = "auto",
    given: Array | None = None,
    device: str = "cpu",
    reporter: Reporter | None = None,
) -> OrganResult:
    """Where a model looks: everywhere for an organ model, inside a mask that was drawn, else where the organ is found.

    Args:
        volume: canonical.
        config: of the model.
        request: as for `find_organ`.
        given: (slice, row, column) mask that the table of a labelled folder names; an empty one counts as none.
        device: for organ networks.
        reporter: told about doubts and fall-backs.

    Raises:
        InputError: as for `find_organ`.
    """
    if request == "auto" and config.task == "organ":
        return OrganResult(within_frame(volume), "whole", 1.0)
    if given is not None and given.any():
        return OrganResult(given, "mask file", 1.0)
    return find_organ(
        replace(volume, modality=volume.modality or config.modality),
        config.organ,
        request=request,
        device=device,
        reporter=reporter,
        intensity=config.intensity,
    )


def _is_file(method: str) -> bool:
    return method not in METHODS + PLUGINS and not method.startswith("model:")


def _by_method(method: str, volume: Volume, device: str, intensity: IntensityConfig | None) -> OrganResult:
    if method == "lungs_ct":
        from ClamSegLib.organ.lungs_ct import find_lungs

        window = (intensity.low, intensity.high) if intensity and intensity.kind == "window_hu" else (-1000.0, 400.0)
        return _result(method, *find_lungs(volume, window))
    if method == "brain_mr":
        from ClamSegLib.organ.brain_mr import find_brain

        return _result(method, *find_brain(volume))
    if method == "strip_skull":
        from ClamSegLib.organ.skull_strip import strip_skull

        return _result(method, *strip_skull(volume))
    if method == "brain_ct":
        from ClamSegLib.organ import brain_ct

        return _result(method, *brain_ct.find_brain(volume))
    if method == "body":
        mask = body_mask(volume)
        return OrganResult(mask, "body", 1.0 if mask.any() else 0.0, "" if mask.any() else "no body was found")
    if method in PLUGINS:
        from ClamSegLib.organ.external_tools import run_plugin

        return OrganResult(run_plugin(method, volume), method, 1.0)
    from ClamSegLib.organ.by_network import find_by_network

    return _result(method, *find_by_network(method.removeprefix("model:"), volume, device))


def _result(method: str, mask: Array, quality: float, problem: str) -> OrganResult:
    return OrganResult(mask, method, quality, problem)


def _fall_back(volume: Volume, found: OrganResult, reporter: Reporter) -> OrganResult:
    problem = found.problem or "the organ was not found"
    if volume.modality == "XR" or found.method.startswith("model:"):
        mask, method = central_box(volume), "central box"
    else:
        mask, method = body_mask(volume), "body"
    if not mask.any():
        mask, method = np.ones(volume.array.shape, bool), "whole"
    reporter.warning(f"Organ step: {problem}; the {method.replace('whole', 'whole image')} is used instead.")
    return OrganResult(mask, method, found.quality, problem, fell_back=True)


def central_box(volume: Volume) -> Array:
    """The central 80 % of the picture in both directions, where lungs usually lie in an X-ray."""
    mask = np.zeros(volume.array.shape, bool)
    rows, columns = volume.array.shape[1], volume.array.shape[2]
    mask[:, rows // 10 : rows - rows // 10, columns // 10 : columns - columns // 10] = True
    return mask


def body_mask(volume: Volume) -> Array:
    """What is not background: the largest part above Otsu's threshold, in CT above -400 HU, filled per slice."""
    from ClamSegLib.organ.brain_mr import otsu_threshold
    from ClamSegLib.organ.morphology import fill_holes, largest_component, upsampled, working_grid

    grid = working_grid(volume, 2.5)
    small = grid.subsample(volume.array).astype(np.float32)
    is_hu = float(volume.array.min()) < -500 and not volume.already_windowed
    limit = -400.0 if is_hu else 0.5 * otsu_threshold(np.minimum(small, np.percentile(small, 99.0)).ravel())
    body = fill_holes(largest_component(small > limit))
    return upsampled(body, grid, volume.array.shape)


def _mask_from_file(path: Path, volume: Volume, reporter: Reporter) -> Array:
    """A mask on the grid of the input, in any axis order."""
    from ClamSegLib.imaging.mask_files import read_mask

    if not path.exists():
        raise InputError(
            f"Organ method '{path}' is neither a file nor known; allowed are auto, none, {', '.join(METHODS + PLUGINS)}, "
            "model:NAME or the path of a mask."
        )
    mask, words = read_mask(path, volume, _plane_of(volume))
    if not mask.any():
        raise InputError(f"The organ mask {path} is empty; draw the organ, or use --organ auto.")
    if words:
        reporter.warning(words)
    return mask


def _plane_of(volume: Volume) -> str:
    """The plane a canonical volume was turned to, from the patient axis its slices run along."""
    direction = np.asarray(volume.direction).reshape(3, 3)
    return ("sagittal", "coronal", "axial")[int(np.argmax(np.abs(direction[:, 2])))]
