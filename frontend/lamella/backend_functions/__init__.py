"""The functions of Keras 2's `backend` module, for `from lamella import backend as K`, loaded when first used.

They take symbolic values in the `call` of a layer, in losses and metrics, declared values, and arrays, as `lamella.ops`
does; new code should use `lamella.ops`. Where Keras 2 and Keras 3 differ (`K.hard_sigmoid`, `K.sqrt` of negative
numbers) they behave as in Keras 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamella.names import lazily

_MODULES = {
    "functions": "function gradients",
    "images": (
        "bias_add conv1d conv2d conv2d_transpose conv3d depthwise_conv2d pool2d pool3d resize_images resize_volumes "
        "separable_conv2d spatial_2d_padding spatial_3d_padding temporal_padding"
    ),
    "mathematics": (
        "abs all any argmax argmin batch_dot batch_normalization binary_crossentropy binary_focal_crossentropy "
        "categorical_crossentropy categorical_focal_crossentropy clip cos cumprod cumsum dot dropout elu equal exp greater "
        "greater_equal hard_sigmoid in_top_k l2_normalize less less_equal log logsumexp max maximum mean min minimum "
        "not_equal pow prod relu round sigmoid sign sin softmax softplus softsign sparse_categorical_crossentropy sqrt "
        "square std stop_gradient sum switch tanh var"
    ),
    "sequences": "ctc_batch_cost ctc_decode foldl foldr map_fn rnn",
    "settings": (
        "backend clear_session epsilon floatx get_uid image_data_format image_dim_ordering in_test_phase in_train_phase "
        "is_float_dtype is_int_dtype is_keras_tensor is_sparse learning_phase reset_uids result_type set_epsilon set_floatx "
        "set_image_data_format set_image_dim_ordering standardize_dtype"
    ),
    "shapes": (
        "arange batch_flatten cast cast_to_floatx concatenate expand_dims flatten gather identity one_hot ones_like "
        "permute_dimensions repeat repeat_elements reshape reverse squeeze stack tile to_dense transpose zeros_like"
    ),
    "variables": (
        "Variable batch_get_value batch_set_value constant count_params dtype eval eye get_value int_shape "
        "moving_average_update ndim ones placeholder random_bernoulli random_binomial random_normal random_normal_variable "
        "random_uniform random_uniform_variable set_value shape truncated_normal update update_add update_sub variable zeros"
    ),
}
"""The names that each module defines."""

if not TYPE_CHECKING:
    __all__, __getattr__, __dir__ = lazily(__name__, _MODULES)
