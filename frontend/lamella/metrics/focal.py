"""The focal losses, by the names that a list of metrics may contain."""

from lamella.losses.focal import binary_focal_crossentropy as binary_focal_crossentropy
from lamella.losses.focal import categorical_focal_crossentropy as categorical_focal_crossentropy
