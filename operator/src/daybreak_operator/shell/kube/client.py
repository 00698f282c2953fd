"""The one client of the Kubernetes API: plain JSON objects over the official client's configuration and connections.

Owns requests, their timeouts and the fence that stops writing once leadership is lost; knows no kind of ours.
All calls block: they run in threads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urlencode

import urllib3
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import ConfigException, load_kube_config

from daybreak_contracts import kubernetes_access, names
from daybreak_contracts.errors import TransientError, UserError
from daybreak_contracts.kubernetes_access import Access
from daybreak_contracts.list_watch import WatchError, parse_event, watch_query
from daybreak_operator.core.plan import Object, Ref
from daybreak_operator.shell.kube.answers import NotFoundError, error_of, watch_error
from daybreak_operator.shell.kube.clock import ServerClock
from daybreak_operator.shell.kube.resources import ApiResource, plural_in, resource_for, resource_of

REQUEST_S = 30.0
CONNECT_S = 5.0
OPENED = "OPENED"
"""Beside the API's own types of watch events: the stream stands."""
STREAM_SHARE = 0.6
"""Of the silence that means death: how long the server keeps a stream open.

With 50 s these are 30 s: no live watch is quiet for longer, also of kinds that get no bookmarks. The rest is for a
busy server to answer in; an API server may be away for 45 s before a process ends that last heard of it 30 s earlier.
"""
ONCE_MORE_TO_CONNECT = urllib3.Retry(
    connect=1, read=0, redirect=0, status=0, other=0, respect_retry_after_header=False
)
"""An answer is taken as it is: urllib3 would else make an error of its own of each 429 or 503 with ``Retry-After``, and
how long the API server asks us to wait would be lost with it."""
PAGE = 500
NUM_CONNECTIONS = 40
JSON = "application/json"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

Seen = Callable[[str, str, int], None]
"""Told of every answer: verb, what it was about (a plural) and the HTTP code (0: none came)."""


@dataclass(frozen=True)
class Selector:
    """Which objects of a collection, as the API spells it; empty: all."""

    labels: str = ""
    fields: str = ""

    def query(self) -> dict[str, str]:
        """Return the query's part."""
        return {"labelSelector": self.labels, "fieldSelector": self.fields}


Authorization = Callable[[], str | None]
"""Gives the header's value for the next request, scheme and token; None: the connection's certificate says it."""


@dataclass(frozen=True)
class Connection:
    """How the API server is reached: what another client needs to do the same."""

    server: str
    ca_path: str | None
    insecure: bool
    scheme: str | None
    token: str | None
    certificate_path: str | None
    private_key_path: str | None


def stream_s(silence_s: float) -> int:
    """Return for how many seconds the server is asked to keep a stream."""
    return max(1, int(silence_s * STREAM_SHARE))


