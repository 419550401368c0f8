"""`forecast-edge.pyz verify|install|rollback|status|step|forecast|serve`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

from .errors import DeviceError, RequestError

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
DEFAULT_ROOT: Final = "/var/lib/forecast-edge"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 refused or failed (one line on stderr), 2 wrong usage."""
    args = build_parser().parse_args(argv)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except KeyboardInterrupt:
        return _failed(args, "interrupted")
    except DeviceError as error:
        return _failed(args, str(error))
    except MemoryError:
        return _failed(args, "out of memory")
    except Exception as error:  # a device's log wants a line, not a traceback
        return _failed(args, f"{type(error).__name__}: {error}")
    return code


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="forecast-edge",
        description="Verify, install and run a signed bundle of forecasts on this device.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add = _Adder(commands)
    one = add("verify", _verify, "check signature, files and answers of a bundle")
    one.add_argument("bundle", help="folder or archive")
    trust = one.add_mutually_exclusive_group()
    trust.add_argument("--keys", help="keys.json with the trusted keys")
    trust.add_argument("--key", help="the one trusted key, 64 hex digits")
    trust.add_argument("--root", help=f"root folder whose keys.json is trusted (default {DEFAULT_ROOT})")
    one.add_argument("--no-self-test", action="store_true", help="do not run the models")
    one = add("install", _install, "verify, unpack, test and activate a bundle")
    one.add_argument("bundle", help="folder or archive")
    _add_root(one)
    one.add_argument("--keys", help="keys.json to add to the trusted keys of the root")
    one.add_argument("--allow-downgrade", action="store_true", help="take an older version than was active")
    _add_root(add("rollback", _rollback, "go back to the previous release"))
    _add_root(add("status", _status, "tell what is installed"))
    for name, run, text in (
        ("step", _step, "read ticks (JSON lines), write forecasts"),
        ("forecast", _forecast, "read requests (JSON lines), write forecasts"),
    ):
        one = add(name, run, text)
        one.add_argument("file", nargs="?", default="-", help="input; - is stdin (default)")
        _add_source(one)
    one = add("serve", _serve, "answer on localhost")
    _add_source(one)
    one.add_argument("--host", default="127.0.0.1")
    one.add_argument("--port", type=int, default=8765)
    return parser


