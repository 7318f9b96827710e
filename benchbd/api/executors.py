"""The public interface for executors, which run the stages of a matrix. They import it in addition
to `benchbd.api`.
"""

from benchbd.engine.cores import usable_cores
from benchbd.engine.hardware import visible_gpus
from benchbd.errors import RecordError, Unwritable
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
from benchbd.record.claim import Busy

__all__ = [
    "Busy",
    "Ended",
    "Executor",
    "Limits",
    "RecordError",
    "Session",
    "Unwritable",
    "attack_folder",
    "bring_home",
    "claimed",
    "files_made",
    "log_path",
    "pack_attack",
    "read_ended",
    "run_stage",
    "settle",
    "usable_cores",
    "visible_gpus",
    "write_ended",
]
