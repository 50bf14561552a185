"""The promises that ARCHITECTURE.md makes about the crates, read from cargo and the sources."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

# Each crate of ours, and those of ours that it may use.
MAY_USE: dict[str, set[str]] = {
    "monitrace": set(),
    "monitrace-core": set(),
    "monitrace-tools": {"monitrace-core"},
    "monitrace-cpython": {"monitrace", "monitrace-core"},
    "monitrace-capi": {"monitrace", "monitrace-core", "monitrace-cpython"},
    "monitrace-py": {"monitrace-core", "monitrace-tools", "monitrace-cpython", "monitrace-capi"},
    "monitrace-bench": {"monitrace-core", "monitrace-cpython", "monitrace-capi"},
    "monitrace-bench-engine": {"monitrace-core"},
    "monitrace-bench-producer": {"monitrace", "monitrace-cpython", "monitrace-capi"},
}
KNOW_PYTHON = {
    "monitrace",
    "monitrace-cpython",
    "monitrace-capi",
    "monitrace-py",
    "monitrace-bench",
    "monitrace-bench-producer",
}

# Crates and modules without `unsafe`. A module's whole folder is covered by the line in its mod.rs.
SAFE = [
    "crates/monitrace/src/event.rs",
    "crates/monitrace/src/table.rs",
    # That its users need none.
    "crates/monitrace/tests/producer.rs",
    "crates/monitrace-core/src/lib.rs",
    "crates/monitrace-tools/src/lib.rs",
    "crates/monitrace-py/src/lib.rs",
    "crates/monitrace-cpython/src/bytecode/mod.rs",
    "crates/monitrace-cpython/src/native/branch_table.rs",
    "crates/monitrace-cpython/src/native/branches.rs",
    "crates/monitrace-cpython/src/native/namespace.rs",
    "crates/monitrace-cpython/src/native/listener.rs",
    "crates/monitrace-cpython/src/native/own.rs",
    "crates/monitrace-cpython/src/native/sides.rs",
    "crates/monitrace-cpython/src/native/topup.rs",
    "crates/monitrace-cpython/src/producer/code_like.rs",
    "examples/rhai/src/lib.rs",
    "examples/rules/src/lib.rs",
    "benches/native/src/lib.rs",
    "benches/engine/src/main.rs",
    "benches/producer/src/main.rs",
]


@pytest.fixture(scope="module")
def packages() -> dict[str, dict[str, Any]]:
    """The crates of the workspace by name, as `cargo metadata` describes them."""
    metadata = subprocess.run(
        ["cargo", "metadata", "--format-version=1", "--no-deps", "--locked"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return {package["name"]: package for package in json.loads(metadata.stdout)["packages"]}


def dependencies(package: dict[str, Any]) -> set[str]:
    """What the crate uses when it is used, its tests left out."""
    return {entry["name"] for entry in package["dependencies"] if entry["kind"] != "dev"}


def test_every_crate_has_its_place(packages: dict[str, dict[str, Any]]) -> None:
    assert packages.keys() == MAY_USE.keys()


@pytest.mark.parametrize("crate", MAY_USE)
def test_dependencies_point_one_way(crate: str, packages: dict[str, dict[str, Any]]) -> None:
    assert dependencies(packages[crate]) & MAY_USE.keys() <= MAY_USE[crate]


@pytest.mark.parametrize("crate", sorted(MAY_USE.keys() - KNOW_PYTHON))
def test_engine_and_tools_know_no_python(crate: str, packages: dict[str, dict[str, Any]]) -> None:
    # Tests and build scripts too: a host for tests is a toy of their own.
    used = {entry["name"] for entry in packages[crate]["dependencies"]}
    assert not {name for name in used if name.startswith("pyo3")}


def test_producers_need_pyo3_ffi_alone(packages: dict[str, dict[str, Any]]) -> None:
    entries = [entry for entry in packages["monitrace"]["dependencies"] if entry["kind"] is None]
    assert {entry["name"] for entry in entries if not entry["optional"]} == {"pyo3-ffi"}
    assert packages["monitrace"]["features"].get("default", []) == []


def test_producers_are_not_built_for_the_limited_api(tmp_path: Path) -> None:
    check = ["cargo", "check", "--locked", "--package=monitrace", "--features=pyo3-ffi/abi3-py311"]
    env = os.environ | {"PYO3_PYTHON": sys.executable, "CARGO_TARGET_DIR": str(tmp_path)}
    done = subprocess.run(check, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "cannot be used with the limited API (abi3)" in done.stderr


@pytest.mark.parametrize("file", SAFE)
def test_safe_code_forbids_unsafe(file: str) -> None:
    assert re.search(r"(?m)^#!\[forbid\(unsafe_code\)\]$", (ROOT / file).read_text())


def test_architecture_names_every_crate() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    crates = sorted(path.parent.name for path in ROOT.glob("crates/*/Cargo.toml"))
    assert [crate for crate in crates if f"crates/{crate}/" not in text] == []
