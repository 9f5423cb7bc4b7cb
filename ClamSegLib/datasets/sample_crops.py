"""A few crops of a labelled folder, spread over its patients, as a network sees them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.datasets.cases import group_rows, read_group, searched
from ClamSegLib.datasets.crop_cache import heights_of
from ClamSegLib.datasets.labelled_folder import LabelledFolder
from ClamSegLib.imaging.reader_process import reading_apart
from ClamSegLib.model.checkpoint import LoadedModel
from ClamSegLib.organ.crop_and_normalise import prepare
from ClamSegLib.system.progress import Reporter

_MOST_OF_A_CASE = 16


def sample_crops(
    folder: LabelledFolder, rows: list[int], model: LoadedModel, most: int, reporter: Reporter
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Network input (N,C,S,S) of at most `most` slices, and their organ (N,S,S).

    Of each case slices with and without disease are taken, evenly; cases come in an order drawn with seed 0.

    Raises:
        InputError: an unreadable image, or values the model cannot work on.
    """
    config = model.config
    groups = group_rows(folder, rows)
    images: list[NDArray[np.float32]] = []
    organs: list[NDArray[np.bool_]] = []
    with reading_apart(at_once=False):
        for number in np.random.default_rng(0).permutation(len(groups)):
            taken = sum(map(len, images))
            if taken >= most:
                break
            reporter.progress(taken, most, "cropping cases")
            for case in read_group(folder, groups[number], config.plane):
                volume, organ = searched(folder, case, config, reporter)
                preparation = prepare(volume, organ, config, model.normative, heights_of(case, organ))
                places = np.array([k for k, _ in case.slice_rows])
                diseased = np.array([folder.rows[row].label > 0 for _, row in case.slice_rows])
                kinds = [places[chosen] for chosen in (diseased, ~diseased)]
                index = np.sort(np.concatenate([kind[evenly(len(kind), _MOST_OF_A_CASE // 2)] for kind in kinds]))
                images.append(preparation.network_input(index))
                organs.append(preparation.organ_input(index))
    return np.concatenate(images)[:most], np.concatenate(organs)[:most]


def evenly(n: int, most: int) -> NDArray[np.int64]:
    """At most `most` of the numbers 0 to n - 1, the first and the last among them."""
    return np.unique(np.linspace(0, max(0, n - 1), min(n, most)).round().astype(np.int64))
