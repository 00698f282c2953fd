"""One request with the official client's address and credentials: plain JSON in, plain JSON or a stream out.

The generated methods of the client want a class for each kind; ours has none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

REQUEST_S = 30.0


def stream(client: ApiClient, method: str, path: str, query: Mapping[str, str], body: Any = None) -> Any:
    """Send a request and return urllib3's answer, not read yet; raises ApiException for a refusal."""
    from kubernetes.client import ApiException

    request = client.param_serialize(
        method,
        path,
        query_params=list(query.items()),
        header_params={"Accept": "application/json", "Content-Type": "application/json"},
        body=body,
        auth_settings=["BearerToken"],
    )
    answer = client.call_api(*request, _request_timeout=REQUEST_S)
    if not 200 <= answer.status <= 299:
        text = answer.read().decode()
        raise ApiException.from_response(http_resp=answer, body=text, data=None)
    return answer.response


def call(client: ApiClient, method: str, path: str, query: Mapping[str, str], body: Any = None) -> Any:
    """Send a request and return the object that answers it."""
    return json.loads(stream(client, method, path, query, body).data)
