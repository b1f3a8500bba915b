"""infra/aws/policy.json allows what the code does in S3, and nothing else."""

import ast
import json
import re
from pathlib import Path
from typing import Any

from srgan.keys import mlflow_folder
from srgan.services import s3
from tests.support.checkout import ROOT


def statements(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((ROOT / "infra" / "aws" / name).read_text())[
        "Statement"
    ]
    return found


# https://docs.aws.amazon.com/AmazonS3/latest/API/ names the permissions of each operation.
ACTIONS = {
    "get_object": "s3:GetObject",
    "head_object": "s3:GetObject",
    "put_object": "s3:PutObject",
    "create_multipart_upload": "s3:PutObject",
    "upload_part": "s3:PutObject",
    "complete_multipart_upload": "s3:PutObject",
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "delete_object": "s3:DeleteObject",
    "list_objects_v2": "s3:ListBucket",
    # Only what is made once, by the provider's tools: `ensure_bucket` is for embedded stores.
    "head_bucket": None,
    "create_bucket": None,
}


def operations() -> set[str]:
    """Operations of boto3's client that `srgan/services/s3.py` alone uses."""
    tree = ast.parse(Path(s3.__file__).read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self._client":
            found.add(node.attr)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("get_paginator"):
            found.add(ast.literal_eval(node.args[0]))
    return found - {"get_paginator", "meta"}


def allowed(resource: str, policy: str = "policy.json", effect: str = "Allow") -> set[str]:
    """Actions that a policy allows on a resource."""
    found: set[str] = set()
    for statement in statements(policy):
        if statement["Effect"] != effect:
            continue
        actions, resources = statement["Action"], statement["Resource"]
        if resource in ([resources] if isinstance(resources, str) else resources):
            found |= {actions} if isinstance(actions, str) else set(actions)
    return found


def test_every_operation_that_the_code_uses_is_allowed_and_no_other() -> None:
    assert operations() == ACTIONS.keys()
    needed = {action for action in ACTIONS.values() if action}
    bucket = "arn:aws:s3:::imaging-srgan"
    assert allowed(bucket) | allowed(f"{bucket}/*") == needed
    assert allowed(bucket) == {"s3:ListBucket"}, "the only one that is on a bucket"


def test_mlflow_alone_writes_its_artifacts_and_nothing_else() -> None:
    artifacts = f"arn:aws:s3:::imaging-srgan/{mlflow_folder()}/*"
    assert allowed(artifacts, effect="Deny") == {"s3:*"}
    assert allowed(artifacts, "mlflow-policy.json") == {
        "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"
    }  # fmt: skip
    assert allowed("arn:aws:s3:::imaging-srgan/*", "mlflow-policy.json") == set()


def test_photos_of_others_are_read_only() -> None:
    assert allowed("arn:aws:s3:::imaging-photos/*") == {"s3:GetObject"}


def test_no_other_module_speaks_to_s3() -> None:
    clients = [
        path.relative_to(ROOT).as_posix()
        for folder in ("srgan", "flows")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if re.search(r"^(import|from) boto3", path.read_text(), re.MULTILINE)
    ]
    assert clients == ["srgan/services/s3_client.py"]
