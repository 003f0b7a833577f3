"""Drawings as SVG or PNG, which know nothing of models: graphs, as boxes in layers that lines join, and curves."""

from lamella.drawing.boxes import DIRECTIONS as DIRECTIONS
from lamella.drawing.boxes import Box as Box
from lamella.drawing.boxes import Frame as Frame
from lamella.drawing.boxes import Port as Port
from lamella.drawing.boxes import drawn as drawn
from lamella.drawing.curves import Curve as Curve
from lamella.drawing.curves import plotted as plotted
from lamella.drawing.dot import dot_of as dot_of
from lamella.drawing.layered import Edge as Edge
from lamella.drawing.picture import Picture as Picture
