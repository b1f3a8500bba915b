"""The `srgan` command, as a shell meets it."""

import json
import subprocess
import sys
from pathlib import Path

from srgan.stack.state import create_state
from tests.support.commands import SRGAN, srgan


def test_help_names_the_commands() -> None:
    done = srgan("--help")
    assert done.returncode == 0
    assert "stack" in done.stdout


def test_help_loads_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys, srgan.cli\n"
        "print([name for name in ('torch', 'numpy', 'ray', 'mlflow', 'prefect', 'boto3') "
        "if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


def test_recipes_lists_all_with_their_purpose() -> None:
    lines = srgan("recipes").stdout.splitlines()
    assert any(line.startswith("demo ") and "two cores" in line for line in lines)


def test_one_recipe_is_printed_as_the_json_that_the_retrain_flow_takes() -> None:
    from srgan.config import Recipe
    from srgan.recipes import get_recipe

    printed = json.loads(srgan("recipes", "tiny").stdout)
    assert Recipe.model_validate(printed) == get_recipe("tiny")


def test_an_unknown_recipe_is_a_message_and_no_traceback() -> None:
    done = srgan("recipes", "nope")
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown recipe 'nope'; there are: demo")


def test_env_before_the_first_up_says_what_to_do(tmp_path: Path) -> None:
    done = srgan("stack", "env", home=tmp_path)
    assert done.returncode == 1
    assert "srgan stack up" in done.stderr


def test_the_lines_of_env_survive_a_shell_and_find_the_programs(tmp_path: Path) -> None:
    home = tmp_path / "my $HOME's"
    state = create_state(home)
    shell = (
        f'lines="$({SRGAN} stack env)" && eval "$lines" && eval "$lines" && '
        'echo "$PREFECT_API_URL" && echo "$SRGAN_HOME" && echo "$PATH" && type prefect'
    )
    done = subprocess.run(
        ["/bin/sh", "-c", shell],
        env={"PATH": "/usr/bin:/bin", "SRGAN_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    url, found_home, path, _ = done.stdout.splitlines()
    assert url == f"http://127.0.0.1:{state.ports['prefect']}/api"
    assert found_home == str(home)
    assert path.count(str(Path(sys.executable).parent)) == 1


def test_status_of_stopped_services_fails_and_names_each(tmp_path: Path) -> None:
    create_state(tmp_path)
    done = srgan("stack", "status", home=tmp_path)
    assert done.returncode == 1
    assert done.stdout.count("stopped") == 5


def test_status_in_json_names_each_service_and_has_the_same_exit_status(tmp_path: Path) -> None:
    state = create_state(tmp_path)
    done = srgan("stack", "status", "--json", home=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    found = json.loads(done.stdout)
    assert found["home"] == str(tmp_path)
    assert [each["name"] for each in found["services"]] == [
        "s3",
        "prefect",
        "mlflow",
        "ray",
        "worker",
    ]
    assert found["services"][0] == {
        "name": "s3",
        "state": "stopped",
        "page": f"http://127.0.0.1:{state.ports['s3']}",
        "pid": None,
        "uptime_s": 0,
    }


def test_logs_prints_the_last_lines_of_the_service_asked_for(tmp_path: Path) -> None:
    create_state(tmp_path)
    (tmp_path / "logs" / "ray.log").write_text("one\ntwo\nthree\n")
    assert srgan("stack", "logs", "ray", "-n", "2", home=tmp_path).stdout == "two\nthree\n"
    assert "no service 'rye'" in srgan("stack", "logs", "rye", home=tmp_path).stderr


def test_down_with_nothing_up_says_so(tmp_path: Path) -> None:
    done = srgan("stack", "down", home=tmp_path / "none")
    assert (done.returncode, done.stdout) == (0, f"nothing was running in {tmp_path / 'none'}\n")
