"""What a step is shown: pairs of slices, augmented, with the target of every pixel.

Every draw comes from a generator seeded by (seed, step, shard), so a step is the same whether the
training was interrupted before it or not, and whichever process computes the shard.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ClamSegLib.datasets.cases import UNKNOWN
from ClamSegLib.datasets.crop_cache import CropSet
from ClamSegLib.model.normative_map import CHANNEL_SCALE
from ClamSegLib.objective.augmentation import Augmentation, AugmentationStrength
from ClamSegLib.objective.channel_augmentation import augment_channels
from ClamSegLib.objective.pairs import PairSampler
from ClamSegLib.objective.training_config import TrainingConfig


def step_generator(seed: int, *where: int) -> torch.Generator:
    """A CPU generator that depends on nothing but its arguments."""
    state = np.random.SeedSequence([seed, *where]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) & (2**63 - 1))


@dataclass(frozen=True)
class Slices:
    """Crops on the device: image (B,1 or 3,S,S), organ (B,S,S), target (B,C,S,S), weight (B,1,S,S), label (B,)."""

    image: Tensor
    organ: Tensor
    target: Tensor
    weight: Tensor
    label: Tensor
    eta: Tensor

    def first(self, n: int) -> Slices:
        """The first `n` slices."""
        return Slices(*(getattr(self, name)[:n] for name in self.__dataclass_fields__))

    def rest(self, n: int) -> Slices:
        """All but the first `n` slices."""
        return Slices(*(getattr(self, name)[n:] for name in self.__dataclass_fields__))


class CropSource:
    """Gathers crops onto the device and says what each pixel is taught.

    The crops stay on the device when it is a GPU with room for them, else they are read from the cache.

    Args:
        crops: the cached crops.
        indices: which of them this source may show.
    """

    def __init__(
        self,
        crops: CropSet,
        indices: NDArray[np.int64],
        training: TrainingConfig,
        classes: int,
        device: torch.device,
    ) -> None:
        self.crops, self.indices, self.training = crops, np.asarray(indices), training
        self.classes, self.device = classes, device
        self.label = np.asarray(crops.label)[self.indices]
        self.position = np.asarray(crops.position)[self.indices]
        self.patient = np.asarray(crops.patient)[self.indices]
        eta = np.asarray(crops.eta, dtype=np.float32)[self.indices]
        self.eta = np.where(np.isnan(eta), np.float32(training.eta), eta)
        self.use_mask = np.asarray(crops.correction)[self.indices].astype(bool)
        if training.supervision == "masks" or training.task == "organ":
            self.use_mask = np.ones_like(self.use_mask)
        self._resident = self._keep_on_device()

    def _keep_on_device(self) -> dict[str, Tensor] | None:
        if self.device.type != "cuda":
            return None
        if self.crops.records.dtype.itemsize * len(self.indices) > 0.5 * torch.cuda.mem_get_info(self.device)[0]:
            return None
        return self._pixels(np.arange(len(self.indices)))

    def __len__(self) -> int:
        return len(self.indices)

    def _pixels(self, place: NDArray[np.int64]) -> dict[str, Tensor]:
        """image, organ, lesion and what is told of slices by their places, (B,S,S) each, on the device."""
        index = self.indices[place]
        records = self.crops.records[index]
        lesion = self.crops.lesion(index, records["mask"])
        pixels = {"image": records["image"], "organ": records["organ"], "lesion": lesion}
        if self.crops.differences is not None and self.crops.told is not None:
            pixels["differences"], pixels["told"] = self.crops.differences[index], self.crops.told[index]
        return {name: torch.from_numpy(np.ascontiguousarray(v)).to(self.device) for name, v in pixels.items()}

    def gather(self, index: Tensor) -> Slices:
        """Slices by their place (B,) in this source, a CPU tensor."""
        place = index.numpy()
        if self._resident is None:
            pixels = self._pixels(place)
        else:
            here = index.to(self.device)
            pixels = {name: values[here] for name, values in self._resident.items()}
        image = pixels["image"].float()[:, None]
        if "differences" in pixels:
            image = torch.cat([image, pixels["differences"].float()], dim=1) * float(CHANNEL_SCALE)
        label = torch.from_numpy(self.label[place]).long().to(self.device)
        eta = torch.from_numpy(self.eta[place]).to(self.device)
        target, weight = self._teach(place, label, eta, pixels["lesion"], pixels.get("told"))
        return Slices(image, pixels["organ"], target, weight, label, eta)

    def _teach(
        self, place: NDArray[np.int64], label: Tensor, eta: Tensor, lesion: Tensor, told: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Target (B,C,S,S) and weight (B,1,S,S): a mask where one may be used, else what the normative map or the label says."""
        n, size = len(label), lesion.shape[-2:]
        target = torch.nn.functional.one_hot(label, self.classes).float()[:, :, None, None].expand(n, -1, *size).clone()
        if told is not None:
            share = told.float()[:, None] / 255
            healthy = torch.zeros_like(target)
            healthy[:, 0] = 1
            target = share * target + (1 - share) * healthy
        weight = torch.where(label > 0, eta, torch.ones_like(eta))[:, None, None, None].expand(n, 1, *size).clone()
        with_mask = self.use_mask[place] & ((self.label[place] > 0) | (self.training.task == "organ"))
        if with_mask.any():
            rows = torch.from_numpy(with_mask).to(self.device)
            mask = lesion[rows].long()
            known = mask != UNKNOWN
            one_hot = torch.nn.functional.one_hot(mask.clamp(max=self.classes - 1), self.classes)
            some = known.flatten(1).any(1)[:, None, None, None]  # a slice without any known mask keeps its label
            # In mode 'masks' such a slice teaches nothing: its label must not be broadcast.
            silent = torch.zeros_like(weight[rows]) if self.training.supervision == "masks" else weight[rows]
            target[rows] = torch.where(some, one_hot.permute(0, 3, 1, 2).float(), target[rows])
            weight[rows] = torch.where(some, known[:, None].float(), silent)
        return target, weight


