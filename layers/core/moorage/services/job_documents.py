"""Documents of jobs: small objects whose events bring workers to the jobs that they name."""

from __future__ import annotations

import json

from moorage.domain.blobs import DEFAULT_STORE
from moorage.domain.jobs import document_key
from moorage.ports import Stores


class JobDocuments:
    """Writes documents of jobs. What they say is for people: a worker goes by the name of the object alone,
    and does what the row of the job says.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def write(self, job_id: str) -> None:
        """Bring a worker to a job. May be repeated: a job that a worker has, or that has ended, is not begun
        again.

        Raises:
            Unavailable: the store failed; whether a worker comes is not known.
        """
        content = json.dumps({"job": job_id}).encode()
        self._stores[DEFAULT_STORE].put(document_key(job_id), content)
