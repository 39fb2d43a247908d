"""The lines in which callers of a signing queue wait, each in its own; whoever uses them holds a lock."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from concurrent.futures import Future


class Request:
    """One caller's wait for a signature."""

    __slots__ = ("caller", "deadline_s", "future")

    def __init__(self, caller: str, deadline_s: float) -> None:
        self.caller = caller
        self.deadline_s = deadline_s
        self.future: Future[bytes] = Future()

    def end(self, result: bytes | BaseException) -> bool:
        """Give the signature or the error, and return True, unless it has one or was cancelled."""
        if self.future.done() or not self.future.set_running_or_notify_cancel():
            return False
        if isinstance(result, bytes):
            self.future.set_result(result)
        else:
            self.future.set_exception(result)
        return True


class Job:
    """One signing input, and all requests for its signature."""

    __slots__ = ("line", "requests", "signing_input", "since_s")

    def __init__(self, signing_input: bytes, since_s: float) -> None:
        self.signing_input = signing_input
        self.since_s = since_s
        self.requests: list[Request] = []
        self.line: str | None = None
        """The caller in whose line it stands; None once it is being signed."""

    @property
    def deadline_s(self) -> float:
        """Return the latest deadline of those who still wait."""
        return max((one.deadline_s for one in self.requests if not one.future.done()), default=0.0)

    def is_wanted(self) -> bool:
        """Say whether anyone still waits."""
        return any(not one.future.done() for one in self.requests)

    def taken(self) -> list[Request]:
        """Take all requests out, so that nobody else ends them."""
        requests, self.requests = self.requests, []
        return requests


class CallerLines:
    """Jobs that wait, in one line for each caller, who take turns."""

    __slots__ = ("_lines", "_of_caller", "jobs")

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[Job]] = OrderedDict()
        self._of_caller: Counter[str] = Counter()
        self.jobs: dict[bytes, Job] = {}
        """Signing input -> its job, also while it is being signed."""

    def __len__(self) -> int:
        """Return how many requests wait; those that joined an equal one count as well."""
        return self._of_caller.total()

    def add(self, signing_input: bytes, request: Request, now_s: float) -> Job:
        """Put a request beside an equal one, or at the end of its caller's line."""
        job = self.jobs.get(signing_input)
        if job is not None and job.is_wanted():
            job.requests.append(request)
            if job.line is not None:
                self._of_caller[request.caller] += 1
            return job
        if job is not None and job.line is not None:
            self._take_out(job)  # nobody waits for it any more
        job = Job(signing_input, now_s)
        job.requests.append(request)
        self.jobs[signing_input] = job
        self._of_caller[request.caller] += 1
        self._append(job, request.caller)
        return job

    def is_signing(self, signing_input: bytes) -> bool:
        """Say whether a job of this input, for which somebody waits, is being signed."""
        job = self.jobs.get(signing_input)
        return job is not None and job.line is None and job.is_wanted()

    def next(self) -> Job | None:
        """Take out the first job of the caller whose turn it is, or None where nothing waits."""
        if not self._lines:
            return None
        caller, line = next(iter(self._lines.items()))
        job = line.popleft()
        if line:
            self._lines.move_to_end(caller)
        else:
            del self._lines[caller]
        self._uncount(job)
        job.line = None
        return job

    def shed(self, caller: str) -> Request | None:
        """Make place: take out a request that was given up, or the newest of the caller with most.

        Returns:
            What was taken out, or None where the caller who asks has as many as any other.
        """
        for job in [job for line in self._lines.values() for job in line]:
            for one in job.requests:
                if one.future.done():
                    self._drop(job, one)
                    return one
        most, count = self._of_caller.most_common(1)[0]
        if count <= self._of_caller[caller] + 1:
            return None
        newest = max(
            ((job, one) for line in self._lines.values() for job in line for one in job.requests
             if one.caller == most),
            key=lambda pair: pair[1].deadline_s,
        )  # fmt: skip
        self._drop(*newest)
        return newest[1]

    def clear(self) -> list[Job]:
        """Take out all that wait, and return the jobs."""
        left = [job for line in self._lines.values() for job in line]
        self._lines.clear()
        self._of_caller.clear()
        self.jobs.clear()
        return left

    def done(self, job: Job) -> None:
        """Forget a job that was signed: who comes after it is signed anew."""
        if self.jobs.get(job.signing_input) is job:
            del self.jobs[job.signing_input]

    def _append(self, job: Job, caller: str) -> None:
        job.line = caller
        self._lines.setdefault(caller, deque()).append(job)

    def _drop(self, job: Job, request: Request) -> None:
        """Take one request out of its job; the job goes on in the line of another, or with it."""
        job.requests.remove(request)
        self._subtract(request.caller)
        if not job.requests:
            self._leave(job)
            self.done(job)
        elif job.line == request.caller:
            self._leave(job)
            self._append(job, job.requests[0].caller)

    def _take_out(self, job: Job) -> None:
        self._uncount(job)
        self._leave(job)
        self.done(job)

    def _leave(self, job: Job) -> None:
        line = self._lines[str(job.line)]
        line.remove(job)
        if not line:
            del self._lines[str(job.line)]
        job.line = None

    def _uncount(self, job: Job) -> None:
        for one in job.requests:
            self._subtract(one.caller)

    def _subtract(self, caller: str) -> None:
        self._of_caller[caller] -= 1
        if self._of_caller[caller] <= 0:
            del self._of_caller[caller]
