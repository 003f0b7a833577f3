"""Drawings of graphs: boxes in layers, joined by lines of straight pieces, as SVG or PNG. Nothing here knows of models."""

from lamella.drawing.boxes import DIRECTIONS as DIRECTIONS
from lamella.drawing.boxes import Box as Box
from lamella.drawing.boxes import Frame as Frame
from lamella.drawing.boxes import Port as Port
from lamella.drawing.boxes import drawn as drawn
from lamella.drawing.layered import Edge as Edge
from lamella.drawing.picture import Picture as Picture
