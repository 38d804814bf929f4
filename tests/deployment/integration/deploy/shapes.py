"""The fields that manifests may have, by kind: unknown, missing and ill-typed ones are said. Written for the fields
that are used; tools that know all of Kubernetes are asked in tests/clients.

Sources: Kubernetes API reference 1.33; KServe v1beta1 API reference, PredictorSpec.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
QUANTITY = re.compile(r"\d+(\.\d+)?(m|Mi|Gi)?")


class Strict(yaml.SafeLoader):
    """YAML in which a key stands once, so that one document cannot hide in another."""


def _mapping(loader: Strict, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise yaml.constructor.ConstructorError(None, None, f"{sorted(twice)} twice", node.start_mark)
    return dict(zip(keys, [loader.construct_object(value, deep=True) for _, value in node.value], strict=True))


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def documents(text: str) -> list[dict[str, Any]]:
    """The documents of a file."""
    return list(yaml.load_all(text, Strict))


class Some:
    """A word of a pattern, or one of a few."""

    def __init__(self, pattern: str | re.Pattern[str]) -> None:
        self.pattern = re.compile(pattern)


TEXTS = {str: str}
META = {"name": Some(LABEL), "labels": TEXTS, "annotations?": TEXTS}
SELECTOR = {"matchLabels": TEXTS}
SECURE = {"runAsNonRoot": bool, "runAsUser": int, "runAsGroup": int, "seccompProfile": {"type": Some("RuntimeDefault")}}
PROBE = {"httpGet": {"path": Some("/health|/ready"), "port": int, "scheme": Some("HTTPS?")}, "periodSeconds": int,
         "timeoutSeconds": int, "failureThreshold": int}
AMOUNT = {"cpu?": Some(QUANTITY), "memory": Some(QUANTITY)}
CONTAINER = {
    "name": Some(LABEL), "image": str, "imagePullPolicy": Some("IfNotPresent"), "args": [str],
    "env": [{"name": Some("[A-Z_]+"), "valueFrom": {"configMapKeyRef": {"name": Some(LABEL), "key": str}}}],
    "ports": [{"name": Some("https?"), "containerPort": int, "protocol": Some("TCP")}],
    "startupProbe": PROBE, "livenessProbe": PROBE, "readinessProbe": PROBE,
    "resources": {"requests": AMOUNT, "limits": AMOUNT},
    "securityContext": {**SECURE, "allowPrivilegeEscalation": bool, "readOnlyRootFilesystem": bool,
                        "capabilities": {"drop": [Some("ALL")]}},
    "volumeMounts": [{"name": Some(LABEL), "mountPath": Some("/.+"), "subPath?": str, "readOnly?": bool}],
    "lifecycle": {"preStop": {"exec": {"command": [str]}}},
}
VOLUME = {"name": Some(LABEL), "persistentVolumeClaim?": {"claimName": Some(LABEL)},
          "emptyDir?": {"medium": Some("Memory"), "sizeLimit": Some(QUANTITY)},
          "secret?": {"secretName": Some(LABEL), "defaultMode": int}}
POD = {
    "automountServiceAccountToken": bool, "terminationGracePeriodSeconds": int,
    "securityContext": {**SECURE, "fsGroup": int, "fsGroupChangePolicy": Some("OnRootMismatch")},
    "containers": [CONTAINER], "volumes": [VOLUME],
}
SPREAD = {"maxSkew": int, "topologyKey": str, "whenUnsatisfiable": Some("ScheduleAnyway"), "labelSelector": SELECTOR}
PORT = {"port": int, "protocol": Some("TCP|UDP")}
SPECS: dict[tuple[str, str], dict[str, Any]] = {
    ("v1", "ConfigMap"): {"data": TEXTS},
    ("v1", "PersistentVolumeClaim"): {"spec": {
        "accessModes": [Some("ReadWrite(Once|Many)")], "resources": {"requests": {"storage": Some(QUANTITY)}}}},
    ("apps/v1", "Deployment"): {"spec": {
        "replicas": int, "revisionHistoryLimit": int, "selector": SELECTOR,
        "strategy": {"type": Some("RollingUpdate|Recreate"),
                     "rollingUpdate?": {"maxUnavailable": int, "maxSurge": int}},
        "template": {"metadata": {"labels": TEXTS, "annotations": TEXTS},
                     "spec": {**POD, "enableServiceLinks": bool, "topologySpreadConstraints": [SPREAD]}}}},
    ("v1", "Service"): {"spec": {
        "type": Some("ClusterIP"), "selector": TEXTS,
        "ports": [{"name": Some("https?"), "targetPort": Some("https?"), **PORT}]}},
    ("policy/v1", "PodDisruptionBudget"): {"spec": {"maxUnavailable": int, "selector": SELECTOR}},
    ("networking.k8s.io/v1", "NetworkPolicy"): {"spec": {
        "podSelector": SELECTOR, "policyTypes": [Some("Ingress|Egress")],
        "ingress": [{"from": [{"podSelector": {}}], "ports": [PORT]}], "egress": [{"ports": [PORT]}]}},
    ("serving.kserve.io/v1beta1", "InferenceService"): {"spec": {
        "predictor": {**POD, "minReplicas": int, "maxReplicas": int, "timeout": int}}},
}


def problems(document: dict[str, Any]) -> list[str]:
    """What is wrong with one manifest, with the path; nothing if all of it is known and typed."""
    kind = (str(document.get("apiVersion")), str(document.get("kind")))
    if kind not in SPECS:
        return [f"there is no kind {kind}"]
    return list(_wrong(document, {"apiVersion": str, "kind": str, "metadata": META, **SPECS[kind]}, kind[1]))


def _wrong(value: Any, wanted: Any, path: str) -> Iterator[str]:
    if wanted == TEXTS:
        if not (isinstance(value, dict) and all(isinstance(one, str) for pair in value.items() for one in pair)):
            yield f"{path} is no map of texts"
    elif isinstance(wanted, dict):
        yield from _wrong_fields(value, wanted, path)
    elif isinstance(wanted, list):
        if not isinstance(value, list):
            yield f"{path} is no list"
        else:
            for place, one in enumerate(value):
                yield from _wrong(one, wanted[0], f"{path}[{place}]")
    elif isinstance(wanted, Some):
        if not isinstance(value, str) or not wanted.pattern.fullmatch(value):
            yield f"{path} is {value!r}"
    elif type(value) is not wanted or value in ("", []):
        yield f"{path} is {value!r}, no {wanted.__name__}"


def _wrong_fields(value: Any, wanted: dict[str, Any], path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path} is no object"
        return
    known = {name.rstrip("?"): name for name in wanted}
    yield from (f"{path}.{name} is not known" for name in value if name not in known)
    yield from (f"{path}.{name} is missing" for name in wanted if not name.endswith("?") and name not in value)
    for name, one in value.items():
        if name in known:
            yield from _wrong(one, wanted[known[name]], f"{path}.{name}")
