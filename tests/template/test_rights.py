"""Who may do what: the template's policies."""

from datetime import UTC, datetime

import pytest

from moorage.adapters.dynamodb.image_rows import edited_image
from moorage.domain.blobs import COPIES, Way
from moorage.domain.digests import Digest
from moorage.domain.images import ImageRecord
from moorage.domain.jobs import DOCUMENT_PREFIX
from moorage.domain.names import Repository
from moorage.services.manifest_writes import MANIFEST_PREFIX
from moorage.services.uploads import CHUNK_PREFIX
from tests.template.document import Statement, Template, load, text, texts

SIGNING_KEY = "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/moorage/${AWS::StackName}/signing-key"
READS_OF_SECRETS = ("ssm:Get", "ssm:*", "kms:Decrypt", "kms:*", "secretsmanager:")


def wildcards(template: Template) -> dict[tuple[str, str], list[str]]:
    """What has a ``*``, by the resource and the name under which a reason has to stand."""
    found: dict[tuple[str, str], list[str]] = {}
    for statement in template.statements():
        principal = statement.body.get("Principal", [])
        principals = principal.values() if isinstance(principal, dict) else [principal]
        parts = [*statement.actions, *statement.targets, *(p for each in principals for p in texts(each))]
        if starred := [part for part in parts if "*" in part]:
            found[statement.resource, statement.sid] = starred
    for name, permission in template.of_type("AWS::Lambda::Permission").items():
        source = text(permission["Properties"]["SourceArn"])
        if "*" in source:
            found[name, "SourceArn"] = [source]
    return found


def reasons(template: Template) -> dict[tuple[str, str], str]:
    """The stated reasons, by the same names."""
    return {
        (name, place): reason
        for name, resource in template.resources.items()
        for place, reason in resource.get("Metadata", {}).get("Wildcards", {}).items()
    }


def unexplained(template: Template) -> set[tuple[str, str]]:
    """Wildcards without a sentence that explains them."""
    stated = {place for place, reason in reasons(template).items() if reason.strip().endswith(".")}
    return wildcards(template).keys() - stated


@pytest.fixture
def template() -> Template:
    return load()


def test_each_wildcard_has_a_reason_and_each_reason_a_wildcard(template: Template) -> None:
    assert unexplained(template) == set()
    assert reasons(template).keys() == wildcards(template).keys()
    assert len(wildcards(template)) > 5


@pytest.mark.parametrize(
    "body",
    [
        {"Action": "*", "Resource": "arn:x"},
        {"Action": "s3:*", "Resource": "arn:x"},
        {"Action": ["s3:GetObject", "s3:Put*"], "Resource": "arn:x"},
        {"Action": "s3:GetObject", "Resource": "*"},
        {"Action": "s3:GetObject", "Resource": [{"Fn::Sub": "${Bucket.Arn}/*"}]},
        {"Action": "s3:GetObject", "Resource": "arn:x", "Principal": {"AWS": "*"}},
    ],
)
def test_an_unexplained_wildcard_is_found(template: Template, body: dict[str, object]) -> None:
    policies = template.properties("TokenRole")["Policies"]
    policies[0]["PolicyDocument"]["Statement"].append({"Sid": "New", "Effect": "Allow", **body})
    assert unexplained(template) == {("TokenRole", "New")}


def test_each_statement_has_a_name_and_says_what_it_means(template: Template) -> None:
    for statement in template.statements():
        assert statement.sid, statement
        assert not {"NotAction", "NotResource", "NotPrincipal"} & statement.body.keys(), statement
    sids = [(statement.resource, statement.sid) for statement in template.statements()]
    assert len(sids) == len(set(sids))


