"""Threads that read: each read is one transaction, so that what it sees belongs together."""

import queue
import threading
import time
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import DataError, SQLAlchemyError

from broker.adapters.sql.faults import Episode, refused, unless_faulty
from broker.adapters.sql.job import AnyJob
from broker.adapters.sql.place import Place


class Readers:
    """A few threads over one queue; they die with the process, so that no read can hold it up."""

    def __init__(self, place: Place, engine: Engine, episode: Episode, threads: int) -> None:
        self._place = place
        self._engine = engine
        self._episode = episode
        self._jobs: queue.SimpleQueue[AnyJob | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=f"sql-reader-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, job: AnyJob) -> None:
        """Have a job done soon."""
        self._jobs.put(job)

    def close(self, within_s: float) -> None:
        """Do what was put, then end."""
        for _ in self._threads:
            self._jobs.put(None)
        ends = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(ends - time.monotonic(), 0.0))

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            if not job.is_given_up:
                self._read(job)

    def _read(self, job: AnyJob, *, is_again: bool = False) -> None:
        """Do a job, and once more if the connection was one of before a restart."""
        try:
            result = self._result(job)
        except DataError as error:  # it is the job's own
            job.fail(refused(self._place.cause(error.orig)))
        except SQLAlchemyError as error:
            if is_again or job.is_given_up or not self._place.is_lost(error):
                job.fail(self._episode.failed(error))
            else:
                self._read(job, is_again=True)
        except Exception as error:  # noqa: BLE001 - it is the job's own
            job.fail(error)
        else:
            self._episode.worked()
            job.finish(result)

    def _result(self, job: AnyJob) -> Any:  # noqa: ANN401 - whatever the job returns
        with self._engine.connect() as connection, unless_faulty(connection):
            self._place.limit(connection, job.ends)
            with connection.begin():
                return job.work(connection)
