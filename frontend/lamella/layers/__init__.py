"""The layers. Each module is imported when one of its layers is first used."""

from typing import TYPE_CHECKING

from lamella.names import lazily

if TYPE_CHECKING:
    from lamella.layers.activation import ELU as ELU
    from lamella.layers.activation import LeakyReLU as LeakyReLU
    from lamella.layers.activation import PReLU as PReLU
    from lamella.layers.activation import ReLU as ReLU
    from lamella.layers.activation import Softmax as Softmax
    from lamella.layers.adaptive_pooling import AdaptiveAveragePooling1D as AdaptiveAveragePooling1D
    from lamella.layers.adaptive_pooling import AdaptiveAveragePooling2D as AdaptiveAveragePooling2D
    from lamella.layers.adaptive_pooling import AdaptiveAveragePooling3D as AdaptiveAveragePooling3D
    from lamella.layers.adaptive_pooling import AdaptiveMaxPooling1D as AdaptiveMaxPooling1D
    from lamella.layers.adaptive_pooling import AdaptiveMaxPooling2D as AdaptiveMaxPooling2D
    from lamella.layers.adaptive_pooling import AdaptiveMaxPooling3D as AdaptiveMaxPooling3D
    from lamella.layers.aliases import AtrousConvolution1D as AtrousConvolution1D
    from lamella.layers.aliases import AtrousConvolution2D as AtrousConvolution2D
    from lamella.layers.aliases import AvgPool1D as AvgPool1D
    from lamella.layers.aliases import AvgPool2D as AvgPool2D
    from lamella.layers.aliases import AvgPool3D as AvgPool3D
    from lamella.layers.aliases import Convolution1D as Convolution1D
    from lamella.layers.aliases import Convolution1DTranspose as Convolution1DTranspose
    from lamella.layers.aliases import Convolution2D as Convolution2D
    from lamella.layers.aliases import Convolution2DTranspose as Convolution2DTranspose
    from lamella.layers.aliases import Convolution3D as Convolution3D
    from lamella.layers.aliases import Convolution3DTranspose as Convolution3DTranspose
    from lamella.layers.aliases import CuDNNGRU as CuDNNGRU
    from lamella.layers.aliases import CuDNNLSTM as CuDNNLSTM
    from lamella.layers.aliases import Deconvolution2D as Deconvolution2D
    from lamella.layers.aliases import GlobalAvgPool1D as GlobalAvgPool1D
    from lamella.layers.aliases import GlobalAvgPool2D as GlobalAvgPool2D
    from lamella.layers.aliases import GlobalAvgPool3D as GlobalAvgPool3D
    from lamella.layers.aliases import GlobalMaxPool1D as GlobalMaxPool1D
    from lamella.layers.aliases import GlobalMaxPool2D as GlobalMaxPool2D
    from lamella.layers.aliases import GlobalMaxPool3D as GlobalMaxPool3D
    from lamella.layers.aliases import MaxPool1D as MaxPool1D
    from lamella.layers.aliases import MaxPool2D as MaxPool2D
    from lamella.layers.aliases import MaxPool3D as MaxPool3D
    from lamella.layers.aliases import SeparableConvolution1D as SeparableConvolution1D
    from lamella.layers.aliases import SeparableConvolution2D as SeparableConvolution2D
    from lamella.layers.attention import AdditiveAttention as AdditiveAttention
    from lamella.layers.attention import Attention as Attention
    from lamella.layers.base import Layer as Layer
    from lamella.layers.bidirectional import Bidirectional as Bidirectional
    from lamella.layers.cells import GRUCell as GRUCell
    from lamella.layers.cells import LSTMCell as LSTMCell
    from lamella.layers.cells import SimpleRNNCell as SimpleRNNCell
    from lamella.layers.conv_lstm import ConvLSTM1D as ConvLSTM1D
    from lamella.layers.conv_lstm import ConvLSTM2D as ConvLSTM2D
    from lamella.layers.conv_lstm import ConvLSTM3D as ConvLSTM3D
    from lamella.layers.convolution import Conv1D as Conv1D
    from lamella.layers.convolution import Conv2D as Conv2D
    from lamella.layers.convolution import Conv3D as Conv3D
    from lamella.layers.core import Activation as Activation
    from lamella.layers.core import Dense as Dense
    from lamella.layers.core import Dropout as Dropout
    from lamella.layers.core import Flatten as Flatten
    from lamella.layers.core import Input as Input
    from lamella.layers.core import InputLayer as InputLayer
    from lamella.layers.core import Reshape as Reshape
    from lamella.layers.einsum_dense import EinsumDense as EinsumDense
    from lamella.layers.embedding import Embedding as Embedding
    from lamella.layers.functional import add as add
    from lamella.layers.functional import average as average
    from lamella.layers.functional import concatenate as concatenate
    from lamella.layers.functional import deserialize as deserialize
    from lamella.layers.functional import dot as dot
    from lamella.layers.functional import maximum as maximum
    from lamella.layers.functional import minimum as minimum
    from lamella.layers.functional import multiply as multiply
    from lamella.layers.functional import serialize as serialize
    from lamella.layers.functional import subtract as subtract
    from lamella.layers.group_query_attention import GroupQueryAttention as GroupQueryAttention
    from lamella.layers.image import CenterCrop as CenterCrop
    from lamella.layers.image import Resizing as Resizing
    from lamella.layers.input_spec import InputSpec as InputSpec
    from lamella.layers.lambda_layer import Identity as Identity
    from lamella.layers.lambda_layer import Lambda as Lambda
    from lamella.layers.layer_normalization import GroupNormalization as GroupNormalization
    from lamella.layers.layer_normalization import LayerNormalization as LayerNormalization
    from lamella.layers.layer_normalization import RMSNormalization as RMSNormalization
    from lamella.layers.layer_normalization import UnitNormalization as UnitNormalization
    from lamella.layers.masking import Masking as Masking
    from lamella.layers.merging import Add as Add
    from lamella.layers.merging import Average as Average
    from lamella.layers.merging import Concatenate as Concatenate
    from lamella.layers.merging import Dot as Dot
    from lamella.layers.merging import Maximum as Maximum
    from lamella.layers.merging import Minimum as Minimum
    from lamella.layers.merging import Multiply as Multiply
    from lamella.layers.merging import Subtract as Subtract
    from lamella.layers.multi_head_attention import MultiHeadAttention as MultiHeadAttention
    from lamella.layers.normalization import BatchNormalization as BatchNormalization
    from lamella.layers.pooling import AveragePooling1D as AveragePooling1D
    from lamella.layers.pooling import AveragePooling2D as AveragePooling2D
    from lamella.layers.pooling import AveragePooling3D as AveragePooling3D
    from lamella.layers.pooling import GlobalAveragePooling1D as GlobalAveragePooling1D
    from lamella.layers.pooling import GlobalAveragePooling2D as GlobalAveragePooling2D
    from lamella.layers.pooling import GlobalAveragePooling3D as GlobalAveragePooling3D
    from lamella.layers.pooling import GlobalMaxPooling1D as GlobalMaxPooling1D
    from lamella.layers.pooling import GlobalMaxPooling2D as GlobalMaxPooling2D
    from lamella.layers.pooling import GlobalMaxPooling3D as GlobalMaxPooling3D
    from lamella.layers.pooling import MaxPooling1D as MaxPooling1D
    from lamella.layers.pooling import MaxPooling2D as MaxPooling2D
    from lamella.layers.pooling import MaxPooling3D as MaxPooling3D
    from lamella.layers.preprocessing import CategoryEncoding as CategoryEncoding
    from lamella.layers.preprocessing import Discretization as Discretization
    from lamella.layers.preprocessing import Normalization as Normalization
    from lamella.layers.preprocessing import Rescaling as Rescaling
    from lamella.layers.random_image import RandomBrightness as RandomBrightness
    from lamella.layers.random_image import RandomContrast as RandomContrast
    from lamella.layers.random_image import RandomCrop as RandomCrop
    from lamella.layers.random_image import RandomFlip as RandomFlip
    from lamella.layers.random_image import RandomRotation as RandomRotation
    from lamella.layers.random_image import RandomTranslation as RandomTranslation
    from lamella.layers.random_image import RandomZoom as RandomZoom
    from lamella.layers.recurrent import GRU as GRU
    from lamella.layers.recurrent import LSTM as LSTM
    from lamella.layers.recurrent import SimpleRNN as SimpleRNN
    from lamella.layers.regularization import ActivityRegularization as ActivityRegularization
    from lamella.layers.regularization import AlphaDropout as AlphaDropout
    from lamella.layers.regularization import GaussianDropout as GaussianDropout
    from lamella.layers.regularization import GaussianNoise as GaussianNoise
    from lamella.layers.regularization import SpatialDropout1D as SpatialDropout1D
    from lamella.layers.regularization import SpatialDropout2D as SpatialDropout2D
    from lamella.layers.regularization import SpatialDropout3D as SpatialDropout3D
    from lamella.layers.reshaping import Cropping1D as Cropping1D
    from lamella.layers.reshaping import Cropping2D as Cropping2D
    from lamella.layers.reshaping import Cropping3D as Cropping3D
    from lamella.layers.reshaping import Permute as Permute
    from lamella.layers.reshaping import RepeatVector as RepeatVector
    from lamella.layers.reshaping import UpSampling1D as UpSampling1D
    from lamella.layers.reshaping import UpSampling2D as UpSampling2D
    from lamella.layers.reshaping import UpSampling3D as UpSampling3D
    from lamella.layers.reshaping import ZeroPadding1D as ZeroPadding1D
    from lamella.layers.reshaping import ZeroPadding2D as ZeroPadding2D
    from lamella.layers.reshaping import ZeroPadding3D as ZeroPadding3D
    from lamella.layers.rnn import RNN as RNN
    from lamella.layers.separable import DepthwiseConv1D as DepthwiseConv1D
    from lamella.layers.separable import DepthwiseConv2D as DepthwiseConv2D
    from lamella.layers.separable import SeparableConv1D as SeparableConv1D
    from lamella.layers.separable import SeparableConv2D as SeparableConv2D
    from lamella.layers.spectral_normalization import SpectralNormalization as SpectralNormalization
    from lamella.layers.stacked_cells import StackedRNNCells as StackedRNNCells
    from lamella.layers.text_vectorization import TextVectorization as TextVectorization
    from lamella.layers.time_distributed import TimeDistributed as TimeDistributed
    from lamella.layers.transposed import Conv1DTranspose as Conv1DTranspose
    from lamella.layers.transposed import Conv2DTranspose as Conv2DTranspose
    from lamella.layers.transposed import Conv3DTranspose as Conv3DTranspose
    from lamella.layers.vocabulary import IntegerLookup as IntegerLookup
    from lamella.layers.vocabulary import StringLookup as StringLookup
    from lamella.layers.wrapper import Wrapper as Wrapper