def test_each_function_has_a_role_of_its_own_with_inline_rights(template: Template) -> None:
    functions = template.functions()
    roles = [template.role_of(name) for name in (*functions, template.function_in("ingest"))]
    assert sorted(roles) == sorted(template.of_type("AWS::IAM::Role"))
    assert len(roles) == len(set(roles)) == len(functions) + 1
    for name, function in functions.items():
        assert not {"Policies", "ManagedPolicyArns"} & function.keys(), name
    for name in roles:
        role = template.properties(name)
        assert role.keys() == {"AssumeRolePolicyDocument", "Policies"}, name
        (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert trust == {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }


def readers_of_secrets(template: Template) -> dict[str, list[Statement]]:
    """Functions that may read a secret, with the statements that say so."""
    found = {}
    for name in (*template.functions(), template.function_in("ingest")):
        readers = [
            s for s in template.rights_of(name) if any(a.startswith(READS_OF_SECRETS) for a in s.actions)
        ]
        if readers:
            found[name] = readers
    return found


def readable(template: Template, folder: str) -> str:
    """Which parameters a function may read, by the same words in its right to decrypt."""
    read, decrypt = readers_of_secrets(template)[template.function_in(folder)]
    assert read.actions == ["ssm:GetParameter"]
    assert decrypt.actions == ["kms:Decrypt"]
    condition = decrypt.body["Condition"]
    assert "kms:ViaService" in condition["StringEquals"]
    assert condition["ForAnyValue:StringEquals"] == {"kms:ResourceAliases": "alias/aws/ssm"}
    context = "kms:EncryptionContext:PARAMETER_ARN"
    (named,) = [kind[context] for kind in condition.values() if context in kind]
    (target,) = read.targets
    assert text(named) == target
    return target


def test_token_may_read_the_signing_key_registry_and_ingest_the_upload_keys_and_nobody_anything_else(
    template: Template,
) -> None:
    readers = {template.function_in(folder) for folder in ("token", "registry", "ingest")}
    assert readers_of_secrets(template).keys() == readers
    assert readable(template, "token") == SIGNING_KEY
    upload_keys = SIGNING_KEY.replace("/signing-key", "/upload-key/*")
    assert readable(template, "registry") == readable(template, "ingest") == upload_keys


@pytest.mark.parametrize("action", ["ssm:GetParameters", "ssm:GetParametersByPath", "ssm:*", "kms:Decrypt"])
def test_another_reader_of_secrets_is_found(template: Template, action: str) -> None:
    secrets = template.function_in("secrets")
    policies = template.properties(template.role_of(secrets))["Policies"]
    policies[0]["PolicyDocument"]["Statement"].append({"Sid": "X", "Action": [action], "Resource": "arn:x"})
    assert secrets in readers_of_secrets(template)


def test_parameters_in_the_environment_are_those_of_the_roles(template: Template) -> None:
    prefix = "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter"

    def rights(folder: str, action: str) -> list[str]:
        statements = template.rights_of(template.function_in(folder))
        (targets,) = [statement.targets for statement in statements if statement.actions == [action]]
        return [target.removeprefix(prefix) for target in targets]

    token = template.functions()[template.function_in("token")]["Environment"]["Variables"]
    secrets = template.functions()[template.function_in("secrets")]["Environment"]["Variables"]
    assert rights("token", "ssm:GetParameter") == [text(token["SIGNING_KEY_PARAMETER"])]
    assert token["SIGNING_KEY_PARAMETER"] == secrets["SIGNING_KEY_PARAMETER"]
    registry = template.functions()[template.function_in("registry")]["Environment"]["Variables"]
    assert rights("registry", "ssm:GetParameter") == [text(registry["UPLOAD_KEY_PARAMETER_PREFIX"]) + "/*"]
    assert registry["UPLOAD_KEY_PARAMETER_PREFIX"] == secrets["UPLOAD_KEY_PARAMETER_PREFIX"]
    ingest = template.ingest()["EnvironmentVariables"]
    assert rights("ingest", "ssm:GetParameter") == [text(ingest["UPLOAD_KEY_PARAMETER_PREFIX"]) + "/*"]
    assert ingest["UPLOAD_KEY_PARAMETER_PREFIX"] == secrets["UPLOAD_KEY_PARAMETER_PREFIX"]
    assert rights("secrets", "ssm:PutParameter") == [
        text(secrets["SIGNING_KEY_PARAMETER"]),
        text(secrets["UPLOAD_KEY_PARAMETER_PREFIX"]) + "/*",
        text(secrets["BOOTSTRAP_PARAMETER"]),
    ]


def allowed(template: Template, folder: str, service: str) -> dict[str, set[str]]:
    """What a function may do in one service, by action."""
    found: dict[str, set[str]] = {}
    for statement in template.rights_of(template.function_in(folder)):
        for action in statement.actions:
            if action.startswith(f"{service}:"):
                found.setdefault(action.removeprefix(f"{service}:"), set()).update(statement.targets)
    return found


def objects(*prefixes: str) -> set[str]:
    """In either store; what the front door stores is in the default one only."""
    default = {f"${{Bucket.Arn}}/{prefix}*" for prefix in prefixes}
    return default | {f"${{SecondBucket.Arn}}/{prefix}*" for prefix in prefixes if prefix != DIRECT}


API, DIRECT, PRESIGNED, STREAM = (f"{way}/" for way in (Way.API, Way.DIRECT, Way.PRESIGNED, Way.STREAM))
COPY = f"{COPIES}/"
BUCKETS = {"${Bucket.Arn}", "${SecondBucket.Arn}"}
DOCUMENTS = {f"${{Bucket.Arn}}/{DOCUMENT_PREFIX}*"}


def test_rights_on_the_second_bucket_stand_under_its_condition(template: Template) -> None:
    """Without it they would name a bucket that is not there."""
    statements = [each for each in template.statements() if each.resource != "SecondBucketPolicy"]
    conditional = []
    for statement in statements:
        targets = statement.body["Resource"]
        for target in targets if isinstance(targets, list) else [targets]:
            if "SecondBucket" in str(target):
                assert target["Fn::If"][0] == "HasSecondStore", statement
                assert target["Fn::If"][2] == {"Ref": "AWS::NoValue"}, statement
                conditional.append(statement.resource)
    assert {"RegistryRole", "ManagementRole", "UploadFinalizerRole", "SweeperRole", "IngestRole"} <= {
        *conditional
    }


def test_rights_on_the_bucket_are_those_of_a_registry_that_removes_no_blob(template: Template) -> None:
    written = objects(API, CHUNK_PREFIX, MANIFEST_PREFIX, PRESIGNED)
    assert allowed(template, "registry", "s3") == {
        "GetObject": written | objects(COPY, DIRECT, STREAM),
        "PutObject": written,
        "AbortMultipartUpload": objects(PRESIGNED),
        "ListMultipartUploadParts": objects(PRESIGNED),
        "DeleteObject": objects(CHUNK_PREFIX),
        "ListBucket": BUCKETS,
    }
    assert allowed(template, "token", "s3") == allowed(template, "secrets", "s3") == {}


def test_management_reads_what_it_shows_of_images_and_stores_documents_of_jobs(template: Template) -> None:
    assert allowed(template, "management", "s3") == {
        "GetObject": objects(API, COPY, DIRECT, MANIFEST_PREFIX, PRESIGNED, STREAM),
        "PutObject": DOCUMENTS,
        "ListBucket": BUCKETS,
    }


def test_copies_read_all_blobs_and_store_and_remove_copies_alone(template: Template) -> None:
    copies = objects(COPY)
    assert allowed(template, "copy_worker", "s3") == {
        "GetObject": objects(API, COPY, DIRECT, MANIFEST_PREFIX, PRESIGNED, STREAM),
        "PutObject": copies | objects(MANIFEST_PREFIX) | DOCUMENTS,
        "AbortMultipartUpload": copies,
        "ListMultipartUploadParts": copies,
        "DeleteObject": copies,
        "ListBucket": BUCKETS,
        "ListBucketMultipartUploads": BUCKETS,
    }
    assert allowed(template, "copy_worker", "sqs").keys() == {
        "ChangeMessageVisibility",
        "DeleteMessage",
        "GetQueueAttributes",
        "ReceiveMessage",
    }


@pytest.mark.parametrize("folder", ["registry", "token", "ingest", "upload_finalizer", "secrets"])
def test_nobody_else_starts_a_job(template: Template, folder: str) -> None:
    assert not allowed(template, folder, "s3").get("PutObject", set()) & DOCUMENTS
    if folder != "ingest":
        assert [row for row in JOB_ROWS if writers(template, row).get(folder)] == []


def test_of_a_job_its_worker_writes_the_state_and_management_all(template: Template) -> None:
    made = {"BatchWriteItem", "PutItem", "UpdateItem"}
    assert writers(template, JOB_ROWS[0]) == {"management": made, "copy_worker": {"UpdateItem"}}
    for row in JOB_ROWS[1:]:
        assert writers(template, row) == {"management": made}


def test_finalizer_stores_nothing_sweeper_documents_of_jobs_and_both_remove_no_manifest(
    template: Template,
) -> None:
    assert allowed(template, "upload_finalizer", "s3") == {
        "GetObject": objects(DIRECT, PRESIGNED),
        "DeleteObject": objects(DIRECT, PRESIGNED),
        "ListBucket": BUCKETS,
    }
    # It asks by a LIST whether an object is there: a HEAD would need the right to read it.
    assert allowed(template, "sweeper", "s3") == {
        "PutObject": DOCUMENTS,
        "DeleteObject": objects(API, CHUNK_PREFIX, DIRECT, PRESIGNED, STREAM),
        "AbortMultipartUpload": objects(PRESIGNED, STREAM),
        "ListBucket": BUCKETS,
        "ListBucketMultipartUploads": BUCKETS,
    }


def test_ingest_stores_what_is_streamed_and_can_do_nothing_else(template: Template) -> None:
    may = {each.sid: each.actions for each in template.rights_of(template.function_in("ingest"))}
    assert may == {
        "Log": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "StoreObjects": ["s3:AbortMultipartUpload", "s3:PutObject"],
        "ReadUploadKeys": ["ssm:GetParameter"],
        "DecryptUploadKeys": ["kms:Decrypt"],
    }
    stored = objects(CHUNK_PREFIX, STREAM)
    assert allowed(template, "ingest", "s3") == {"AbortMultipartUpload": stored, "PutObject": stored}


def test_secrets_alone_writes_the_keys_that_the_front_door_knows(template: Template) -> None:
    rights = {folder: allowed(template, folder, "cloudfront-keyvaluestore") for folder in FOLDERS}
    actions = ("DescribeKeyValueStore", "ListKeys", "UpdateKeys")
    assert rights.pop("secrets") == {action: {"${UploadKeys.Arn}"} for action in actions}
    assert set(map(str, rights.values())) == {"{}"}


FOLDERS = ("registry", "token", "management", "upload_finalizer", "copy_worker", "sweeper", "secrets")
JOB_ROWS = ("JOB#0123456789abcdef0123456789abcdef", "JOBS#demo", "JOBREQUEST#/org/demo/user/x")
WRITES = ("BatchWriteItem", "DeleteItem", "PutItem", "UpdateItem")
TRUST = {
    "KEY#some-id": {"token": {"UpdateItem"}, "management": {"DeleteItem", "PutItem", "UpdateItem"}},
    "PRINCIPAL#/org/demo/serviceaccount/robot": {"management": {"DeleteItem", "PutItem", "UpdateItem"}},
    "SIGNINGKEY": {"secrets": {"PutItem", "UpdateItem"}},
    "SECRET": {"secrets": {"PutItem"}},
    "BOOTSTRAP": {"secrets": {"PutItem"}},
}


def writers(template: Template, partition_key: str) -> dict[str, set[str]]:
    """Which functions may write a row, and how."""
    found = {
        folder: {action for action in WRITES if template.may(folder, action, partition_key)}
        for folder in FOLDERS
    }
    return {folder: actions for folder, actions in found.items() if actions}


@pytest.mark.parametrize(("row", "by"), TRUST.items())
def test_rows_that_trust_rests_on_are_written_by_those_that_they_are_about(
    template: Template, row: str, by: dict[str, set[str]]
) -> None:
    assert writers(template, row) == by


def test_of_a_key_token_writes_the_day_of_its_use_and_nothing_else(template: Template) -> None:
    (writing,) = [
        each for each in template.rights_on_rows("token") if each.actions == ["dynamodb:UpdateItem"]
    ]
    assert writing.attributes == ["pk", "sk", "last_used"]


def test_of_an_image_management_writes_the_metadata_and_nothing_else(template: Template) -> None:
    (writing,) = [
        each
        for each in template.rights_on_rows("management")
        if "dynamodb:UpdateItem" in each.actions and "REPO#*" in each.rows
    ]
    now = datetime(2026, 5, 4, tzinfo=UTC)
    record = ImageRecord(
        Repository("demo", "app"), "v1", Digest.of(b""), "id", 1, now, now, "type", 1, "/org/demo/user/x", now
    )
    edit = edited_image(record, {"team": "blue"}, now).parameters("table")
    assert set(writing.attributes) == {*edit["Key"], *edit["ExpressionAttributeNames"].values()}
    assert not {"digest", "pushed_by", "tag", "created"} & set(writing.attributes)


@pytest.mark.parametrize("pattern", ["SIGNINGKEY", "S*", "*", "KEY#*", "PRINCIPAL#/org/demo/*"])
def test_another_writer_of_trust_is_found(template: Template, pattern: str) -> None:
    content = next(each for each in template.rights_on_rows("registry") if each.sid == "Content")
    content.body["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"].append(pattern)
    assert [row for row in TRUST if "registry" in writers(template, row)]


def test_each_function_has_the_rows_that_it_is_about(template: Template) -> None:
    rows = {
        folder: {
            statement.sid: (
                {action.removeprefix("dynamodb:") for action in statement.actions},
                statement.rows,
            )
            for statement in template.rights_on_rows(folder)
        }
        for folder in FOLDERS
    }
    assert rows["token"] == {
        "Keys": ({"GetItem"}, ["KEY#*"]),
        "KeyUse": ({"UpdateItem"}, ["KEY#*"]),
        "Decisions": ({"BatchGetItem"}, ["ORG#*", "PRINCIPAL#*"]),
        "Groups": ({"Query"}, ["PRINCIPAL#*"]),
        "Verification": ({"Query"}, ["SIGNINGKEY"]),
        "Records": ({"GetItem"}, ["ORG#*"]),
    }
    assert rows["secrets"] == {
        "PublicKeys": ({"PutItem", "Query", "UpdateItem"}, ["SIGNINGKEY"]),
        "States": ({"GetItem", "PutItem"}, ["SECRET", "BOOTSTRAP"]),
    }
    assert rows["registry"].keys() == {"Content", "Repositories", "Decisions", "Trust", "UploadKeyState"}
    assert rows["registry"]["Decisions"] == rows["token"]["Decisions"]
    assert rows["registry"]["UploadKeyState"] == ({"GetItem"}, ["SECRET"])
    every = {"BatchGetItem", "ConditionCheckItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"}
    assert rows["management"] == {
        "Principals": (every, ["ORG#*", "PRINCIPAL#*", "KEY#*"]),
        "Images": ({"BatchGetItem", "DeleteItem", "GetItem", "Query"}, ["REPO#*", "REFERRERS#*"]),
        "ImageMetadata": ({"UpdateItem"}, ["REPO#*"]),
        "EndedBlobs": ({"DeleteItem", "Query"}, ["ORGBLOB#*"]),
        "EndedReferences": ({"DeleteItem"}, ["OBJECT#*", "REPOSITORYID#*"]),
        "Lists": ({"Query"}, ["IMAGES#*"]),
        "Newest": ({"Query"}, ["REPO#*"]),
        "Verification": ({"Query"}, ["SIGNINGKEY"]),
        "Bootstrap": ({"GetItem"}, ["BOOTSTRAP"]),
        "Jobs": (
            {"BatchGetItem", "BatchWriteItem", "GetItem", "PutItem", "Query", "UpdateItem"},
            ["JOB#*", "JOBS#*", "JOBREQUEST#*"],
        ),
    }
    assert rows["copy_worker"] == {
        "Jobs": ({"GetItem", "UpdateItem"}, ["JOB#*"]),
        "Content": (every | {"BatchWriteItem"}, ["REPO#*", "REFERRERS#*", "OBJECT#*", "ORGBLOB#*"]),
        "Repositories": rows["registry"]["Repositories"],
        "Decisions": rows["registry"]["Decisions"],
        "Groups": rows["token"]["Groups"],
    }
    assert rows["upload_finalizer"] == {
        "Content": (
            {"ConditionCheckItem", "DeleteItem", "GetItem", "PutItem", "UpdateItem"},
            ["REPO#*", "OBJECT#*", "ORGBLOB#*"],
        ),
        "Repositories": ({"ConditionCheckItem", "GetItem"}, ["ORG#*", "REPOSITORYID#*"]),
    }
    assert rows["sweeper"] == {
        "Overdue": ({"Query"}, ["SESSION#*", "JOB#*"]),
        "Jobs": ({"GetItem"}, ["JOB#*"]),
        "Sessions": ({"DeleteItem", "GetItem", "UpdateItem"}, ["REPO#*"]),
        "Objects": ({"DeleteItem", "GetItem", "Query"}, ["OBJECT#*"]),
    }
    assert rows["registry"]["Content"][1] == ["REPO#*", "REFERRERS#*", "OBJECT#*", "ORGBLOB#*"]
    assert rows["registry"]["Repositories"] == (
        {"ConditionCheckItem", "GetItem", "PutItem"},
        ["ORG#*", "REPOSITORYID#*"],
    )
    assert rows["registry"]["Trust"] == ({"Query"}, ["SIGNINGKEY", "PRINCIPAL#*"])


@pytest.mark.parametrize("missing", ["Null", "ForAllValues:StringLike"])
def test_right_on_any_row_or_on_none_is_found(template: Template, missing: str) -> None:
    # ForAllValues alone holds when a request names no row.
    statement = template.rights_on_rows("registry")[0]
    del statement.body["Condition"][missing]
    with pytest.raises(AssertionError):
        template.may("registry", "PutItem", "REPO#demo/app")


def test_rights_on_the_table_do_not_include_a_scan(template: Template) -> None:
    table = "${Table.Arn}"
    assert allowed(template, "token", "dynamodb") == {
        action: {table} for action in ("BatchGetItem", "GetItem", "Query", "UpdateItem")
    }
    assert allowed(template, "secrets", "dynamodb") == {
        action: {table} for action in ("GetItem", "PutItem", "Query", "UpdateItem")
    }
    assert allowed(template, "registry", "dynamodb") == {
        action: {table}
        for action in (
            "BatchGetItem",
            "BatchWriteItem",
            "ConditionCheckItem",
            "DeleteItem",
            "GetItem",
            "PutItem",
            "Query",
            "UpdateItem",
        )
    }
