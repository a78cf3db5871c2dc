"""The node tests and converted models of PRelu that ship in the `onnx` package."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from arrays import assert_same_bits

from prelu_array import prelu
from prelu_array.testing import reference_prelu

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install -e '.[test]'")

CONVERTED = sorted((Path(onnx.__file__).parent / "backend/test/data").glob("*/test_PReLU_*"))


@pytest.fixture
def nodes(monkeypatch):
    """The inputs and outputs of PRelu's node tests; the package makes them with this module."""
    module = importlib.import_module("onnx.backend.test.case.node.prelu")
    cases = {}

    def expect(node, inputs, outputs, name):
        assert node.op_type == "PRelu"
        cases[name] = (*inputs, *outputs)

    monkeypatch.setattr(module, "expect", expect)
    np.random.seed(0)  # noqa: NPY002, the package draws from NumPy's global generator
    module.PRelu.export()
    module.PRelu.export_prelu_broadcast()
    return cases


@pytest.mark.parametrize(
    ("name", "slope_shape"), [("test_prelu_example", (3, 4, 5)), ("test_prelu_broadcast", (5,))]
)
def test_node(backend, nodes, name, slope_shape):
    x, alpha, y = nodes[name]
    assert x.shape == (3, 4, 5)
    assert alpha.shape == slope_shape
    assert_same_bits(prelu(backend.asarray(x), backend.asarray(alpha)), y)


@pytest.mark.parametrize("folder", CONVERTED, ids=lambda folder: folder.name)
def test_converted_model(backend, folder):
    """Made by PyTorch, so a 1-D slope runs along axis 1."""
    model = onnx.load(folder / "model.onnx")
    (node,) = model.graph.node
    assert node.op_type == "PRelu"
    alpha = onnx.numpy_helper.to_array(model.graph.initializer[0])
    x, y = (
        onnx.numpy_helper.to_array(onnx.load_tensor(folder / "test_data_set_0" / f"{side}_0.pb"))
        for side in ("input", "output")
    )
    got = prelu(backend.asarray(x), backend.asarray(alpha.ravel()), axis=1)
    assert_same_bits(got, reference_prelu(x, alpha.ravel(), axis=1))
    np.testing.assert_allclose(backend.asnumpy(got), y, rtol=1e-6)


def test_all_six_converted_models_are_there():
    if not CONVERTED:
        pytest.skip("this release of onnx ships no converted models")
    assert len(CONVERTED) == 6