class _Adder:
    """Adds commands that share `--json`."""

    def __init__(self, commands: Any) -> None:  # noqa: ANN401  # argparse's own class is private
        self._commands = commands

    def __call__(
        self, name: str, run: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = self._commands.add_parser(name, help=text, description=text)
        parser.add_argument("--json", action="store_true", help="results and errors as JSON")
        parser.set_defaults(run=run)
        return parser


def _add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", default=DEFAULT_ROOT, help=f"root folder (default {DEFAULT_ROOT})")


def _add_source(parser: argparse.ArgumentParser) -> None:
    _add_root(parser)
    parser.add_argument(
        "--gap-cap",
        type=_gap_cap,
        default=1000,
        help="points missing between two ticks that are filled (1000)",
    )


def _gap_cap(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 7:
        raise argparse.ArgumentTypeError(f"must be a whole number in 0..9999999, got {text!r}")
    return int(text)


def _verify(args: argparse.Namespace) -> int:
    from .bundle import load_keys
    from .keys import one_key
    from .parity import self_test
    from .schema import read_schema
    from .verify import verify

    path = args.keys or os.path.join(args.root or DEFAULT_ROOT, "keys.json")
    keys = one_key(args.key) if args.key else load_keys(path)
    with verify(args.bundle, keys) as found:
        found.check_all()
        read_schema(found.read("schema.json"))
        parity = () if args.no_self_test else self_test(found)
        manifest = found.manifest
    result = _described(manifest) | {"parity": [_parity(one) for one in parity]}
    _print(
        args,
        result,
        f"{_title(manifest)}: signed by {manifest.key_id}, {len(manifest.files)} files{_said(parity)}",
    )
    return EXIT_OK


def _install(args: argparse.Namespace) -> int:
    from .bundle import load_keys
    from .installing import install

    keys = None if args.keys is None else load_keys(args.keys)
    done = install(args.bundle, args.root, keys, args.allow_downgrade)
    result = _described(done.manifest) | {
        "parity": [_parity(one) for one in done.parity],
        "previous": done.previous,
        "changed": done.changed,
    }
    said = "installed" if done.changed else "serves already"
    _print(args, result, f"{_title(done.manifest)}: {said}{_said(done.parity)}")
    return EXIT_OK


def _rollback(args: argparse.Namespace) -> int:
    from .installing import rollback

    done = rollback(args.root)
    result = _described(done.manifest) | {"previous": done.previous}
    _print(args, result, f"{_title(done.manifest)}: serves again")
    return EXIT_OK


def _status(args: argparse.Namespace) -> int:
    from .device import status

    found = status(args.root)
    lines = [f"{name}: {_release_line(found[name])}" for name in ("current", "previous")]
    lines.append(f"highest version: {found['highest_version']}; series moved: {found['series_moved']}")
    _print(args, found, "\n".join(lines + ([found["error"]] if found["error"] else [])))
    current = found["current"]
    return EXIT_OK if current is not None and current["ok"] and found["error"] is None else EXIT_FAILED


def _release_line(found: dict[str, Any] | None) -> str:
    if found is None:
        return "none"
    if not found["ok"]:
        return f"{found['release'][:12]} refused: {found['error']}"
    return f"{found['name']} {found['bundle_version']} ({found['n_series']} series, {found['release'][:12]})"


def _step(args: argparse.Namespace) -> int:
    from .wire import MAX_TICK_BYTES, answer_tick

    return _answer_lines(args, answer_tick, MAX_TICK_BYTES, read_only=False)


def _forecast(args: argparse.Namespace) -> int:
    from .wire import MAX_REQUEST_BYTES, answer_request

    return _answer_lines(args, answer_request, MAX_REQUEST_BYTES, read_only=True)


def _answer_lines(
    args: argparse.Namespace, answer: Callable[[Any, bytes, int], bytes], most: int, read_only: bool
) -> int:
    """Answer every line; one that is refused is told on stderr, and the others go on."""
    from .device import Device

    code, out = EXIT_OK, sys.stdout.buffer
    if not read_only:
        _mend(args)
    with _input(args.file) as lines, Device.open(args.root, read_only, args.gap_cap) as device:
        for offset, line in enumerate(_lines(lines, most)):
            if not line.strip():
                continue
            try:
                out.write(answer(device.bundle, line, offset))
                out.flush()
            except RequestError as error:
                code = EXIT_FAILED
                told = {"line": offset + 1, "error": error.reason, "detail": str(error)}
                text = f"forecast-edge {args.command}: line {offset + 1}: {error.reason}: {error}"
                _complain(json.dumps(told) if args.json else text)
    return code


def _mend(args: argparse.Namespace) -> None:
    """Go back to the previous release where the current one is refused: nobody may be there to do it."""
    from .releases import Root

    root = Root(Path(args.root))
    if root.current is None or root.previous is None:
        return
    reason = root.refusal(root.current)
    if reason is None:
        return
    from .installing import rollback

    with suppress(DeviceError):  # then the current one tells why it does not open
        title = _title(rollback(args.root).manifest)
        text = f"the current release is refused ({reason}); went back to {title}"
        line = f"forecast-edge {args.command}: {text}"
        _complain(json.dumps({"warning": text}) if args.json else line)


def _lines(file: BinaryIO, most: int) -> Iterator[bytes]:
    """Yield lines; of one that is too long so much that it is refused, and the rest is skipped."""
    while line := file.readline(most + 2):
        if len(line) > most and not line.endswith(b"\n"):
            while (rest := file.readline(most)) and not rest.endswith(b"\n"):
                pass
        yield line


@contextmanager
def _input(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        file = open(path, "rb")  # noqa: SIM115  # closed below
    except OSError as error:
        raise DeviceError(f"{path} cannot be read: {error.strerror or error}") from None
    with file:
        yield file


def _serve(args: argparse.Namespace) -> int:
    from .device import Device
    from .serve import serve

    _mend(args)
    with Device.open(args.root, gap_cap=args.gap_cap) as device:
        title = _title(device.bundle.manifest)
        serve(
            device,
            args.host,
            args.port,
            lambda host, port: print(f"{title}: http://{host}:{port}", flush=True),  # noqa: T201
        )
    return EXIT_OK


def _described(manifest: Any) -> dict[str, Any]:  # noqa: ANN401  # a Manifest, imported where it is used
    return {
        "name": manifest.name,
        "bundle_version": manifest.bundle_version,
        "release": manifest.digest,
        "key_id": manifest.key_id,
        "n_series": manifest.n_series,
        "horizon": manifest.horizon,
        "profile": manifest.profile,
        "files": len(manifest.files),
    }


def _parity(one: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"model": one.model, "rows": one.rows, "error": one.error, "rtol": one.rtol}


def _title(manifest: Any) -> str:  # noqa: ANN401
    return (
        f"{manifest.name} {manifest.bundle_version} ({manifest.n_series} series, horizon {manifest.horizon})"
    )


def _said(parity: Sequence[Any]) -> str:
    return "".join(f"; {one.model} answers within {one.error:.2g} (allowed {one.rtol:.2g})" for one in parity)


def _print(args: argparse.Namespace, result: dict[str, Any], text: str) -> None:
    sys.stdout.write((json.dumps(result, sort_keys=True) if args.json else text) + "\n")


def _failed(args: argparse.Namespace, text: str) -> int:
    line = " ".join(text.split())
    _complain(json.dumps({"error": line}) if args.json else f"forecast-edge {args.command}: {line}")
    return EXIT_FAILED


def _complain(line: str) -> None:
    """Write one line on stderr, if anybody can still read it."""
    try:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
    except OSError:
        return
