"""Its session cannot be closed a second time. caught by: closes."""

from benchbd.api.executors import Executor, Session, run_stage


class Mutant(Executor):
    api = 1

    def open(self, limits):
        return Once()


class Once(Session):
    capacity = 1
    rooms = ("one",)

    def start(self, spec):
        return run_stage(spec)

    def ended(self, handle):
        return handle

    def close(self):
        self.rooms = self.rooms[1:] if self.rooms else self.rooms.missing
