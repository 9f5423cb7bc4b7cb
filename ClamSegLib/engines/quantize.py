"""A network in eight-bit numbers: made from crops, compared with the network as trained, kept beside the weights.

What is rounded how was tried on the shipped models (docs/research/performance.md): ranges from the smallest to the largest
value seen, biases corrected layer by layer, the first convolution and the heads left in float32. Up-sampling convolutions
are written as a 1 x 1 convolution whose channels are laid out as pixels: the same numbers, and OpenVINO computes them in
eight bits also where their input is joined with others. Where the masks still differ too much, NNCF puts the layers that
cost most back into float32.
Source: B. Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference,
arXiv 1712.05877.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ClamSegLib import __version__
from ClamSegLib.engines.build import ConvertedEngine, engine_of_file, network_at, open_engine, written_file
from ClamSegLib.engines.cache import versions_of_engines
from ClamSegLib.engines.conversion import import_openvino, quiet
from ClamSegLib.engines.engine import Engine, EngineChoice
from ClamSegLib.engines.quantized import QuantizedNetwork
from ClamSegLib.model.checkpoint import LoadedModel
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.model_folder import INT8_ABOUT, INT8_GRAPH, INT8_NUMBERS, sha256_of
from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.system.atomic_output import whole_file
from ClamSegLib.system.device import has_vnni
from ClamSegLib.system.disk import words_of_the_machine
from ClamSegLib.system.errors import ClamSegError, InputError
from ClamSegLib.system.progress import Reporter

SMALLEST_DICE = 0.98
FEWEST_CROPS, MOST_CROPS = 24, 96
_GFLOP_OF_ALL_CROPS = 240.0
_TOO_FEW = 4
# What NNCF is asked for: a little more than is required, because the crops it looks at are not those that judge.
_DICE_OF_SEARCH = 0.985
_CROPS_THAT_RANK = 24
_BATCH = 8
_LEFT_IN_FLOAT32 = (".*heads.*", r".*x_0_0\.conv1.*")


@dataclass(frozen=True)
class Crops:
    """Slices as a network sees them: image (N,C,S,S) float32, organ (N,S,S) bool."""

    image: NDArray[np.float32]
    organ: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.image)


def require_quantizing() -> None:
    """Refuses where a network cannot be quantised, or the result not be checked.

    Raises:
        InputError: said with what to do.
    """
    if not has_vnni():
        raise InputError(
            "This processor has no instructions for eight-bit numbers (VNNI), so an int8 network would be no faster here; "
            "make it on a computer whose processor has them."
        )
    _import_nncf()


def _import_nncf() -> Any:
    """The module nncf, which, like OpenVINO, would report its use over the network if it could."""
    try:
        import_openvino()
        with quiet():
            import nncf
    except ImportError as error:
        if words_of_the_machine(error):  # it is there, and finds no memory
            raise
        raise InputError("NNCF is missing; install it with pip install 'clamseg[quantize]'.") from error
    nncf.set_log_level(logging.ERROR)
    return nncf


def crops_to_look_at(gflop_per_slice: float) -> int:
    """How many crops set the ranges: fewer of large networks, so that a training's end stays a matter of minutes."""
    return int(np.clip(_GFLOP_OF_ALL_CROPS / gflop_per_slice, FEWEST_CROPS, MOST_CROPS))