class Kube:
    """A client. ``may_write`` is asked before every write but the Lease's own, ``seen`` is told of every answer."""

    def __init__(self, configuration: Configuration, authorization: Authorization | None = None) -> None:
        configuration.connection_pool_maxsize = NUM_CONNECTIONS
        self._configuration = configuration
        self._authorization = authorization or (lambda: header_of(configuration))
        self._pool: urllib3.PoolManager = ApiClient(configuration).rest_client.pool_manager
        self.seen: Seen = lambda verb, plural, code: None
        self.may_write: Callable[[], bool] = lambda: True
        self.request_s = REQUEST_S
        self.clock = ServerClock()

    def connection(self) -> Connection:
        """Return how the server is reached now; a token that is kept in a file is read anew."""
        made = self._configuration
        scheme, _, token = (self._header() or "").partition(" ")
        return Connection(
            server=made.host,
            ca_path=made.ssl_ca_cert,
            insecure=not made.verify_ssl,
            scheme=scheme or None,
            token=token or None,
            certificate_path=made.cert_file,
            private_key_path=made.key_file,
        )

    # Reading -------------------------------------------------------------------------------------------------

    def get(
        self, resource: ApiResource, namespace: str | None, name: str, within_s: float | None = None
    ) -> dict[str, Any]:
        """Return an object; NotFoundError where there is none."""
        return self._call("GET", resource.path(namespace, name), within_s=within_s)

    def exists(self, resource: ApiResource, namespace: str, name: str) -> bool:
        """Return whether there is such an object, without its content ever coming here."""
        try:
            self._call("GET", resource.path(namespace, name), accept=METADATA_ONLY)
        except NotFoundError:
            return False
        return True

    def find(self, resource: ApiResource, namespace: str, name: str) -> dict[str, Any] | None:
        """Return an object or None, by the right to list: the operator may not get everything that it makes."""
        for page, _ in self.pages(resource, namespace, "", f"metadata.name={name}"):
            if page:
                return page[0]
        return None

    def pages(
        self, resource: ApiResource, namespace: str | None, labels: str, fields: str = ""
    ) -> Iterator[tuple[list[dict[str, Any]], str]]:
        """Yield the objects of a collection page by page, each page with the resource version of the whole."""
        token = ""
        while True:
            query = {"limit": str(PAGE), "continue": token, **Selector(labels, fields).query()}
            page = self._call("GET", resource.path(namespace), query)
            kind = {"apiVersion": resource.api_version, "kind": resource.kind}
            yield [{**kind, **item} for item in page["items"]], page["metadata"]["resourceVersion"]
            token = page["metadata"].get("continue", "")
            if not token:
                return

    def watch(
        self, resource: ApiResource, namespace: str | None, selector: Selector, version: str, silence_s: float
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield events (type, object), bookmarks among them, until the server ends the stream.

        The first is ``OPENED``, once the server has answered. The server is asked to end the stream before
        ``silence_s`` is over: some kinds (events) get no bookmarks, and a quiet stream must not look like a dead one.
        A stream that says nothing for ``silence_s`` is a TransientError; a version too old is a GoneError.
        """
        query = watch_query(version, stream_s(silence_s)) | selector.query()
        answer = self._send("GET", resource.path(namespace), query, read_s=silence_s, preload=False)
        try:
            yield OPENED, {"metadata": {"resourceVersion": version}}
            for line in _lines(answer):
                event = parse_event(line)
                yield event.kind, event.body
        except WatchError as error:
            raise watch_error(error.status) from error
        except ValueError as error:
            raise TransientError(f"the watch of {resource.plural} broke: {error}") from error
        except urllib3.exceptions.HTTPError as error:
            self._doubt(error)
            raise TransientError(f"the watch of {resource.plural} broke: {error}") from error
        finally:
            answer.close()

    def serves(self, resource: ApiResource) -> bool:
        """Return whether the API server knows this kind."""
        group = "/api/v1" if resource.api_version == "v1" else f"/apis/{resource.api_version}"
        try:
            found = self._call("GET", group)
        except NotFoundError:
            return False
        return any(entry["name"] == resource.plural for entry in found["resources"])

    def schemas(self, api_version: str) -> dict[str, dict[str, Any]]:
        """Return the schemas (OpenAPI v3) of a group's kinds as the server publishes them, by kind.

        A definition is published a moment after it was made or changed.
        """
        try:
            found = self._call("GET", f"/openapi/v3/apis/{api_version}")
        except NotFoundError:
            return {}
        schemas = found.get("components", {}).get("schemas", {}).values()
        return {
            kind["kind"]: schema
            for schema in schemas
            for kind in schema.get("x-kubernetes-group-version-kind", ())
            if f"{kind['group']}/{kind['version']}" == api_version
        }

    def may(self, verb: str, resource: ApiResource, subresource: str, namespace: str | None) -> bool:
        """Return whether our account may do this (everywhere: None)."""
        group, _, _ = resource.api_version.rpartition("/")
        wanted = {"verb": verb, "group": group, "resource": resource.plural}
        wanted |= {"subresource": subresource, "namespace": namespace or ""}
        kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        body = {**kind, "spec": {"resourceAttributes": wanted}}
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        return bool(self._call("POST", path, {}, body)["status"].get("allowed"))

    # Writing -------------------------------------------------------------------------------------------------

    def apply(self, body: Object, force: bool) -> dict[str, Any]:
        """Server-side apply under our field owner; ConflictError where a field is somebody else's and not forced."""
        metadata = body["metadata"]
        path = resource_for(body).path(metadata.get("namespace"), metadata["name"])
        query = {"fieldManager": names.FIELD_OWNER, "force": str(force).lower()}
        return self._write("PATCH", path, query, body, APPLY)

    def replace_status(self, body: Object) -> dict[str, Any]:
        """Put the whole status; ConflictError when the object is not the one that was read."""
        metadata = body["metadata"]
        path = resource_for(body).path(metadata.get("namespace"), metadata["name"], "status")
        return self._write("PUT", path, {"fieldManager": names.FIELD_OWNER}, body)

    def set_finalizers(self, body: Object, finalizers: list[str]) -> dict[str, Any]:
        """Write the list of finalizers; ConflictError when the object changed since it was read."""
        metadata = body["metadata"]
        patch = {"metadata": {"finalizers": finalizers, "resourceVersion": metadata["resourceVersion"]}}
        path = resource_for(body).path(metadata.get("namespace"), metadata["name"])
        return self._write("PATCH", path, {"fieldManager": names.FIELD_OWNER}, patch, MERGE)

    def set_labels(self, body: Object, labels: Mapping[str, str]) -> None:
        """Write some labels of exactly this object; a namesake is a ConflictError."""
        metadata = body["metadata"]
        patch = {"metadata": {"uid": metadata["uid"], "labels": dict(labels)}}
        path = resource_for(body).path(metadata.get("namespace"), metadata["name"])
        self._write("PATCH", path, {"fieldManager": names.FIELD_OWNER}, patch, MERGE)

    def delete(self, ref: Ref) -> dict[str, Any] | None:
        """Delete exactly this object; returns it when it stays for a while, None when it is gone.

        One that is gone already is fine; a namesake is a ConflictError.
        """
        path = resource_of(ref.api_version, ref.kind).path(ref.namespace, ref.name)
        options = {"preconditions": {"uid": ref.uid}, "propagationPolicy": "Background"}
        try:
            answer = self._write("DELETE", path, {}, options)
        except NotFoundError:
            return None
        return answer if answer.get("kind") == ref.kind else None

    def create(self, body: Object) -> dict[str, Any]:
        """Create an object; ConflictError when there is one."""
        resource = resource_for(body)
        return self._write("POST", resource.path(body["metadata"]["namespace"]), {}, body)

    # The Lease: written by who does not lead yet ---------------------------------------------------------------

    def create_unfenced(self, body: Object, within_s: float) -> dict[str, Any]:
        """Create an object without asking ``may_write``."""
        path = resource_for(body).path(body["metadata"]["namespace"])
        return self._call("POST", path, {}, body, within_s=within_s)

    def replace_unfenced(self, body: Object, within_s: float) -> dict[str, Any]:
        """Replace an object by resource version without asking ``may_write``."""
        metadata = body["metadata"]
        path = resource_for(body).path(metadata["namespace"], metadata["name"])
        return self._call("PUT", path, {}, body, within_s=within_s)

    # -----------------------------------------------------------------------------------------------------------

    def _write(
        self, method: str, path: str, query: Mapping[str, str], body: Object, content_type: str = JSON
    ) -> dict[str, Any]:
        if not self.may_write():
            raise TransientError("not the leader: nothing is written")
        return self._call(method, path, query, body, content_type=content_type)

    def _header(self) -> str | None:
        try:
            return self._authorization()
        except OSError as error:
            raise TransientError(f"the service account's token can't be read: {error}") from error

    def _doubt(self, error: urllib3.exceptions.HTTPError) -> None:
        """A connection fell silent: those that wait in the pool may have too, and each would cost a timeout."""
        reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
        if isinstance(reason, urllib3.exceptions.ReadTimeoutError):
            self._pool.clear()

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        *,
        content_type: str = JSON,
        accept: str = JSON,
        within_s: float | None = None,
    ) -> dict[str, Any]:
        headers = {"Content-Type": content_type, "Accept": accept}
        answer = self._send(method, path, query or {}, body, headers, read_s=within_s or self.request_s)
        found: dict[str, Any] = json.loads(answer.data)
        return found

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Object | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        read_s: float,
        preload: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        filled = {key: value for key, value in query.items() if value}
        url = self._configuration.host + path + (f"?{urlencode(filled)}" if filled else "")
        sent = {"User-Agent": names.FIELD_OWNER, "Accept": JSON, **(headers or {})}
        if header := self._header():
            sent["Authorization"] = header
        try:
            answer = self._pool.request(
                method,
                url,
                body=None if body is None else json.dumps(body).encode(),
                headers=sent,
                timeout=urllib3.Timeout(connect=CONNECT_S, read=read_s),
                retries=ONCE_MORE_TO_CONNECT,
                preload_content=preload,
            )
        except urllib3.exceptions.HTTPError as error:
            self.seen(method, plural_in(path), 0)
            self._doubt(error)
            raise TransientError(f"the API server can't be reached: {error}") from error
        self.seen(method, plural_in(path), answer.status)
        self.clock.heard(answer.headers.get("Date"))
        if answer.status >= 400:
            _refuse(answer)
        return answer


