"""The layers."""

from lamella.layers.activation import ReLU as ReLU
from lamella.layers.activation import Softmax as Softmax
from lamella.layers.base import Layer as Layer
from lamella.layers.convolution import Conv2D as Conv2D
from lamella.layers.core import Activation as Activation
from lamella.layers.core import Dense as Dense
from lamella.layers.core import Dropout as Dropout
from lamella.layers.core import Flatten as Flatten
from lamella.layers.core import Input as Input
from lamella.layers.core import InputLayer as InputLayer
from lamella.layers.core import Reshape as Reshape
from lamella.layers.normalization import BatchNormalization as BatchNormalization
from lamella.layers.pooling import AveragePooling2D as AveragePooling2D
from lamella.layers.pooling import GlobalAveragePooling2D as GlobalAveragePooling2D
from lamella.layers.pooling import GlobalMaxPooling2D as GlobalMaxPooling2D
from lamella.layers.pooling import MaxPooling2D as MaxPooling2D
from lamella.layers.recurrent import LSTM as LSTM
from lamella.layers.recurrent import Masking as Masking
