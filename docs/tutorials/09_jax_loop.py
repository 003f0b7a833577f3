"""
A training loop in JAX
======================

``fit`` is one way to train. This tutorial takes the model out of lamella as a pure function and trains it with
``jax.grad``, ``optax`` and ``jax.lax.scan``. It needs JAX.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import lamella
from lamella.layers import BatchNormalization, Dense, Dropout, Input

(x_train, y_train), (x_test, y_test) = lamella.datasets.digits.load_data()
x_train, x_test = (x.reshape(len(x), -1).astype("float32") / 16 for x in (x_train, x_test))
y_train, y_test = y_train.astype("int32"), y_test.astype("int32")

# %%
# The pure function
# -----------------
# ``lower`` returns ``fn(params, state, x, training=False, seed=None) -> (y, new_state)``. ``params`` and ``state`` are
# flat dicts of arrays: trained weights in one, moving averages and the like in the other. Nothing of lamella is left in
# the function that JAX could see.

lamella.utils.set_random_seed(0)
model = lamella.Sequential(
    [
        Input((64,)),
        Dense(64, activation="relu"),
        BatchNormalization(),
        Dropout(0.2),
        Dense(10),
    ]
)
fn = model.lower("jax")
print({path: array.shape for path, array in fn.params.items()})
print({path: array.shape for path, array in fn.state.items()})

# %%
# One step
# --------
# The loss is a function of ``params`` first, so that ``jax.grad`` differentiates with respect to them. The new state comes out as an
# auxiliary value. ``seed`` decides the dropout mask.

optimizer = optax.adamw(3e-3)


def loss_of(params, state, x, y, seed):
    logits, state = fn(params, state, x, training=True, seed=seed)
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), state


def step(carry, batch):
    params, state, slots = carry
    x, y, seed = batch
    (loss, state), gradients = jax.value_and_grad(loss_of, has_aux=True)(params, state, x, y, seed)
    updates, slots = optimizer.update(gradients, slots, params)
    return (optax.apply_updates(params, updates), state, slots), loss


# %%
# One epoch, one call
# -------------------
# ``lax.scan`` runs all steps of an epoch in one compiled program, without Python in between.

BATCH = 64
steps = len(x_train) // BATCH


@jax.jit
def epoch(carry, x, y, key):
    order_key, seed_key = jax.random.split(key)
    order = jax.random.permutation(order_key, len(x))[: steps * BATCH].reshape(steps, BATCH)
    seeds = jax.random.randint(seed_key, (steps,), 0, 2**31 - 1)
    return jax.lax.scan(step, carry, (x[order], y[order], seeds))


carry = (fn.params, fn.state, optimizer.init(fn.params))
key, losses = jax.random.key(0), []
for _ in range(10):
    key, own = jax.random.split(key)
    carry, found = epoch(carry, x_train, y_train, own)
    losses.extend(np.asarray(found))
print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}")

plt.figure(figsize=(6, 3), layout="constrained")
plt.plot(losses)
plt.xlabel("step")
plt.ylabel("loss")
plt.yscale("log")
plt.show()

# %%
# Back to the model
# -----------------
# ``assign`` puts the trained arrays into the model; then ``predict``, ``save`` and ``export`` see them.

params, state, _ = carry
model.assign(params, state)
accuracy = np.mean(model.predict(x_test, verbose=0).argmax(-1) == y_test)
print(f"test accuracy {accuracy:.3f}")

# %%
# An ensemble in one line
# -----------------------
# ``fn.init(seed)`` draws new weights. Under ``jax.vmap`` it draws many sets, and the epoch above trains them all at
# once.

SEEDS = 4


@jax.jit
def start(seeds):
    params, state = jax.vmap(fn.init)(seeds)
    return params, state, jax.vmap(optimizer.init)(params)


carry = start(jnp.arange(SEEDS))
ensemble = jax.jit(jax.vmap(epoch, in_axes=(0, None, None, 0)))
for i in range(10):
    carry, found = ensemble(carry, x_train, y_train, jax.random.split(jax.random.key(i), SEEDS))
probabilities = jax.jit(jax.vmap(lambda params, state: jax.nn.softmax(fn(params, state, x_test)[0])))(*carry[:2])
each = [float(np.mean(one.argmax(-1) == y_test)) for one in np.asarray(probabilities)]
together = np.mean(np.asarray(probabilities).mean(0).argmax(-1) == y_test)
print(f"each {[round(accuracy, 3) for accuracy in each]}, together {together:.3f}")

# %%
# Gradients in the inputs
# -----------------------
# The function is differentiable in everything. Which pixels speak for the predicted digit?


def score(image, label):
    logits, _ = fn(params, state, image[None])
    return logits[0, label]


chosen = np.array([int(np.flatnonzero(y_test == digit)[0]) for digit in range(10)])
sensitivity = jax.jit(jax.vmap(jax.grad(score)))(x_test[chosen], y_test[chosen])
figure, cells = plt.subplots(2, 10, figsize=(9, 2), layout="constrained")
for i, (image, gradient) in enumerate(zip(x_test[chosen], np.asarray(sensitivity), strict=True)):
    cells[0, i].imshow(image.reshape(8, 8), cmap="gray_r")
    cells[1, i].imshow((image * gradient).reshape(8, 8), cmap="coolwarm", vmin=-2, vmax=2)
for cell in cells.flat:
    cell.set_axis_off()
plt.show()

# %%
# Limits
# ------
# ``jax.jvp`` (forward mode) does not pass through lamella's convolutions, because they define their own derivatives for
# CPUs; ``jax.grad`` and ``jax.vmap`` do.