def quantize_model(model: LoadedModel, calibration: Crops, judged: Crops, reporter: Reporter) -> QuantizedNetwork:
    """Writes the int8 network of a model's own level beside its weights, if its masks are those of the reference.

    Args:
        model: in a folder that may be written to.
        calibration: crops whose values set the ranges.
        judged: other crops, of other patients where there are, on which its masks are compared.

    Raises:
        InputError: NNCF or OpenVINO is missing, no VNNI, too few crops, or none on which the model marks anything.
        ClamSegError: NNCF failed, or the masks differ too much; nothing was written.
        OutputError: not writable, disk full.
    """
    require_quantizing()
    if min(len(calibration), len(judged)) < _TOO_FEW:
        raise InputError(
            f"Too few slices to quantise with; at least {_TOO_FEW} to measure and {_TOO_FEW} to judge by are needed."
        )
    level = model.config.level_of(None)
    judge = _Judge(model, level, judged)
    with tempfile.TemporaryDirectory() as place:
        recipe = _Recipe(network_at(model, level), model.config, level, calibration, Path(place))
        dice, searched = judge.dice_of(recipe.write()), False
        if dice < SMALLEST_DICE:
            reporter.note(f"int8 masks have a Dice of {dice:.3f} with the reference; layers go back to float32")
            dice, searched = judge.dice_of(recipe.write_restored(_Judge(model, level, calibration))), True
        if not dice >= SMALLEST_DICE:
            raise ClamSegError(
                f"The int8 network is not taken: its masks have a Dice of {dice:.3f} with those of the network as trained, at "
                f"least {SMALLEST_DICE} is asked; nothing was written."
            )
        about = {
            "clamseg": __version__,
            "made_with": {**versions_of_engines(), "nncf": importlib.metadata.version("nncf")},
            "weights_sha256": model.config.weights_sha256,
            "image_size": model.config.image_size,
            "level": level,
            "licence": model.config.licence,
            "non_commercial": model.config.is_non_commercial,
            "crops": [len(calibration), len(judged)],
            "dice": round(dice, 4),
            "layers_put_back": searched,
        }
        return _kept(Path(place), model.folder, about)


def write_int8(twin: TwinUNet, config: ModelConfig, level: int, crops: Crops, folder: Path) -> Path:
    """Writes int8.xml and int8.bin of a network that holds the nodes of `level`, compared with nothing.

    Raises:
        InputError: NNCF or OpenVINO is missing.
        ClamSegError: NNCF failed.
    """
    return _Recipe(twin, config, level, crops, folder).write()


class _Recipe:
    """How a network is quantised, first with all layers but a few, then, where asked for, with more of them left in float32."""

    def __init__(self, twin: TwinUNet, config: ModelConfig, level: int, crops: Crops, folder: Path) -> None:
        self._nncf, self._folder = _import_nncf(), folder
        nncf = self._nncf
        self._network = _float_network(written_file(twin, config, level, "openvino", folder))
        self._items = nncf.Dataset([image[None] for image in crops.image])
        ranges = nncf.quantization.range_estimator.RangeEstimatorParametersSet.MINMAX
        self._advanced = nncf.AdvancedQuantizationParameters(activations_range_estimator_params=ranges)
        self._options = {
            "preset": nncf.QuantizationPreset.MIXED,
            "subset_size": len(crops),
            "fast_bias_correction": False,
            "ignored_scope": nncf.IgnoredScope(patterns=list(_LEFT_IN_FLOAT32)),
        }

    def write(self) -> Path:
        """The file with every layer in int8 but those that always stay."""
        return self._written(
            lambda: self._nncf.quantize(self._network, self._items, advanced_parameters=self._advanced, **self._options)
        )

    def write_restored(self, judge: _Judge) -> Path:
        """The file with the layers in float32 that NNCF finds to cost most on the crops of `judge`."""

        def validate(compiled: Any, numbers: Iterable[int]) -> tuple[float, list[float]]:
            return judge.compared(lambda image: list(compiled(image).values()), list(numbers))

        ranked = self._nncf.AdvancedAccuracyRestorerParameters(ranking_subset_size=_CROPS_THAT_RANK)
        return self._written(
            lambda: self._nncf.quantize_with_accuracy_control(
                self._network,
                self._items,
                self._nncf.Dataset(list(range(len(judge.crops)))),
                validate,
                max_drop=1 - _DICE_OF_SEARCH,
                advanced_quantization_parameters=self._advanced,
                advanced_accuracy_restorer_parameters=ranked,
                **self._options,
            )
        )

    def _written(self, quantise: Callable[[], Any]) -> Path:
        path = self._folder / INT8_GRAPH
        try:
            with quiet():
                import_openvino().save_model(quantise(), path, compress_to_fp16=False)
        except (ClamSegError, MemoryError):
            raise
        except Exception as error:  # a foreign library: whatever it raises, the model stays as it is
            words = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise ClamSegError(f"NNCF could not quantise the network ({words}); nothing was written.") from error
        return path


