"""The oracle's tables, one per kind: what Keras was asked, row by row.

Nothing here imports Keras. `record.py` replays the rows with Keras and writes `data/<kind>.npz`; lamella's tests replay
the same rows with lamella and compare with what `load.load(kind, row.id)` returns.
"""

from __future__ import annotations

from .cases_callbacks import CALLBACKS as CALLBACKS
from .cases_catalogue import CATALOGUE as CATALOGUE
from .cases_free import FREE as FREE
from .cases_functions import ACTIVATIONS as ACTIVATIONS
from .cases_functions import LOSSES as LOSSES
from .cases_functions import METRICS as METRICS
from .cases_graphs_features import TABLE as _FEATURES
from .cases_graphs_images import TABLE as _IMAGES
from .cases_graphs_sequences import TABLE as _SEQUENCES
from .cases_graphs_subclasses import TABLE as _SUBCLASSES
from .cases_layers import LAYERS as LAYERS
from .cases_recurrent import RECURRENT as RECURRENT
from .cases_structures import STRUCTURES as STRUCTURES
from .cases_training import FITS as FITS
from .cases_training import OPTIMIZERS as OPTIMIZERS
from .cases_updates import SCHEDULES as SCHEDULES
from .cases_updates import UPDATES as UPDATES
from .graphs import GraphCase as GraphCase
from .rows import ActivationCase as ActivationCase
from .rows import CallbackCase as CallbackCase
from .rows import Case as Case
from .rows import Constructor as Constructor
from .rows import FitCase as FitCase
from .rows import FreeCase as FreeCase
from .rows import LayerCase as LayerCase
from .rows import LossCase as LossCase
from .rows import MetricCase as MetricCase
from .rows import OptimizerCase as OptimizerCase
from .rows import RecurrentCase as RecurrentCase
from .rows import ScheduleCase as ScheduleCase
from .rows import StructureCase as StructureCase
from .rows import UpdateCase as UpdateCase

GRAPHS = (*_FEATURES.cases, *_IMAGES.cases, *_SEQUENCES.cases, *_SUBCLASSES.cases)

TABLES: dict[str, tuple[Case | GraphCase, ...]] = {
    "activations": ACTIVATIONS,
    "layers": LAYERS,
    "catalogue": CATALOGUE,
    "recurrent": RECURRENT,
    "losses": LOSSES,
    "optimizers": OPTIMIZERS,
    "updates": UPDATES,
    "schedules": SCHEDULES,
    "metrics": METRICS,
    "fits": FITS,
    "structures": STRUCTURES,
    "free": FREE,
    "graphs": GRAPHS,
    "callbacks": CALLBACKS,
}
