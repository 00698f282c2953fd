"""``python -m daybreak_serve.gateway --config FILE [--fd N]``: one gateway process until SIGTERM.

On SIGTERM it takes no new connections, ends the requests in flight within ``drain_s`` and leaves.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from daybreak_contracts.errors import EXIT_OK, DaybreakError
from daybreak_serve.gateway.config import GatewayConfig, read_config
from daybreak_serve.standby import wait_until_wanted

KEEP_ALIVE_S = 75
"""A person who types pauses for longer than uvicorn's 5 s; a new connection would cost the next keystroke."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the gateway; the exit code tells whose fault an early end was."""
    parser = argparse.ArgumentParser(prog="python -m daybreak_serve.gateway", description=__doc__)
    parser.add_argument("--config", required=True, type=Path, help="JSON file, see gateway/config.py")
    parser.add_argument("--fd", type=int, help="listening socket handed on by the starter")
    options = parser.parse_args(argv)
    try:
        config = read_config(options.config)
        run(config, options.fd)
    except DaybreakError as error:
        print(f"gateway: {error}", file=sys.stderr)
        return error.exit_code
    return EXIT_OK


def run(config: GatewayConfig, fd: int | None) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    import gc

    import uvicorn

    from daybreak_serve.gateway.app import create_app
    from daybreak_serve.gateway.http.connections import GuardedHttp, SettlingServer, room_for_connections
    from daybreak_serve.gateway.http.tls import LOOK_S, ServedCertificate

    wait_until_wanted(os.environ)
    GuardedHttp.max_connections = room_for_connections()
    tls: dict[str, Any] = {}
    if config.tls_certificate:
        files = (Path(config.tls_certificate), Path(config.tls_key))
        served = ServedCertificate(*files, lambda line: print(line, flush=True))
        tls["ssl_context_factory"] = lambda _config, _default: served.context
        tls |= {"callback_notify": served.follow, "timeout_notify": LOOK_S}
    server = SettlingServer(
        uvicorn.Config(
            create_app(config),
            host=config.host,
            port=config.port,
            loop="uvloop",
            http=GuardedHttp,
            ws="none",
            access_log=False,
            log_level="warning",
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=config.drain_s,
            **tls,
        )
    )
    gc.collect()
    gc.freeze()  # what is imported lives for ever: no collection needs to walk it while somebody waits
    server.run(sockets=None if fd is None else [socket.socket(fileno=fd)])


if __name__ == "__main__":
    sys.exit(main())
