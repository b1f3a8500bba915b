"""The local stack: it remembers ports, protects secrets and leaves no process behind."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from srgan.errors import ConfigError, StackError
from srgan.services.s3 import open_store
from srgan.stack import SERVICES, Stack, supervisor
from srgan.stack import environment as module
from srgan.stack.environment import service_environment, shell_environment
from srgan.stack.processes import end_processes, find_processes, is_alive
from srgan.stack.state import (
    choose_ports,
    create_runtime,
    create_state,
    is_free,
    load_state,
    replace_taken_ports,
    runtime_folder,
)
from tests.support.checkout import ROOT


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Stack]:
    """A stack in a home with a space in its name and too deep for unix sockets."""
    services = Stack(tmp_path / "my home" / ("d" * 100))
    yield services
    services.down()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_ports_and_credentials_are_made_once_and_kept(tmp_path: Path) -> None:
    first = create_state(tmp_path / "home")
    assert create_state(tmp_path / "home") == first == load_state(tmp_path / "home")
    assert len(set(first.ports.values())) == len(first.ports)
    assert create_state(tmp_path / "other").s3_secret_key != first.s3_secret_key


def test_credentials_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    create_state(home)
    assert mode(home) == 0o700
    assert mode(home / "credentials.json") == mode(home / "ray.token") == 0o600


def test_stack_json_and_the_state_s_text_hold_no_secret(tmp_path: Path) -> None:
    state = create_state(tmp_path)
    shown = (tmp_path / "stack.json").read_text() + repr(state)
    assert state.s3_secret_key not in shown


def test_a_home_that_was_never_up_is_an_error_that_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="srgan stack up"):
        Stack(tmp_path / "nothing").env()


def test_a_damaged_stack_json_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    create_state(tmp_path)
    (tmp_path / "stack.json").write_text('{"ports": {"s3": 1}}')
    with pytest.raises(StackError, match="delete both"):
        load_state(tmp_path)


def test_a_remembered_port_that_another_program_took_is_chosen_again(tmp_path: Path) -> None:
    before = create_state(tmp_path)
    with socket.create_server(("127.0.0.1", before.ports["mlflow"])):
        assert replace_taken_ports(before) == ["mlflow"]
    after = load_state(tmp_path)
    changed = {name for name in before.ports if before.ports[name] != after.ports[name]}
    assert changed == {"mlflow"}


def test_ports_are_distinct_and_outside_the_ranges_of_ray_and_of_outgoing_connections() -> None:
    ports = choose_ports(str(number) for number in range(50)).values()
    assert len(set(ports)) == 50
    assert all(20_000 <= port < 32_768 and is_free(port) for port in ports)


def test_a_runtime_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    state = create_state(tmp_path)
    state.runtime.mkdir(mode=0o755)
    try:
        with pytest.raises(StackError, match="mode 0700"):
            create_runtime(state)
    finally:
        state.runtime.rmdir()


def test_sockets_stay_below_the_limit_of_107_bytes_however_deep_the_home_is() -> None:
    runtime = runtime_folder(Path("/" + "deep/" * 40))
    # Ray's longest: <temp>/session_<date>_<time>_<microseconds>_<pid>/sockets/plasma_store
    longest = "ray/session_2026-11-22_10-31-00_123456_1234567/sockets/plasma_store.1234"
    assert len(str(runtime / longest)) <= 107


def test_services_do_not_see_what_points_the_shell_to_other_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "PREFECT_API_KEY", "RAY_NAMESPACE"):
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("NO_PROXY", "intranet")
    environment = service_environment(create_state(tmp_path))
    assert "elsewhere" not in environment.values()
    assert environment["NO_PROXY"] == "intranet,127.0.0.1,localhost"


@pytest.mark.parametrize(
    ("quota", "num_cpus"),
    [("300000 100000", 3), ("350000 100000", 3), ("max 100000", 8), (None, 8), ("5000 100000", 2)],
)
def test_ray_gets_the_cpus_that_a_container_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str | None, num_cpus: int
) -> None:
    monkeypatch.setattr(module.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(module, "_QUOTA", tmp_path / "cpu.max")
    if quota is not None:
        (tmp_path / "cpu.max").write_text(f"{quota}\n")
    environment = service_environment(create_state(tmp_path))
    assert environment["SRGAN_NUM_CPUS"] == str(num_cpus)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"no_proxy": "corp.internal, 10.0.0.0/8"}, "corp.internal,10.0.0.0/8"),
        ({"NO_PROXY": "a,b", "no_proxy": "b,c"}, "b,c,a"),
        ({"no_proxy": "localhost"}, ""),
    ],
)
def test_hosts_without_a_proxy_stay_so_in_both_spellings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], kept: str
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    environment = shell_environment(create_state(tmp_path))
    expected = {*filter(None, kept.split(",")), "127.0.0.1", "localhost"}
    assert environment["NO_PROXY"] == environment["no_proxy"]
    hosts = environment["no_proxy"].split(",")
    assert set(hosts) == expected
    assert len(hosts) == len(expected)


def test_prefects_own_links_have_the_public_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "PREFECT_UI_URL" not in service_environment(create_state(tmp_path))
    monkeypatch.setenv("SRGAN_PREFECT_PUBLIC_URL", "https://prefect.example")
    environment = service_environment(create_state(tmp_path))
    assert environment["PREFECT_UI_URL"] == "https://prefect.example"


def test_only_prefects_own_pages_may_ask_its_api_in_a_browser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, variable = create_state(tmp_path), "PREFECT_SERVER_CORS_ALLOWED_ORIGINS"
    own = [state.url("prefect"), f"http://localhost:{state.ports['prefect']}"]
    assert service_environment(state)[variable].split(",") == own
    monkeypatch.setenv("SRGAN_PREFECT_PUBLIC_URL", "https://imaging.example:8443/prefect")
    public = "https://imaging.example:8443"
    assert service_environment(state)[variable].split(",") == [*own, public]


def test_no_proxy_at_all_stays_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    assert shell_environment(create_state(tmp_path))["no_proxy"] == "*"


def test_an_unknown_service_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="worker"):
        Stack(tmp_path / "home").up(("s4",))
    assert not (tmp_path / "home").exists()


def test_down_without_up_does_nothing(tmp_path: Path) -> None:
    assert Stack(tmp_path / "home").down() == []
    assert not (tmp_path / "home").exists()


def test_processes_are_found_by_their_mark_and_with_all_descendants(tmp_path: Path) -> None:
    # Its child hides the mark and leaves the session, as Ray's jobs and workers do.
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '60'], env={}, start_new_session=True)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    marked = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "SRGAN_RUNTIME": str(tmp_path)},
        stdout=subprocess.PIPE,
    )
    assert marked.stdout is not None
    child = int(marked.stdout.readline())
    found = find_processes(tmp_path)
    assert {process.pid for process in found} == {marked.pid, child}
    end_processes(found)
    marked.wait(5)
    marked.stdout.close()
    assert not any(map(is_alive, found))


def test_a_process_number_that_was_given_to_another_program_is_not_ours() -> None:
    impostor = psutil.Process()
    impostor._ident = (impostor.pid, 1.0)  # this number, but started in 1970
    end_processes({impostor})  # would end this very test
    assert not is_alive(impostor)


def test_one_service_comes_up_is_used_and_leaves_nothing_behind(services: Stack) -> None:
    assert services.up(("s3",)) == ["s3"]
    assert services.up(("s3",)) == []
    store = open_store(services.settings())
    store.put("key", b"value")
    states = {service.name: service.state for service in services.status()}
    assert states == {name: "running" if name == "s3" else "stopped" for name in SERVICES}

    ours = find_processes(runtime_folder(services.home))
    assert ours
    assert services.down() == ["s3"]
    assert not any(map(is_alive, ours))
    assert not runtime_folder(services.home).exists()
    assert {service.state for service in services.status()} == {"stopped"}

    services.up(("s3",))
    assert store.get("key") == b"value"  # same port, same credentials, same data


def test_secrets_are_in_no_command_line_and_in_no_log(services: Stack) -> None:
    services.up(("s3",))
    state = load_state(services.home)
    shown = services.log_tail("s3", 10_000)
    for process in find_processes(runtime_folder(services.home)):
        shown += Path(f"/proc/{process.pid}/cmdline").read_text()
    assert "-s3.port" in shown
    assert state.s3_secret_key not in shown
    assert mode(services.log_path("s3")) == 0o600


def test_a_killed_service_is_started_again(services: Stack) -> None:
    services.up(("s3",))
    killed = next(service.pid for service in services.status() if service.name == "s3")
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while (s3 := services.status()[0]).pid in (killed, None) or s3.state != "running":
        assert time.monotonic() < deadline, s3
        time.sleep(0.2)


def test_a_supervisor_that_does_not_go_to_the_background_is_given_up_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 60\n")
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(supervisor, "_LAUNCH_LIMIT_S", 0.2)
    with pytest.raises(StackError, match=r"-m supervisor\.supervisord -c .* has not gone to the"):
        supervisor.Supervisor(tmp_path).launch(tmp_path / "supervisord.conf", {})


def test_services_that_a_killed_supervisor_left_are_ended_by_down(services: Stack) -> None:
    services.up(("s3",))
    ours = find_processes(runtime_folder(services.home))
    os.kill(int((services.home / "run" / "supervisord.pid").read_text()), signal.SIGKILL)
    services.down()
    assert not any(map(is_alive, ours))


def test_a_service_that_dies_is_named_with_the_last_lines_of_its_log(
    services: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the port had been taken a moment after the ports were looked at.
    monkeypatch.setattr("srgan.stack.local.replace_taken_ports", lambda state: [])
    port = create_state(services.home).ports["s3"]
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(StackError, match=r"s3 died.*s3\.log") as caught,
    ):
        services.up(("s3",))
    assert str(port) in str(caught.value).partition("\n")[2]
    assert services.up(("s3",)) == ["s3"]


def test_two_commands_on_one_home_do_not_interfere(services: Stack) -> None:
    services.up(("s3",))
    with services._locked(), pytest.raises(StackError, match="another `srgan stack` command"):
        Stack(services.home).up(("s3",))


def test_stack_json_can_be_read_by_people(tmp_path: Path) -> None:
    create_state(tmp_path)
    assert "prefect" in json.loads((tmp_path / "stack.json").read_text())["ports"]


def test_a_home_that_is_packed_and_unpacked_elsewhere_has_its_objects(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    packing, unpacking = re.findall(r"tar --(?:create|extract) [^\n`]+", page)
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    after.mkdir()
    stack = Stack(before / ".srgan")
    try:
        stack.up(("s3",))
        open_store(stack.settings()).put("key", b"value")
    finally:
        stack.down()
    subprocess.run(packing.split(), cwd=before, check=True, timeout=120)
    (before / "srgan-backup.tar.gz").rename(after / "srgan-backup.tar.gz")
    before.rename(tmp_path / "lost")
    subprocess.run(unpacking.split(), cwd=after, check=True, timeout=120)
    stack = Stack(after / ".srgan")
    try:
        stack.up(("s3",))
        assert open_store(stack.settings()).get("key") == b"value"
    finally:
        stack.down()
