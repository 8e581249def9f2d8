"""The metadata ports on one DynamoDB table."""

from __future__ import annotations

from moorage.adapters.aws import Patience
from moorage.adapters.dynamodb.accounts import DynamoAccounts
from moorage.adapters.dynamodb.blobs import DynamoBlobs
from moorage.adapters.dynamodb.images import DynamoImages
from moorage.adapters.dynamodb.jobs import DynamoJobs
from moorage.adapters.dynamodb.manifests import DynamoManifests
from moorage.adapters.dynamodb.removal import DynamoRepositoryRemoval
from moorage.adapters.dynamodb.repositories import DynamoRepositories
from moorage.adapters.dynamodb.resources import DynamoResources
from moorage.adapters.dynamodb.secret_states import DynamoSecretStates
from moorage.adapters.dynamodb.sessions import DynamoSessions
from moorage.adapters.dynamodb.table import Table
from moorage.adapters.dynamodb.verification_keys import DynamoVerificationKeys

__all__ = ["DynamoTable", "Table", "connect_table"]


class DynamoTable(
    DynamoRepositories,
    DynamoManifests,
    DynamoImages,
    DynamoBlobs,
    DynamoSessions,
    DynamoResources,
    DynamoAccounts,
    DynamoRepositoryRemoval,
    DynamoVerificationKeys,
    DynamoSecretStates,
    DynamoJobs,
):
    """All that the table holds: organisations with their resources and keys, repositories with their content,
    verification keys, jobs.
    """


def connect_table(name: str, patience: Patience | None = None) -> DynamoTable:
    """The ports on the table of that name; no request is sent before one of them is used."""
    return DynamoTable(Table(name, patience or Patience()))
