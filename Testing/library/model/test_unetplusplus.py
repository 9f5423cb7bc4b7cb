import pytest
import torch

from ClamSegLib.model.config import NetworkConfig
from ClamSegLib.model.unetplusplus import UNetPlusPlus
from ClamSegLib.system.errors import InputError

THREES, GROWING = (3, 3, 3, 3, 3), (3, 3, 3, 5, 5)


def network(kernels: tuple[int, ...] = THREES, **more: object) -> NetworkConfig:
    return NetworkConfig(features=(4, 4, 4, 4, 4), kernel_sizes=kernels, **more)  # type: ignore[arg-type]


def test_every_head_answers_at_full_size_deepest_first():
    net = UNetPlusPlus(NetworkConfig(features=(4, 6, 8, 10), kernel_sizes=(3, 3, 3, 5), classes=3)).eval()
    logits = net(torch.randn(2, 1, 32, 48))
    assert [tuple(h.shape) for h in logits] == [(2, 3, 32, 48)] * 3
    only_first = net(torch.randn(2, 1, 32, 48), 1)
    assert len(only_first) == 1


@pytest.mark.parametrize("repeat", [(), (1, 3)])
@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_pruning_drops_nodes_and_changes_no_bit(level, repeat):
    net = UNetPlusPlus(network(repeat_levels=repeat)).eval()
    image = torch.randn(2, 1, 64, 64)
    small = net.pruned(level)
    with torch.no_grad():
        for whole, pruned in zip(net(image, level), small(image), strict=True):
            assert torch.equal(whole, pruned)
    assert set(small.nodes) == {f"x_{i}_{j}" for i in range(level + 1) for j in range(level + 1 - i)}
    if level < 4:
        assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in net.parameters())


def test_running_at_a_level_never_touches_deeper_nodes():
    net = UNetPlusPlus(network()).eval()
    touched = set()
    for name, node in net.nodes.items():
        node.register_forward_hook(lambda *_, name=name: touched.add(name))
    net(torch.randn(1, 1, 32, 32), 2)
    assert touched == {"x_0_0", "x_1_0", "x_0_1", "x_2_0", "x_1_1", "x_0_2"}


def test_the_second_convolution_of_a_backbone_level_halves_the_map():
    net = UNetPlusPlus(network(GROWING)).eval()
    assert [net.nodes[f"x_{i}_0"].conv1.stride for i in range(5)] == [(1, 1)] * 5
    assert [net.nodes[f"x_{i}_0"].conv2.stride for i in range(5)] == [(1, 1)] + [(2, 2)] * 4
    assert [net.nodes[f"x_{i}_0"].conv1.kernel_size[0] for i in range(5)] == list(GROWING)
    assert net.nodes["x_1_2"].conv1.in_channels == 4 * 3


def receptive_field(net: UNetPlusPlus, level: int) -> int:
    """Largest span of pixels that one output pixel depends on, over all phases of the strides."""
    largest = 0
    for offset in range(2**level):
        image = (
            torch.zeros(1, 1, 8, 512, requires_grad=True)
            if level == 1
            else torch.zeros(1, 1, 256, 512, requires_grad=True)
        )
        row = image.shape[2] // 2
        output = net(image, level)[0][0, 1, row, 256 + offset]
        (gradient,) = torch.autograd.grad(output, image)
        columns = gradient[0, 0].abs().sum(0).nonzero()
        largest = max(largest, int(columns.max() - columns.min()) + 1)
    return largest


@pytest.mark.parametrize(("kernels", "fields"), [(THREES, (13, 29, 65)), (GROWING, (13, 29, 81))])
def test_receptive_fields_are_those_the_documents_name(kernels, fields):
    net = UNetPlusPlus(network(kernels)).eval()
    for parameter in net.parameters():
        parameter.data.abs_().add_(0.01)  # no dead channel may hide a connection
    assert tuple(receptive_field(net, level) for level in (1, 2, 3)) == fields


def test_repeat_levels_add_a_block_of_the_same_size():
    plain, repeated = UNetPlusPlus(network()), UNetPlusPlus(network(repeat_levels=(2,)))
    added = set(repeated.state_dict()) - set(plain.state_dict())
    assert added
    assert all(name.startswith("repeats.x_2_0") for name in added)
    assert repeated.repeats["x_2_0"].conv2.stride == (1, 1)


def test_every_parameter_learns():
    net = UNetPlusPlus(network(repeat_levels=(1,)))
    sum(h.square().mean() for h in net(torch.randn(2, 1, 32, 32))).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_a_size_that_cannot_be_halved_is_refused_in_words():
    with pytest.raises(ValueError, match="multiple of 16"):
        UNetPlusPlus(network())(torch.zeros(1, 1, 40, 32))
    with pytest.raises(ValueError, match=r"levels 1\.\.4"):
        UNetPlusPlus(network())(torch.zeros(1, 1, 32, 32), 5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"features": (8,)}, {"kernel_sizes": (3, 3)}, {"kernel_sizes": (3, 3, 3, 4, 3)}, {"classes": 1},
        {"repeat_levels": (9,)}, {"branches": 3},
    ],
)  # fmt: skip
def test_a_network_that_cannot_be_is_refused(wrong):
    with pytest.raises(InputError):
        NetworkConfig(**wrong)
