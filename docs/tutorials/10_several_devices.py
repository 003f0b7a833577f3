"""
Several devices
===============

One line distributes a training over several devices; the losses stay the same to rounding. This needs the JAX backend.
On a machine without several devices, JAX divides the processor into virtual ones, which is enough to try everything out: nothing
gets faster, but the numbers and the layouts are those of real devices.
"""

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

# %%
# A process with four devices
# ---------------------------
# The number of virtual devices must be set before JAX is imported. This tutorial therefore runs each script in a new
# process; in your own script, set the environment variable in the shell:
#
# .. code-block:: bash
#
#    LAMELLA_BACKEND=jax XLA_FLAGS=--xla_force_host_platform_device_count=4 python train.py


def run(script, devices=4):
    """Prints the script's output on so many virtual devices."""
    path = Path(tempfile.mkdtemp()) / "train.py"
    path.write_text(textwrap.dedent(script), encoding="utf-8")
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = {**os.environ, "LAMELLA_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    done = subprocess.run([sys.executable, str(path)], env=environment, capture_output=True, text=True, check=False)
    print(done.stdout or done.stderr)


# %%
# Data parallel
# -------------
# Every device has all weights and computes its part of each batch; the gradients are summed. Set the distribution
# before the model is built. The rest of the script stays as it is, and the batch size is that of all devices together.

run("""
    import lamella
    from lamella.layers import Dense, Input

    def trained():
        lamella.utils.set_random_seed(0)
        model = lamella.Sequential([Input((64,)), Dense(32, activation="relu"), Dense(10, activation="softmax")])
        model.compile("adam", "sparse_categorical_crossentropy")
        (x, y), _ = lamella.datasets.digits.load_data()
        x = x.reshape(len(x), 64) / 16
        return model.fit(x[:512], y[:512], batch_size=64, epochs=2, verbose=0).history["loss"]

    print("devices:", lamella.distribution.list_devices())
    alone = trained()
    lamella.distribution.set_distribution(lamella.distribution.DataParallel())
    together = trained()
    print("one device  ", alone)
    print("four devices", together)
""")

# %%
# Split weights
# -------------
# ``FullySharded()`` also splits the weights and what the optimizer keeps for them, for models that do not fit on one
# device. ``ModelParallel`` splits chosen weights: a ``LayoutMap`` says by regular expressions which axis of which
# weight goes along which axis of the mesh. ``report`` tells before any work where each weight will be and how many
# bytes each device holds.

run("""
    import lamella
    from lamella import distribution
    from lamella.layers import Dense, Input

    mesh = distribution.DeviceMesh((2, 2), ["batch", "model"])
    layouts = distribution.LayoutMap(mesh)
    layouts["widen/kernel"] = (None, "model")
    layouts["widen/bias"] = ("model",)
    layouts["narrow/kernel"] = ("model", None)
    parallel = distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch")
    with parallel.scope():
        model = lamella.Sequential([
            Input((64,)), Dense(256, activation="relu", name="widen"), Dense(64, name="narrow"), Dense(10, name="head"),
        ])
        print(parallel.report(model))
""")

# %%
# The first layer is split by columns and the second by rows, so that between them nothing has to be moved; the sum
# after the second is added by XLA.

# %%
# Several processes
# -----------------
# Every process runs the same script, which begins with
#
# .. code-block:: python
#
#    lamella.distribution.initialize("10.0.0.1:8476", num_processes=2, process_id=0)
#
# or with ``initialize()`` and environment variables. See :doc:`the page on distribution </distribution>` for batches,
# files, and what is not tested.
#
# Limits
# ------
# - The NumPy backend has one device.
# - Choose a batch size that is a multiple of the number of devices. Otherwise every device computes all of the batch.
# - lamella is tested on virtual devices and on two processes of one machine, not on clusters, GPUs or TPUs.