@dataclass(frozen=True)
class Batch:
    """What one branch sees for term 1 (`taught`) and what both see for the pair terms (`diseased`, `normal`)."""

    taught: tuple[Slices, ...]
    diseased: Slices | None
    normal: Slices | None


def augment(slices: Slices, training: TrainingConfig, generator: torch.Generator) -> Slices:
    """The slices with one random change of shape and values each; masks and targets follow the shape."""
    if training.augmentation == 0:
        return slices
    if slices.image.shape[1] > 1:
        maps = torch.cat([slices.target, slices.weight], dim=1)
        image, maps, organ = augment_channels(
            slices.image, maps, slices.organ, training.augmentation, training.flip, generator
        )
        return replace(slices, image=image, organ=organ, target=maps[:, :-1], weight=maps[:, -1:])
    strength = AugmentationStrength().scaled(training.augmentation, flip=training.flip)
    n, side, device = len(slices.image), slices.image.shape[-1], slices.image.device
    change = Augmentation.sample(n, side, generator, device, strength=strength)
    # What moves in the same way moves in one call: a slice's places are then worked out once for all of it.
    maps = change.map(torch.cat([slices.target, slices.weight], dim=1))
    # Outside the original picture the maps are zero: there the pixel is background of weight 0 by the organ mask.
    return replace(
        slices,
        image=change.image(slices.image),
        organ=change.nearest(slices.organ),
        target=maps[:, :-1],
        weight=maps[:, -1:],
    )


class BatchMaker:
    """Draws the batches of a training."""

    def __init__(self, source: CropSource, training: TrainingConfig, branches: int) -> None:
        self.source, self.training, self.branches = source, training, branches
        self.sampler = (
            PairSampler(
                source.label,
                source.position,
                source.patient,
                position_tolerance=training.position_tolerance,
            )
            if training.task == "lesion"
            else None
        )

    def _whole(self, n: int, generator: torch.Generator) -> Slices:
        """n whole slices: half diseased and half normal, position-matched; any slices in the organ task."""
        if self.sampler is None:
            index = torch.randint(len(self.source), (n,), generator=generator)
        else:
            diseased, normal = self.sampler.sample((n + 1) // 2, generator)
            index = torch.cat([diseased, normal])[:n]
        return augment(self.source.gather(index), self.training, generator)

    def draw(self, n: int, generator: torch.Generator) -> Batch:
        """A batch of `n` images for each branch, and pairs of whole slices for the pair terms."""
        t = self.training
        if t.objective == "paper" and t.task == "lesion" and t.supervision == "labels":
            both = self._whole(2 * (n // 2), generator)
            return Batch((both,) * self.branches, both.first(n // 2), both.rest(n // 2))
        taught = tuple(self._whole(n, generator) for _ in range(self.branches))
        has_pair_terms = self.branches == 2 and (t.weight_positive > 0 or t.weight_separation > 0)
        if not (t.follows_normative_map and has_pair_terms and t.whole_share > 0):
            return Batch(taught, None, None)
        # A small shard shows at least one pair: without any, the pair terms would fall silent under torchrun.
        pairs = max(1, round(t.whole_share * n / 2))
        whole = self._whole(2 * pairs, generator)
        return Batch(taught, whole.first(pairs), whole.rest(pairs))
