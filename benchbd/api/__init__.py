"""The public interface for methods: all that an attack, a defense, an analysis, a model, a data set
or an observer may import from benchbd.

An executor also needs `benchbd.api.executors`.
"""

import importlib
import warnings
from typing import TYPE_CHECKING

from benchbd.analysis.analysis import Analysis
from benchbd.analysis.findings import (
    Findings,
    Grid,
    Histogram,
    Lines,
    Measure,
    Overlay,
    Picture,
    Scatter,
)
from benchbd.analysis.scene import BACKDOORED, Pairs, Scene
from benchbd.attack.attack import Attack, BuildModel, LabelMode, relabel, to_uint8
from benchbd.attack.poisoning import PoisoningAttack
from benchbd.attack.training_controlled import Trained, TrainingControlledAttack
from benchbd.data.augment import Batches
from benchbd.data.budget import CleanSet
from benchbd.data.class_number import ClassNumber
from benchbd.data.images import ImageSet
from benchbd.data.mapped import room_for
from benchbd.data.picture_folders import (
    PicturesBelow,
    counted_in_words,
    is_foreign,
    passed_over_beside,
)
from benchbd.data.pictures import PixelMode, is_picture_file, read_picture
from benchbd.data.poisoned import PoisonedSet, State
from benchbd.defense.data_filter import DataFilter
from benchbd.defense.input_detector import InputDetector, Scorer
from benchbd.defense.model_detector import ModelDetector
from benchbd.defense.oracle import OracleSelection
from benchbd.defense.outcome import Learned, Repaired, Suspicion, Sweep, Verdict
from benchbd.defense.repair import Repair, TrainingSetRepair
from benchbd.defense.robust_training import RobustTraining
from benchbd.engine.activations import channel_means, last_executed, watching_outputs
from benchbd.engine.classifier import Classifier
from benchbd.engine.feed import batch_sizes
from benchbd.engine.graph import deepest_convolution, feeds_relu, following_norm, main_path, trace
from benchbd.engine.hardware import hardware
from benchbd.engine.inference import accuracy, batched, eval_mode, features, logits, predict
from benchbd.engine.progress import epoch_done, track
from benchbd.engine.recipe import Augmentation, Descent, FineTuning, Recipe
from benchbd.engine.sweep import ModelPath, last_within, sweep_accuracies
from benchbd.engine.training import device_of, fit, to_float
from benchbd.engine.units import (
    PruningPath,
    conv_layers,
    is_scaled_norm,
    named_layer,
    norm_layers,
    path_by_number,
    path_by_threshold,
    staying_pruned,
)
from benchbd.errors import (
    ConfigError,
    DataError,
    DataNote,
    Diverged,
    NotApplicable,
    PluginError,
    PluginNotFound,
    nearest,
)
from benchbd.measure.counting import REJECTED
from benchbd.measure.quality import image_quality
from benchbd.plugin.declared import param
from benchbd.plugin.hooks import hookimpl
from benchbd.plugin.registry import create
from benchbd.record.images import read_images
from benchbd.record.remembered import clean_model, remembered
from benchbd.seeds import draw_seed, fork, global_random_state
from benchbd.victim.dataset import DataSet, Split, data_dir, require_folder
from benchbd.victim.model import ImageShape, Model
from benchbd.victim.torchvision_import import prepare_torchvision

__all__ = [
    "BACKDOORED",
    "REJECTED",
    "Analysis",
    "Attack",
    "Augmentation",
    "Batches",
    "BuildModel",
    "ClassNumber",
    "Classifier",
    "CleanSet",
    "ConfigError",
    "DataError",
    "DataFilter",
    "DataNote",
    "DataSet",
    "Descent",
    "Diverged",
    "Findings",
    "FineTuning",
    "Grid",
    "Histogram",
    "ImageSet",
    "ImageShape",
    "InputDetector",
    "LabelMode",
    "Learned",
    "Lines",
    "Measure",
    "Model",
    "ModelDetector",
    "ModelPath",
    "NotApplicable",
    "OracleSelection",
    "Overlay",
    "Pairs",
    "Picture",
    "PicturesBelow",
    "PixelMode",
    "PluginError",
    "PluginNotFound",
    "PoisonedSet",
    "PoisoningAttack",
    "PruningPath",
    "Recipe",
    "Repair",
    "Repaired",
    "RobustTraining",
    "Scatter",
    "Scene",
    "Scorer",
    "Split",
    "State",
    "Suspicion",
    "Sweep",
    "Trained",
    "TrainingControlledAttack",
    "TrainingSetRepair",
    "Verdict",
    "accuracy",
    "batch_sizes",
    "batched",
    "channel_means",
    "clean_model",
    "conv_layers",
    "counted_in_words",
    "create",
    "data_dir",
    "deepest_convolution",
    "device_of",
    "draw_seed",
    "epoch_done",
    "eval_mode",
    "features",
    "feeds_relu",
    "fit",
    "following_norm",
    "fork",
    "global_random_state",
    "hardware",
    "hookimpl",
    "image_quality",
    "is_foreign",
    "is_picture_file",
    "is_scaled_norm",
    "last_executed",
    "last_within",
    "logits",
    "main_path",
    "named_layer",
    "nearest",
    "norm_layers",
    "param",
    "passed_over_beside",
    "path_by_number",
    "path_by_threshold",
    "predict",
    "prepare_torchvision",
    "read_images",
    "read_picture",
    "relabel",
    "remembered",
    "require_folder",
    "room_for",
    "staying_pruned",
    "sweep_accuracies",
    "to_float",
    "to_uint8",
    "trace",
    "track",
    "watching_outputs",
]

if not TYPE_CHECKING:  # a type checker is to report a name that has moved, not to take it for Any

    def __getattr__(name: str) -> object:
        """Return what only executors need stood here once; it is still found, with a warning."""
        executors = importlib.import_module("benchbd.api.executors")
        if name not in executors.__all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        warnings.warn(
            f"{name} is only for executors; import it from benchbd.api.executors",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(executors, name)
