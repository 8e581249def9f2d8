"""What the services need from the outside.

Every implementation, in memory or real, passes the contract tests of its port. All reads that a decision
rests on are strongly consistent. Whatever goes wrong in a dependency is raised as ``Unavailable``
(or its subclasses), never as the dependency's own exception.
"""

from __future__ import annotations

from moorage.ports.accounts import KEYS_OF_AN_OWNER, Accounts
from moorage.ports.blobs import Blobs, Sessions
from moorage.ports.clock import Clock
from moorage.ports.images import ImagePage, ImageRecords, Images
from moorage.ports.jobs import JobPage, Jobs
from moorage.ports.keys import (
    SIGNING_KEY,
    UPLOAD_KEY,
    UPLOAD_SLOTS,
    BootstrapRecords,
    EdgeKeys,
    KeyPair,
    KeyPairSource,
    PublicKey,
    SecretRecords,
    SecretState,
    SecretStates,
    SecretWriter,
    SigningKey,
    SigningKeySource,
    UploadKeySource,
    VerificationKeys,
)
from moorage.ports.queue import Queue
from moorage.ports.repositories import (
    ManifestRecord,
    Manifests,
    Referrer,
    ReferrerPage,
    Repositories,
    RepositoryRecord,
    RepositoryRemoval,
)
from moorage.ports.resources import (
    POLICIES_OF_A_PRINCIPAL,
    QUERY_GROUPS_OF_AN_ORGANISATION,
    OrganisationRemoval,
    ResourceName,
    Resources,
    ResourceWriter,
)
from moorage.ports.storage import (
    MultipartStorage,
    ObjectHead,
    ObjectPlace,
    ObjectStore,
    Part,
    PresignedRequest,
    Storage,
    Stores,
)

__all__ = [
    "KEYS_OF_AN_OWNER",
    "POLICIES_OF_A_PRINCIPAL",
    "QUERY_GROUPS_OF_AN_ORGANISATION",
    "SIGNING_KEY",
    "UPLOAD_KEY",
    "UPLOAD_SLOTS",
    "Accounts",
    "Blobs",
    "BootstrapRecords",
    "Clock",
    "EdgeKeys",
    "ImagePage",
    "ImageRecords",
    "Images",
    "JobPage",
    "Jobs",
    "KeyPair",
    "KeyPairSource",
    "ManifestRecord",
    "Manifests",
    "MultipartStorage",
    "ObjectHead",
    "ObjectPlace",
    "ObjectStore",
    "OrganisationRemoval",
    "Part",
    "PresignedRequest",
    "PublicKey",
    "Queue",
    "Referrer",
    "ReferrerPage",
    "Repositories",
    "RepositoryRecord",
    "RepositoryRemoval",
    "ResourceName",
    "ResourceWriter",
    "Resources",
    "SecretRecords",
    "SecretState",
    "SecretStates",
    "SecretWriter",
    "Sessions",
    "SigningKey",
    "SigningKeySource",
    "Storage",
    "Stores",
    "UploadKeySource",
    "VerificationKeys",
]
