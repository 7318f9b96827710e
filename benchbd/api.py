"""The plugin door: everything that a plugin needs, and all that it may import from benchbd."""

from benchbd.attack.attack import Attack, BuildModel, LabelMode, relabel, to_uint8
from benchbd.attack.poisoning import PoisoningAttack
from benchbd.attack.training_controlled import Trained, TrainingControlledAttack
from benchbd.data.augment import Batches
from benchbd.data.budget import CleanSet
from benchbd.data.images import ImageSet
from benchbd.data.mapped import room_for
from benchbd.data.poisoned import State
from benchbd.defense.data_filter import DataFilter
from benchbd.defense.input_detector import InputDetector, Scorer
from benchbd.defense.model_detector import ModelDetector
from benchbd.defense.oracle import OracleSelection
from benchbd.defense.outcome import Learned, Repaired, Suspicion, Sweep, Verdict
from benchbd.defense.repair import Repair, TrainingSetRepair
from benchbd.defense.robust_training import RobustTraining
from benchbd.engine.activations import channel_means, last_executed, watching_outputs
from benchbd.engine.graph import deepest_convolution, feeds_relu, following_norm, main_path, trace
from benchbd.engine.hardware import hardware, usable_cores, visible_gpus
from benchbd.engine.inference import accuracy, batched, eval_mode, features, logits, predict
from benchbd.engine.progress import epoch_done, track
from benchbd.engine.recipe import Recipe
from benchbd.engine.sweep import ModelPath, last_within, sweep_accuracies, sweep_predictions
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
    Diverged,
    NotApplicable,
    PluginError,
    PluginNotFound,
    RecordError,
    Unwritable,
    nearest,
)
from benchbd.executing.executor import Executor, Limits, Session
from benchbd.executing.parcel import (
    attack_folder,
    bring_home,
    claimed,
    files_made,
    pack_attack,
    settle,
)
from benchbd.executing.stage import Ended, log_path, read_ended, run_stage, write_ended
from benchbd.plugin.hooks import hookimpl
from benchbd.plugin.plugin import param
from benchbd.plugin.registry import create
from benchbd.record.claim import Busy
from benchbd.record.images import read_images
from benchbd.record.remembered import clean_model, remembered
from benchbd.seeds import draw_seed, fork, global_random_state
from benchbd.victim.dataset import DataSet, Split, data_dir, require_folder
from benchbd.victim.model import ImageShape, Model
from benchbd.victim.torchvision_import import prepare_torchvision

__all__ = [
    "Attack",
    "Batches",
    "BuildModel",
    "Busy",
    "CleanSet",
    "ConfigError",
    "DataError",
    "DataFilter",
    "DataSet",
    "Diverged",
    "Ended",
    "Executor",
    "ImageSet",
    "ImageShape",
    "InputDetector",
    "LabelMode",
    "Learned",
    "Limits",
    "Model",
    "ModelDetector",
    "ModelPath",
    "NotApplicable",
    "OracleSelection",
    "PluginError",
    "PluginNotFound",
    "PoisoningAttack",
    "PruningPath",
    "Recipe",
    "RecordError",
    "Repair",
    "Repaired",
    "RobustTraining",
    "Scorer",
    "Session",
    "Split",
    "State",
    "Suspicion",
    "Sweep",
    "Trained",
    "TrainingControlledAttack",
    "TrainingSetRepair",
    "Unwritable",
    "Verdict",
    "accuracy",
    "attack_folder",
    "batched",
    "bring_home",
    "channel_means",
    "claimed",
    "clean_model",
    "conv_layers",
    "create",
    "data_dir",
    "deepest_convolution",
    "device_of",
    "draw_seed",
    "epoch_done",
    "eval_mode",
    "features",
    "feeds_relu",
    "files_made",
    "fit",
    "following_norm",
    "fork",
    "global_random_state",
    "hardware",
    "hookimpl",
    "is_scaled_norm",
    "last_executed",
    "last_within",
    "log_path",
    "logits",
    "main_path",
    "named_layer",
    "nearest",
    "norm_layers",
    "pack_attack",
    "param",
    "path_by_number",
    "path_by_threshold",
    "predict",
    "prepare_torchvision",
    "read_ended",
    "read_images",
    "relabel",
    "remembered",
    "require_folder",
    "room_for",
    "run_stage",
    "settle",
    "staying_pruned",
    "sweep_accuracies",
    "sweep_predictions",
    "to_float",
    "to_uint8",
    "trace",
    "track",
    "usable_cores",
    "visible_gpus",
    "watching_outputs",
    "write_ended",
]