def _refuse(answer: urllib3.BaseHTTPResponse) -> NoReturn:
    try:
        body = answer.data
    except urllib3.exceptions.HTTPError as error:
        raise TransientError(f"the API server's answer broke off: {error}") from error
    raise error_of(answer.status, body, answer.headers)


def _lines(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    rest = b""
    for chunk in answer.stream(amt=None, decode_content=True):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole


def header_of(configuration: Configuration) -> str | None:
    """Return what the official client would send as Authorization.

    Where a login leaves its token differs by version (``api_key["authorization"]`` in 30, ``api_key["BearerToken"]`` in
    37); ``auth_settings`` is what the client's own requests read, in both.
    """
    setting = configuration.auth_settings().get("BearerToken")
    return setting["value"] if setting else None


def connect(environment: Mapping[str, str], kubeconfig: str | None = None) -> Kube:
    """Return a client by what a file, KUBECONFIG or the pod's service account gives; UserError without any."""
    if kubeconfig is None and kubernetes_access.is_in_pod(environment):
        return connect_as(kubernetes_access.access_of_pod(environment))
    configuration = Configuration()
    try:
        load_kube_config(config_file=kubeconfig, client_configuration=configuration)
    except ConfigException as error:
        raise UserError(
            f"no way to the Kubernetes API: {error}; run in a pod, or name a kubeconfig by KUBECONFIG"
        ) from error
    return Kube(configuration)


def connect_as(access: Access) -> Kube:
    """Return a client with the account of a pod; UserError where its files are not mounted."""
    configuration = Configuration()
    configuration.host = access.server
    for file in (access.token_file, access.ca_file):
        if file is not None and not (file.is_file() and file.stat().st_size):
            raise UserError(
                f"no way to the Kubernetes API: {file} is missing or empty; the pod needs its service account's token "
                "(automountServiceAccountToken: true)"
            )
    configuration.ssl_ca_cert = None if access.ca_file is None else str(access.ca_file)
    return Kube(configuration, access.authorization)
