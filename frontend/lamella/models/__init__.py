"""Models: layers put together."""

from lamella.models.sequential import Model as Model
from lamella.models.sequential import Sequential as Sequential
