"""A thread that writes: what waits while it commits is the next commit together."""

import queue
import threading
from contextlib import suppress
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from broker.adapters.sql.faults import CONFLICT, Episode, MovedError, refused, unless_faulty
from broker.adapters.sql.job import AnyJob
from broker.adapters.sql.place import Place
from broker.ports.errors import StoreUnavailableError


class _GivenUpError(Exception):
    """A job of the batch was given up: the others are done anew without it."""


class Writer:
    """Group commit: each job is a savepoint, so that one that fails takes no other with it."""

    def __init__(self, place: Place, engine: Engine, episode: Episode, max_batch: int) -> None:
        self._place = place
        self._engine = engine.execution_options(writes=True)
        self._episode = episode
        self._max_batch = max_batch
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
            while len(batch) < self._max_batch:
                batch.append(self._jobs.get_nowait())
        self._is_closing = None in batch
        return [job for job in batch if job is not None]

    def _write(self, batch: list[AnyJob], *, is_again: bool = False) -> None:
        """Commit a batch, anew without those that were given up meanwhile."""
        while batch := [job for job in batch if not job.is_given_up]:
            try:
                outcomes = self._commit(batch)
            except _GivenUpError:
                for job in batch:
                    job.withhold_commit()
            except Exception as error:  # noqa: BLE001 - whatever it is, this thread goes on
                self._failed(batch, error, is_again=is_again)
                return
            else:
                self._episode.worked()
                self._give(batch, outcomes, is_again=is_again)
                return

    def _give(self, batch: list[AnyJob], outcomes: list["_Outcome"], *, is_again: bool) -> None:
        """Tell the callers what is durable; what stood in another's way is done again, alone."""
        for job, outcome in zip(batch, outcomes, strict=True):
            if not outcome.is_conflict:
                outcome.give(job)
        for job, outcome in zip(batch, outcomes, strict=True):
            if outcome.is_conflict and is_again:
                job.fail(StoreUnavailableError(CONFLICT))
            elif outcome.is_conflict:
                self._write([job], is_again=True)

    def _failed(self, batch: list[AnyJob], error: Exception, *, is_again: bool) -> None:
        """Try once more what a new connection may mend; else tell the callers.

        What may be committed is not tried again: nobody knows whether it was.
        """
        has_begun = any(job.is_committing for job in batch)
        is_lost = self._place.is_lost(error)
        is_wanted = not all(job.is_given_up for job in batch)
        if is_lost and is_wanted and not has_begun and not is_again:
            self._write(batch, is_again=True)
            return
        fault = self._episode.failed(error, is_unsure=is_lost and has_begun)
        for job in batch:
            job.fail(fault)

    def _commit(self, batch: list[AnyJob]) -> list["_Outcome"]:
        if not self._place.is_in_place():
            raise MovedError
        with self._engine.connect() as connection, unless_faulty(connection):
            self._place.limit(connection, max(job.ends for job in batch))
            with connection.begin():
                outcomes = [self._try(job, connection) for job in batch]
                if not all(
                    outcome.is_conflict or job.may_commit()
                    for job, outcome in zip(batch, outcomes, strict=True)
                ):
                    raise _GivenUpError
        return outcomes

    def _try(self, job: AnyJob, connection: Connection) -> "_Outcome":
        """What a job returns or raises; an error of the database itself ends the whole batch."""
        savepoint = connection.begin_nested()
        try:
            result = job.work(connection)
        except IntegrityError:
            savepoint.rollback()
            return _Outcome(error=StoreUnavailableError("it contradicts what the database holds"))
        except DataError as error:
            savepoint.rollback()
            return _Outcome(error=refused(self._place.cause(error.orig)))
        except SQLAlchemyError as error:
            if not self._place.is_conflict(error):
                raise
            savepoint.rollback()
            return _Outcome(is_conflict=True)
        except Exception as error:  # noqa: BLE001 - it is the job's own
            savepoint.rollback()
            return _Outcome(error=error)
        savepoint.commit()
        return _Outcome(result)


class _Outcome(NamedTuple):
    """What a job returned, or raised for its caller; with a conflict it did neither."""

    result: Any = None
    error: Exception | None = None
    is_conflict: bool = False

    def give(self, job: AnyJob) -> None:
        if self.error is None:
            job.finish(self.result)
        else:
            job.fail(self.error)
