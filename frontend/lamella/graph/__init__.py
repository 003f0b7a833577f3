"""The layer graph: which layer is called with what, as a program whose equations call layers."""

from lamella.graph.graph import CALL as CALL
from lamella.graph.graph import Graph as Graph
from lamella.graph.graph import graph_of as graph_of
from lamella.graph.order import in_keras_order as in_keras_order
from lamella.graph.order import sorted_leaves as sorted_leaves
