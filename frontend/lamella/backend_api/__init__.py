"""What a backend is, and how one is found and chosen; `lamella.backend` re-exports all of it."""

from lamella.backend_api.backend import API_VERSION as API_VERSION
from lamella.backend_api.backend import Backend as Backend
from lamella.backend_api.backend import Compiled as Compiled
from lamella.backend_api.backend import Runner as Runner
from lamella.backend_api.backend import State as State
from lamella.backend_api.backend import StepProgram as StepProgram
from lamella.backend_api.backend import is_external_optimizer as is_external_optimizer
from lamella.backend_api.backend import own_results as own_results
from lamella.backend_api.placement import Distributes as Distributes
from lamella.backend_api.placement import Layout as Layout
from lamella.backend_api.placement import Mesh as Mesh
from lamella.backend_api.placement import Placement as Placement
from lamella.backend_api.placement import distribution_in_force as distribution_in_force
from lamella.backend_api.placement import distribution_scope as distribution_scope
from lamella.backend_api.placement import set_distribution_in_force as set_distribution_in_force
from lamella.backend_api.registry import GROUP as GROUP
from lamella.backend_api.registry import available_backends as available_backends
from lamella.backend_api.registry import backend_of as backend_of
from lamella.backend_api.registry import backend_scope as backend_scope
from lamella.backend_api.registry import check_environment as check_environment
from lamella.backend_api.registry import current_backend as current_backend
from lamella.backend_api.registry import default_backend as default_backend
from lamella.backend_api.registry import load_backend as load_backend
from lamella.backend_api.registry import register_backend as register_backend
from lamella.backend_api.registry import set_backend as set_backend
from lamella.ir.interpret import to_numpy as to_numpy

__all__ = [
    "API_VERSION",
    "GROUP",
    "Backend",
    "Distributes",
    "Layout",
    "Mesh",
    "Placement",
    "Runner",
    "State",
    "StepProgram",
    "available_backends",
    "backend_of",
    "backend_scope",
    "check_environment",
    "current_backend",
    "default_backend",
    "distribution_in_force",
    "distribution_scope",
    "is_external_optimizer",
    "load_backend",
    "register_backend",
    "set_backend",
    "set_distribution_in_force",
    "to_numpy",
]
