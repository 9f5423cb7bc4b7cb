import pytest
import torch
from labelled_phantoms import write_phantoms

from ClamSegLib.cli import main
from ClamSegLib.model.checkpoint import load_model
from ClamSegLib.model.config import NetworkConfig
from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.model.unetplusplus import UNetPlusPlus
from ClamSegLib.system.errors import InputError

KINDS = ("unet", "fcn")


def network(kind: str, **changes: object) -> NetworkConfig:
    return NetworkConfig(**{"features": (4, 8, 8), "kernel_sizes": (3, 3, 5), "kind": kind, "branches": 1, **changes})


@pytest.fixture(scope="module", params=KINDS)
def trained(request, tmp_path_factory):
    """A trained model of the kind, and the data it was trained on."""
    root = tmp_path_factory.mktemp(request.param)
    data = write_phantoms(root / "data")
    config = root / "config.json"
    config.write_text(f'{{"model": {{"network": {{"kind": "{request.param}"}}}}, "training": {{}}}}')
    words = ["--config", str(config), "--features", "4,8,8", "--image-size", "32", "--organ", "whole"]
    words += ["--steps", "4", "--batch-pairs", "4", "--progress", "none"]
    assert main(["train", str(data), "--output", str(root / "model"), *words]) == 0
    return root / "model", data


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_network_answers_with_one_map_per_class_at_full_size(kind):
    torch.manual_seed(0)
    (logits,) = TwinUNet(network(kind), seed=1)(torch.randn(2, 1, 32, 32))[0]
    assert logits.shape == (2, 2, 32, 32)
    assert logits.std() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_network_has_the_backbone_of_the_nested_one(kind):
    def backbone(branch: torch.nn.Module) -> dict[str, torch.Size]:
        state = branch.state_dict()
        return {name: tensor.shape for name, tensor in state.items() if name.startswith("nodes.") and "_0." in name}

    plain = backbone(TwinUNet(network(kind)).branches[0])
    assert plain == backbone(UNetPlusPlus(network("unetplusplus")))
    assert plain


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_network_has_one_level_and_says_so(kind):
    twin = TwinUNet(network(kind))
    assert twin.network.heads == 1
    assert list(twin.pruned(1).state_dict()) == list(twin.state_dict())
    with pytest.raises(ValueError, match="one head only"):
        twin.pruned(2)


def test_an_unknown_kind_and_repeats_of_a_plain_network_are_refused():
    with pytest.raises(InputError, match="unetplusplus, unet, fcn"):
        network("vnet")
    with pytest.raises(InputError, match="repeat_levels"):
        network("unet", repeat_levels=(1,))


def test_a_trained_plain_network_is_judged_by_the_same_command(trained, tmp_path):
    model, data = trained
    words = ["--model", str(model), "--split", "dev", "--output", str(tmp_path / "figures"), "--baselines"]
    assert main(["evaluate", str(data), *words, "--progress", "none"]) == 0
    assert (tmp_path / "figures" / "metrics.json").is_file()


def test_a_level_that_a_plain_network_lacks_is_refused_in_one_line(trained, tmp_path, capsys):
    model, data = trained
    picture = str(data / "images" / "p0_0.png")
    words = ["segment", picture, "--model", str(model), "--output", str(tmp_path / "out")]
    assert main([*words, "--level", "2"]) == 2
    assert "1 to 1" in capsys.readouterr().err
    assert main([*words, "--level", "1", "--progress", "none"]) == 0


def test_a_plain_network_is_exported_and_agrees_with_torch(trained, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model, _ = trained
    assert (
        main(["export", str(model), "--format", "onnx", "--output", str(tmp_path / "onnx"), "--progress", "none"]) == 0
    )
    assert (tmp_path / "onnx" / "model.onnx").is_file()
    assert load_model(model).config.network.heads == 1
    assert main(["export", str(model), "--format", "onnx", "--output", str(tmp_path / "b"), "--level", "2"]) == 2
