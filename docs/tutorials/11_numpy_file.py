"""
Ship a model as one NumPy file
==============================

Where a model is used there is often no room for a framework: a small server, a laboratory computer, a web page with
Python in it. ``model.export("net.py")`` writes one readable Python file that needs NumPy alone.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import lamella
from lamella.layers import Conv2D, Dense, Dropout, Flatten, Input, MaxPooling2D

# %%
# Train
# -----

(x_train, y_train), (x_test, y_test) = lamella.datasets.digits.load_data()
x_train, x_test = (x[..., None].astype("float32") / 16 for x in (x_train, x_test))

lamella.utils.set_random_seed(0)
model = lamella.Sequential(
    [
        Input((8, 8, 1)),
        Conv2D(8, 3, activation="relu"),
        MaxPooling2D(2),
        Flatten(),
        Dropout(0.2),
        Dense(10, activation="softmax"),
    ]
)
model.compile(lamella.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train, y_train, batch_size=64, epochs=8, verbose=0)
print(f"test accuracy {model.evaluate(x_test, y_test, verbose=0)[1]:.3f}")

# %%
# Export
# ------
# The file holds the model as it predicts (without dropout), its weights, and the kernels that it calls.

folder = Path(tempfile.mkdtemp())
path = folder / "net.py"
model.export(path)
source = path.read_text()
print(f"{len(source) / 1000:.0f} kB")

# %%
# The model itself is one line per equation, under the name of its layer:

start = source.index("def forward")
print(source[start : source.index("\n\n\n", start)])

# %%
# Use
# ---
# Import it where there is NumPy. It takes any number of rows, and may be called from several threads.

sys.path.insert(0, str(folder))
import net

probabilities = net.predict(x_test)
print(np.abs(probabilities - model.predict(x_test, verbose=0)).max())

# %%
# Check
# -----
# The file remembers one batch and the output that lamella gave for it. Run the check on the computer where it will be
# used:

done = subprocess.run([sys.executable, str(path), "--check"], capture_output=True, text=True, check=True)
print(done.stdout)

# %%
# That process imported neither lamella nor JAX:

program = "import sys, net; print([name for name in ('lamella', 'jax') if name in sys.modules])"
done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True)
print(done.stdout)

# %%
# Larger weights, other formats
# -----------------------------
# ``weights="beside"`` puts the weights into an ``.npz`` file beside the source. ``model.export("net.onnx")`` writes
# ONNX, ``model.export("net.stablehlo")`` an artifact of ``jax.export`` for CPU, GPU and TPU.

model.export(folder / "large.py", weights="beside")
print(sorted(file.suffix for file in folder.iterdir() if file.is_file()))

# %%
# Limits
# ------
# The file predicts and does not train. It runs on one processor at NumPy's speed: right for models up to a few million
# weights. A layer whose Python code needs the number of a free dimension cannot be exported; the error names the layer.
