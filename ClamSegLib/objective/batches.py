"""What a step is shown: pairs of slices, augmented, mixed to mosaics, with the target of every pixel.

Every draw comes from a generator seeded by (seed, round, step, shard), so a step is the same whether the
training was interrupted before it or not, and whichever process computes the shard.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ClamSegLib.datasets.crop_cache import CropSet
from ClamSegLib.objective.augmentation import Augmentation, AugmentationStrength
from ClamSegLib.objective.mosaics import mosaic
from ClamSegLib.objective.pairs import PairSampler
from ClamSegLib.objective.training_config import TrainingConfig

UNKNOWN = 255


def step_generator(seed: int, *where: int) -> torch.Generator:
    """A CPU generator that depends on nothing but its arguments."""
    state = np.random.SeedSequence([seed, *where]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) & (2**63 - 1))


@dataclass(frozen=True)
class Slices:
    """Crops on the device: image (B,1,S,S), organ and regions (B,S,S), target (B,C,S,S), weight (B,1,S,S), label (B,)."""

    image: Tensor
    organ: Tensor
    regions: Tensor
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
        teacher: P_L of an earlier round in 1/255 steps, (N, K, S, S) over all crops, or None.
        teacher_cut: above it the teacher's maps are lesion, with hard targets.
    """

    def __init__(
        self,
        crops: CropSet,
        indices: NDArray[np.int64],
        training: TrainingConfig,
        classes: int,
        device: torch.device,
        teacher: NDArray[np.uint8] | None = None,
        teacher_cut: float = 0.5,
    ) -> None:
        self.crops, self.indices, self.training = crops, np.asarray(indices), training
        self.classes, self.device, self.teacher, self.teacher_cut = classes, device, teacher, teacher_cut
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
        names = ("images", "organ", "regions", "lesion")
        needed = sum(getattr(self.crops, name)[0].nbytes for name in names) * len(self.indices)
        if needed > 0.5 * torch.cuda.mem_get_info(self.device)[0]:
            return None
        return {
            name: torch.from_numpy(np.array(getattr(self.crops, name)[self.indices])).to(self.device) for name in names
        }

    def __len__(self) -> int:
        return len(self.indices)

    def _read(self, name: str, index: Tensor) -> Tensor:
        if self._resident is not None:
            return self._resident[name][index.to(self.device)]
        # A list of places copies; a second copy would only take time.
        return torch.from_numpy(np.asarray(getattr(self.crops, name)[self.indices[index.numpy()]])).to(self.device)

    def gather(self, index: Tensor) -> Slices:
        """Slices by their place (B,) in this source, a CPU tensor."""
        place = index.numpy()
        image = self._read("images", index).float()[:, None]
        organ = self._read("organ", index).bool()
        label = torch.from_numpy(self.label[place]).long().to(self.device)
        eta = torch.from_numpy(self.eta[place]).to(self.device)
        target, weight = self._teach(index, label, eta, image.shape[-2:])
        return Slices(image, organ, self._read("regions", index), target, weight, label, eta)

    def _teach(self, index: Tensor, label: Tensor, eta: Tensor, size: torch.Size) -> tuple[Tensor, Tensor]:
        """Target (B,C,S,S) and weight (B,1,S,S): a mask where one may be used, else the teacher, else the label."""
        n, place = len(label), index.numpy()
        target = torch.nn.functional.one_hot(label, self.classes).float()[:, :, None, None].expand(n, -1, *size).clone()
        weight = torch.where(label > 0, eta, torch.ones_like(eta))[:, None, None, None].expand(n, 1, *size).clone()
        diseased = (label > 0).cpu().numpy()
        if self.teacher is not None and diseased.any():
            rows = torch.from_numpy(diseased).to(self.device)
            lesion = (
                torch.from_numpy(np.array(self.teacher[self.indices[place[diseased]]])).to(self.device).float() / 255
            )
            if self.training.teacher == "hard":
                lesion = (lesion > self.teacher_cut).float()
            target[rows] = torch.cat([1 - lesion.sum(1, keepdim=True).clamp(max=1), lesion], dim=1)
            weight[rows] = 1.0
        with_mask = self.use_mask[place] & (diseased | (self.training.task == "organ"))
        if with_mask.any():
            rows = torch.from_numpy(with_mask).to(self.device)
            mask = self._read("lesion", index[torch.from_numpy(with_mask)]).long()
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


