"""Put the context of RO-Crate 1.1, from ro-crate-py, where rocrate-validator looks before the web: ``FILE CACHE``.

Runs in the validator's environment, which holds both; leaves with status 1 where ro-crate-py is missing or too new.
"""

from __future__ import annotations

import importlib
import importlib.resources
import json
import sys

URL = "https://w3id.org/ro/crate/1.1/context"


def kept(body: bytes, cache: str) -> None:
    """Put the answer `body` to a request for `URL` into the cache."""
    requests_cache = importlib.import_module("requests_cache")
    request = requests_cache.CachedRequest(method="GET", url=URL)
    headers = {"Content-Type": "application/ld+json"}
    answer = requests_cache.CachedResponse(content=body, headers=headers, request=request, status_code=200, url=URL)
    with requests_cache.CachedSession(cache, expire_after=-1) as session:
        session.cache.save_response(answer)


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
