"""The plugin door: everything that a plugin needs, and all that it may import from benchbd."""

from benchbd.attack.attack import Attack, BuildModel, LabelMode, relabel, to_uint8
from benchbd.attack.poisoning import PoisoningAttack
from benchbd.attack.training_controlled import Trained, TrainingControlledAttack
from benchbd.data.augment import Batches
from benchbd.data.budget import CleanSet
from benchbd.data.images import ImageSet
from benchbd.data.poisoned import State
from benchbd.defense.data_filter import DataFilter
from benchbd.defense.input_detector import InputDetector, Scorer
from benchbd.defense.model_detector import ModelDetector
from benchbd.defense.outcome import Repaired, Suspicion, Sweep, Verdict
from benchbd.defense.repair import Repair
from benchbd.defense.robust_training import RobustTraining
from benchbd.engine.hardware import hardware
from benchbd.engine.inference import accuracy, batched, eval_mode, features, logits, predict
from benchbd.engine.progress import track
from benchbd.engine.recipe import Recipe
from benchbd.engine.sweep import sweep_predictions
from benchbd.engine.training import device_of, fit, to_float
from benchbd.engine.units import (
    PruningPath,
    conv_layers,
    named_layer,
    norm_layers,
    path_by_number,
    path_by_threshold,
)
from benchbd.errors import ConfigError, DataError, Diverged, NotApplicable
from benchbd.plugin.plugin import param
from benchbd.seeds import draw_seed, fork
from benchbd.victim.dataset import DataSet, Split, data_dir, require_folder
from benchbd.victim.model import ImageShape, Model

__all__ = [
    "Attack",
    "Batches",
    "BuildModel",
    "CleanSet",
    "ConfigError",
    "DataError",
    "DataFilter",
    "DataSet",
    "Diverged",
    "ImageSet",
    "ImageShape",
    "InputDetector",
    "LabelMode",
    "Model",
    "ModelDetector",
    "NotApplicable",
    "PoisoningAttack",
    "PruningPath",
    "Recipe",
    "Repair",
    "Repaired",
    "RobustTraining",
    "Scorer",
    "Split",
    "State",
    "Suspicion",
    "Sweep",
    "Trained",
    "TrainingControlledAttack",
    "Verdict",
    "accuracy",
    "batched",
    "conv_layers",
    "data_dir",
    "device_of",
    "draw_seed",
    "eval_mode",
    "features",
    "fit",
    "fork",
    "hardware",
    "logits",
    "named_layer",
    "norm_layers",
    "param",
    "path_by_number",
    "path_by_threshold",
    "predict",
    "relabel",
    "require_folder",
    "sweep_predictions",
    "to_float",
    "to_uint8",
    "track",
]
