"""A model made for its data in a pipeline of scikit-learn, with Keras 3's wrapper."""

import keras
from keras.layers import Dense, Input
from keras.models import Model
from keras.wrappers import SKLearnClassifier
from sklearn.datasets import make_classification
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

keras.utils.set_random_seed(6)


def dynamic_model(X, y, loss, layers=[10]):
    n_features_in = X.shape[1]
    inp = Input(shape=(n_features_in,))
    hidden = inp
    for layer_size in layers:
        hidden = Dense(layer_size, activation="relu")(hidden)
    n_outputs = y.shape[1] if len(y.shape) > 1 else 1
    out = Dense(n_outputs, activation="softmax")(hidden)
    model = Model(inp, out)
    model.compile(loss=loss, optimizer="rmsprop")
    return model


X, y = make_classification(n_samples=80, n_features=10, random_state=0)
est = SKLearnClassifier(
    model=dynamic_model, model_kwargs={"loss": "categorical_crossentropy", "layers": [12, 12]}, fit_kwargs={"epochs": 3}
)
pipeline = make_pipeline(StandardScaler(), est)
pipeline.fit(X, y)
print("accuracy", pipeline.score(X, y))