def augment(
    slices: Slices, training: TrainingConfig, generator: torch.Generator, sizes: tuple[int, ...] = ()
) -> Slices:
    """The slices with one random change of shape and values each; masks and targets follow the shape.

    Args:
        sizes: of the batches that `slices` joins, whose changes are drawn one after the other; () for one batch.
    """
    if training.augmentation == 0:
        return slices
    strength = AugmentationStrength().scaled(training.augmentation, flip=training.flip)
    side, device = slices.image.shape[-1], slices.image.device
    drawn = [Augmentation.sample(n, side, generator, device, strength=strength) for n in sizes or (len(slices.image),)]
    change = drawn[0] if len(drawn) == 1 else Augmentation.joined(drawn)
    # What moves in the same way moves in one call: a slice's places are then worked out once for all of it.
    numbers = change.nearest(torch.stack([slices.organ.float(), slices.regions.float()], dim=1))
    maps = change.map(torch.cat([slices.target, slices.weight], dim=1))
    # Outside the original picture the maps are zero: there the pixel is background of weight 0 by the organ mask.
    return replace(
        slices,
        image=change.image(slices.image),
        organ=numbers[:, 0] > 0.5,
        regions=numbers[:, 1].to(slices.regions.dtype),
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
                favoured=source.use_mask if training.supervision == "labels" else None,
                favoured_share=training.correction_share,
            )
            if training.task == "lesion"
            else None
        )
        self._mixes = (
            training.task == "lesion"
            and training.objective == "clam"
            and training.supervision == "labels"
            and training.mosaic != "none"
            and source.teacher is None
        )

    def _whole(self, n: int, generator: torch.Generator) -> Slices:
        """n whole slices: half diseased and half normal, position-matched; any slices in the organ task."""
        if self.sampler is None:
            index = torch.randint(len(self.source), (n,), generator=generator)
        else:
            diseased, normal = self.sampler.sample((n + 1) // 2, generator)
            index = torch.cat([diseased, normal])[:n]
        return augment(self.source.gather(index), self.training, generator)

    def _mosaics(self, n: int, generator: torch.Generator) -> Slices:
        assert self.sampler is not None
        first, second = self.sampler.sample(n, generator)
        same = int(torch.rand(n, generator=generator).lt(self.training.same_class_share).sum())
        if same:
            first[:same], second[:same] = self.sampler.same_class(same, generator)
        both = augment(self.source.gather(torch.cat([first, second])), self.training, generator, (n, n))
        a, b = both.first(n), both.rest(n)
        mixed = mosaic(
            self.training.mosaic, a.image, b.image, a.regions, b.regions, a.organ, b.organ, generator=generator
        )
        return replace(
            a,
            image=mixed.image,
            organ=mixed.organ,
            target=mixed.take(a.target, b.target),
            weight=mixed.take(a.weight, b.weight),
        )

    def draw(self, n: int, generator: torch.Generator) -> Batch:
        """A batch of `n` images for each branch, and pairs of whole slices for the pair terms."""
        make = self._mosaics if self._mixes else self._whole
        if self.training.task == "organ" or self.training.supervision == "masks":
            return Batch(tuple(make(n, generator) for _ in range(self.branches)), None, None)
        if self.training.objective == "paper":
            both = self._whole(2 * (n // 2), generator)
            return Batch((both,) * self.branches, both.first(n // 2), both.rest(n // 2))
        # A small shard shows at least one pair: without any, the pair terms would fall silent under torchrun.
        pairs = max(1, round(self.training.whole_share * n / 2)) if self.training.whole_share > 0 else 0
        taught = tuple(make(n, generator) for _ in range(self.branches))
        if pairs == 0:
            return Batch(taught, None, None)
        whole = self._whole(2 * pairs, generator)
        return Batch(taught, whole.first(pairs), whole.rest(pairs))