def _float_network(path: Path) -> Any:
    """The network in OpenVINO whose up-sampling convolutions are 1 x 1 convolutions laid out as pixels."""
    network = import_openvino().Core().read_model(path)
    from openvino import opset13

    for layer in network.get_ordered_ops():
        if layer.get_type_name() != "ConvolutionBackpropData":
            continue
        weights = layer.input_value(1).get_node().data  # (from, to, 2, 2)
        inside, outside, rows, columns = weights.shape
        flat = np.ascontiguousarray(weights.transpose(2, 3, 1, 0).reshape(rows * columns * outside, inside, 1, 1))
        spread = opset13.convolution(
            layer.input_value(0), opset13.constant(flat), [1, 1], [0, 0], [0, 0], [1, 1], name=layer.get_friendly_name()
        )
        layer.output(0).replace(opset13.depth_to_space(spread, "blocks_first", rows).output(0))
    return network


class _Judge:
    """Compares masks on crops with those of the network as trained."""

    def __init__(self, model: LoadedModel, level: int, crops: Crops) -> None:
        self.model, self.level, self.crops = model, level, crops
        self._expected = self._maps(open_engine(model, level, torch.device("cpu"), EngineChoice()), crops.image)
        if not (self._marked(self._expected) & crops.organ[:, None]).any():
            raise InputError("The model marks nothing on these slices, so masks cannot be compared; give others.")

    @staticmethod
    def _maps(engine: Engine, image: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.concatenate([engine.run(image[k : k + _BATCH])[0] for k in range(0, len(image), _BATCH)])

    def _marked(self, maps: NDArray[np.float32]) -> NDArray[np.bool_]:
        return np.asarray(maps > self.model.config.threshold)

    def dice_of(self, path: Path) -> float:
        """Smallest Dice over the conditions of a written network."""
        choice = EngineChoice("openvino", "int8", torch.get_num_threads())
        engine = engine_of_file(path, self.model.config, self.level, choice)
        return self._dice(self._maps(engine, self.crops.image), np.arange(len(self.crops)))

    def compared(
        self, run: Callable[[NDArray[np.float32]], list[Any]], numbers: list[int]
    ) -> tuple[float, list[float]]:
        """The same of a network of NNCF on some crops, and how alike the maps of each are."""
        engine = ConvertedEngine(
            self.model.config,
            EngineChoice("openvino", "int8"),
            lambda given: [torch.from_numpy(np.array(found)) for found in run(given[0].numpy())],
        )
        found = np.concatenate([engine.run(self.crops.image[k : k + 1])[0] for k in numbers])
        index = np.array(numbers)
        apart = np.abs(found - self._expected[index]) * self.crops.organ[index, None]
        return self._dice(found, index), [float(1 - each.mean()) for each in apart]

    def _dice(self, found: NDArray[np.float32], index: NDArray[np.int64]) -> float:
        inside = self.crops.organ[index, None]
        own, expected = (self._marked(maps) & inside for maps in (found, self._expected[index]))
        both, sizes = ((own & expected).sum((0, 2, 3)), own.sum((0, 2, 3)) + expected.sum((0, 2, 3)))
        return float(np.min(np.where(sizes > 0, 2 * both / np.maximum(sizes, 1), 1.0)))


def _kept(written: Path, folder: Path, about: dict[str, Any]) -> QuantizedNetwork:
    """The files put beside the weights, int8.json last: without it there is no int8 network."""
    (folder / INT8_ABOUT).unlink(missing_ok=True)
    for name in (INT8_GRAPH, INT8_NUMBERS):
        with whole_file(folder / name) as part:
            part.write_bytes((written / name).read_bytes())
    about["files"] = {name: sha256_of(folder / name) for name in (INT8_GRAPH, INT8_NUMBERS)}
    with whole_file(folder / INT8_ABOUT) as part:
        part.write_text(json.dumps(about, indent=1), encoding="utf-8")
    return QuantizedNetwork(folder / INT8_GRAPH, about["level"], about["dice"])
