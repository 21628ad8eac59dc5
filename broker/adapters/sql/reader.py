"""Threads that read: each read is one transaction, so that what it sees belongs together."""

import queue
import threading
import time

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from broker.adapters.sql.faults import Episode, unless_faulty
from broker.adapters.sql.job import AnyJob


class Readers:
    """A few threads over one queue; they die with the process, so that no read can hold it up."""

    def __init__(self, engine: Engine, episode: Episode, threads: int) -> None:
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

    def _read(self, job: AnyJob) -> None:
        try:
            with (
                self._engine.connect() as connection,
                unless_faulty(connection),
                connection.begin(),
            ):
                result = job.work(connection)
        except SQLAlchemyError as error:
            job.fail(self._episode.failed(error))
        except Exception as error:  # noqa: BLE001 - it is the job's own
            job.fail(error)
        else:
            self._episode.worked()
            job.finish(result)
