"""Put the context of RO-Crate 1.1, from ro-crate-py, where rocrate-validator looks before the web: ``FILE CACHE``.

Runs in the validator's environment, which holds both; leaves with status 1 where ro-crate-py is missing or too new.
"""

from __future__ import annotations

import importlib
import importlib.resources
import io
import json
import sys
from typing import Any

URL = "https://w3id.org/ro/crate/1.1/context"


def kept(body: bytes, cache: str) -> None:
    """Put the answer `body` to a request for `URL` into the cache."""
    requests, requests_cache, urllib3 = map(importlib.import_module, ("requests", "requests_cache", "urllib3"))

    class Answer(requests.adapters.BaseAdapter):  # type: ignore[name-defined, misc]
        def send(self, request: Any, *given: Any, **more: Any) -> Any:
            answer = requests.Response()
            answer.status_code, answer.url, answer.request = 200, request.url, request
            answer.headers["Content-Type"] = "application/ld+json"
            answer.raw = urllib3.HTTPResponse(io.BytesIO(body), answer.headers, 200, preload_content=False)
            return answer

        def close(self) -> None:
            pass

    with requests_cache.CachedSession(cache, expire_after=-1) as session:
        session.mount("https://", Answer())
        session.get(URL)


def main() -> None:
    """Find the context and keep it."""
    try:
        body = importlib.resources.files("rocrate").joinpath("data/ro-crate.jsonld").read_bytes()
    except (ImportError, OSError):
        sys.exit(1)
    if json.loads(body).get("@id") != URL:
        sys.exit(1)
    kept(body, sys.argv[1])


if __name__ == "__main__":
    main()
