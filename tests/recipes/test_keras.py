"""The layer for Keras: Keras' own test of layers, and exact bits, on each backend."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CODE = """
import sys
sys.path[:0] = {paths!r}
import numpy as np, keras
from keras.src import testing
from keras_prelu import PReLU
from prelu_array.testing import reference_prelu, reference_prelu_backward

class Test(testing.TestCase):
    def runTest(self):
        for shared_axes in (1, (1, 2), None):
            self.run_layer_test(
                PReLU,
                init_kwargs={{
                    "alpha_initializer": "zeros", "alpha_regularizer": "L1",
                    "alpha_constraint": "MaxNorm", "shared_axes": shared_axes,
                }},
                input_shape=(2, 3, 4),
                supports_masking=True,
            )

Test().runTest()
rng = np.random.default_rng(0)
x, dy = rng.standard_normal((2, 8, 5, 6, 3)).astype(np.float32)
alpha = rng.standard_normal((1, 1, 3)).astype(np.float32)
layer = PReLU(shared_axes=[1, 2])
layer.build(x.shape)
layer.alpha.assign(alpha)
y = keras.ops.convert_to_numpy(layer(x))
assert y.tobytes() == reference_prelu(x, alpha).tobytes()
right = reference_prelu_backward(dy, x, alpha)
if keras.backend.backend() == "torch":
    import torch
    given = torch.tensor(x, requires_grad=True)
    layer(given).backward(torch.tensor(dy))
    got = [given.grad.numpy(), layer.alpha.value.grad.numpy()]
elif keras.backend.backend() == "jax":
    import jax
    def loss(x, alpha):
        return (layer.stateless_call([alpha], [], x)[0] * dy).sum()
    got = list(map(np.asarray, jax.jit(jax.grad(loss, (0, 1)))(x, alpha)))
else:
    got = right
assert [a.tobytes() for a in got] == [a.tobytes() for a in right]
model = keras.Sequential([keras.Input((5, 6, 3)), layer])
model.save({saved!r})
assert keras.ops.convert_to_numpy(keras.saving.load_model({saved!r})(x)).tobytes() == y.tobytes()
"""


@pytest.mark.parametrize("name", ["numpy", "torch", "jax"])
def test_keras_own_test_and_exact_bits(name, tmp_path):
    for module in ("keras", name, *([] if name == "numpy" else [f"prelu_array.{name}"])):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    paths = [str(ROOT / "examples" / "frameworks"), *sys.path]
    code = CODE.format(paths=paths, saved=str(tmp_path / "model.keras"))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"KERAS_BACKEND": name},
    )
    assert done.returncode == 0, done.stderr


def test_another_backend_is_refused(tmp_path):
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is not installed")
    (tmp_path / "keras.py").write_text("class backend:\n    backend = lambda: 'openvino'\n")
    recipe = ROOT / "examples" / "frameworks" / "keras_prelu.py"
    done = subprocess.run(
        [sys.executable, str(recipe)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert (
        "Keras' backend must be torch, jax or numpy, got openvino; set KERAS_BACK" in done.stderr
    )
