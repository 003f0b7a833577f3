"""Passengers of airlines, a month from the months before it, with a stateful LSTM and windows, as in tutorials of Keras 2."""

import math

import numpy
from keras.layers import LSTM, Dense
from keras.models import Sequential
from keras.preprocessing.sequence import TimeseriesGenerator
from sklearn.metrics import mean_squared_error
from sklearn.preprocessing import MinMaxScaler

numpy.random.seed(7)
months = numpy.arange(96)
passengers = 100 + 2 * months + 20 * numpy.sin(months * math.pi / 6) * (1 + months / 96)
scaler = MinMaxScaler(feature_range=(0, 1))
dataset = scaler.fit_transform(passengers.reshape(-1, 1).astype("float32"))
look_back = 3


def create_dataset(dataset, look_back=1):
    dataX, dataY = [], []
    for i in range(len(dataset) - look_back - 1):
        dataX.append(dataset[i : (i + look_back), 0])
        dataY.append(dataset[i + look_back, 0])
    return numpy.array(dataX), numpy.array(dataY)


trainX, trainY = create_dataset(dataset[:64], look_back)
testX, testY = create_dataset(dataset[64:], look_back)
trainX = numpy.reshape(trainX, (trainX.shape[0], trainX.shape[1], 1))
testX = numpy.reshape(testX, (testX.shape[0], testX.shape[1], 1))
batch_size = 1
model = Sequential()
model.add(LSTM(4, batch_input_shape=(batch_size, look_back, 1), stateful=True, return_sequences=True))
model.add(LSTM(4, batch_input_shape=(batch_size, look_back, 1), stateful=True))
model.add(Dense(1))
model.compile(loss="mean_squared_error", optimizer="adam")
for i in range(2):
    model.fit(trainX, trainY, epochs=1, batch_size=batch_size, verbose=2, shuffle=False)
    model.reset_states()
testPredict = scaler.inverse_transform(model.predict(testX, batch_size=batch_size))
testScore = math.sqrt(mean_squared_error(scaler.inverse_transform([testY])[0], testPredict[:, 0]))
print("Test Score: %.2f RMSE" % (testScore))

windows = TimeseriesGenerator(dataset, dataset, length=6, batch_size=16)
plain = Sequential()
plain.add(LSTM(4, input_shape=(6, 1)))
plain.add(Dense(1))
plain.compile(loss="mse", optimizer="adam")
plain.fit_generator(windows, epochs=2, verbose=2)
