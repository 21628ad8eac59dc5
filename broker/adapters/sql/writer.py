"""The one thread that writes: what waits while it commits is the next commit together."""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from broker.adapters.sql.faults import Episode, MovedError, unless_faulty
from broker.adapters.sql.job import AnyJob
from broker.ports.errors import StoreUnavailableError

MAX_BATCH = 256
"""Jobs of one commit: the first of them waits for the last."""


class _GivenUpError(Exception):
    """A job of the batch was given up: the others are done anew without it."""


class Writer:
    """Group commit: each job is a savepoint, so that one that fails takes no other with it."""

    def __init__(self, engine: Engine, episode: Episode, is_in_place: Callable[[], bool]) -> None:
        self._engine = engine.execution_options(writes=True)
        self._episode = episode
        self._is_in_place = is_in_place
        self._jobs: queue.SimpleQueue[AnyJob | None] = queue.SimpleQueue()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="sql-writer", daemon=True)
        self._thread.start()

    def put(self, job: AnyJob) -> None:
        """Have a job done soon; its result is given once it is durable."""
        self._jobs.put(job)

    def close(self, within_s: float) -> bool:
        """Do what was put, then end; say whether that came to its end in time."""
        self._jobs.put(None)
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._is_closing:
            batch = self._next_batch()
            if batch:
                self._write(batch)

    def _next_batch(self) -> list[AnyJob]:
        batch = [self._jobs.get()]
        with suppress(queue.Empty):
            while len(batch) < MAX_BATCH:
                batch.append(self._jobs.get_nowait())
        self._is_closing = None in batch
        return [job for job in batch if job is not None]

    def _write(self, batch: list[AnyJob]) -> None:
        """Commit a batch, anew without those that were given up meanwhile."""
        while batch := [job for job in batch if not job.is_given_up]:
            try:
                outcomes = self._commit(batch)
            except _GivenUpError:
                for job in batch:
                    job.withhold_commit()
                continue
            except Exception as error:  # noqa: BLE001 - whatever it is, this thread goes on
                fault = self._episode.failed(error)
                for job in batch:
                    job.fail(fault)
                return
            self._episode.worked()
            for job, outcome in zip(batch, outcomes, strict=True):
                outcome.give(job)
            return

    def _commit(self, batch: list[AnyJob]) -> list["_Outcome"]:
        if not self._is_in_place():
            raise MovedError
        with self._engine.connect() as connection, unless_faulty(connection), connection.begin():
            outcomes = [_try(job, connection) for job in batch]
            if not all(job.may_commit() for job in batch):
                raise _GivenUpError
        return outcomes


class _Outcome(NamedTuple):
    """What a job returned, or raised for its caller."""

    result: Any = None
    error: Exception | None = None

    def give(self, job: AnyJob) -> None:
        if self.error is None:
            job.finish(self.result)
        else:
            job.fail(self.error)


def _try(job: AnyJob, connection: Connection) -> _Outcome:
    """What a job returns or raises; an error of the database itself ends the whole batch."""
    savepoint = connection.begin_nested()
    try:
        result = job.work(connection)
    except IntegrityError:
        savepoint.rollback()
        return _Outcome(error=StoreUnavailableError("it contradicts what the database holds"))
    except SQLAlchemyError:
        raise
    except Exception as error:  # noqa: BLE001 - it is the job's own
        savepoint.rollback()
        return _Outcome(error=error)
    savepoint.commit()
    return _Outcome(result)
