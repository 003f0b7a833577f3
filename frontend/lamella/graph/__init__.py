"""The layer graph: which layer is called with what, as a program whose equations call layers."""

from lamella.graph.graph import CALL as CALL
from lamella.graph.graph import Graph as Graph
from lamella.graph.graph import graph_of as graph_of
