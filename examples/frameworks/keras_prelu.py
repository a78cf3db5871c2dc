"""
Keras
=====

PReLU for Keras 3, whose gradient of alpha is the exact sum, rounded once.

Copy this file beside your code; it needs keras and prelu_array, and Keras' backend: torch, jax or
numpy, set before keras is imported::

    from keras_prelu import PReLU

    layer = PReLU(shared_axes=[1, 2])  # in place of keras.layers.PReLU(shared_axes=[1, 2])
"""

import keras

if keras.backend.backend() == "torch":
    from prelu_array.torch import prelu
elif keras.backend.backend() == "jax":
    from prelu_array.jax import prelu
elif keras.backend.backend() == "numpy":
    from prelu_array import prelu
else:
    raise ImportError(
        f"Keras' backend must be torch, jax or numpy, got {keras.backend.backend()}; "
        "set KERAS_BACKEND before keras is imported"
    )


@keras.saving.register_keras_serializable(package="prelu_array")
class PReLU(keras.layers.PReLU):
    """As keras.layers.PReLU."""

    def call(self, inputs):
        """Return PReLU of the inputs."""
        return prelu(inputs, keras.ops.convert_to_tensor(self.alpha))