_MODULES = {
    "activation": "ELU LeakyReLU PReLU ReLU Softmax",
    "adaptive_pooling": (
        "AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D "
        "AdaptiveMaxPooling2D AdaptiveMaxPooling3D"
    ),
    "aliases": (
        "AtrousConvolution1D AtrousConvolution2D AvgPool1D AvgPool2D AvgPool3D Convolution1D "
        "Convolution1DTranspose Convolution2D Convolution2DTranspose Convolution3D Convolution3DTranspose CuDNNGRU CuDNNLSTM "
        "Deconvolution2D GlobalAvgPool1D GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool1D GlobalMaxPool2D "
        "GlobalMaxPool3D MaxPool1D MaxPool2D MaxPool3D SeparableConvolution1D SeparableConvolution2D"
    ),
    "attention": "AdditiveAttention Attention",
    "base": "Layer",
    "bidirectional": "Bidirectional",
    "cells": "GRUCell LSTMCell SimpleRNNCell",
    "conv_lstm": "ConvLSTM1D ConvLSTM2D ConvLSTM3D",
    "convolution": "Conv1D Conv2D Conv3D",
    "core": "Activation Dense Dropout Flatten Input InputLayer Reshape",
    "einsum_dense": "EinsumDense",
    "embedding": "Embedding",
    "functional": "add average concatenate deserialize dot maximum minimum multiply serialize subtract",
    "group_query_attention": "GroupQueryAttention",
    "image": "CenterCrop Resizing",
    "input_spec": "InputSpec",
    "lambda_layer": "Identity Lambda",
    "layer_normalization": "GroupNormalization LayerNormalization RMSNormalization UnitNormalization",
    "masking": "Masking",
    "merging": "Add Average Concatenate Dot Maximum Minimum Multiply Subtract",
    "multi_head_attention": "MultiHeadAttention",
    "normalization": "BatchNormalization",
    "pooling": (
        "AveragePooling1D AveragePooling2D AveragePooling3D GlobalAveragePooling1D GlobalAveragePooling2D "
        "GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D MaxPooling1D "
        "MaxPooling2D MaxPooling3D"
    ),
    "preprocessing": "CategoryEncoding Discretization Normalization Rescaling",
    "random_image": (
        "RandomBrightness RandomContrast RandomCrop RandomFlip RandomRotation RandomTranslation RandomZoom"
    ),
    "recurrent": "GRU LSTM SimpleRNN",
    "regularization": (
        "ActivityRegularization AlphaDropout GaussianDropout GaussianNoise SpatialDropout1D SpatialDropout2D "
        "SpatialDropout3D"
    ),
    "reshaping": (
        "Cropping1D Cropping2D Cropping3D Permute RepeatVector UpSampling1D UpSampling2D UpSampling3D "
        "ZeroPadding1D ZeroPadding2D ZeroPadding3D"
    ),
    "rnn": "RNN",
    "separable": "DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D",
    "spectral_normalization": "SpectralNormalization",
    "stacked_cells": "StackedRNNCells",
    "text_vectorization": "TextVectorization",
    "time_distributed": "TimeDistributed",
    "transposed": "Conv1DTranspose Conv2DTranspose Conv3DTranspose",
    "vocabulary": "IntegerLookup StringLookup",
    "wrapper": "Wrapper",
}
"""The module of each name; a test compares it with the imports above, which type checkers read."""

if not TYPE_CHECKING:
    __all__, __getattr__, __dir__ = lazily(__name__, _MODULES, ("experimental",))
