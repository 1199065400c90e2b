"""A stream of small tasks in processes of their own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from rs_gpt4v_conversion.errors import ConversionError, UsageError
from rs_gpt4v_conversion.workers import in_order


def slowly_doubled(number: int) -> int:
    time.sleep(0.002 * (number % 3))  # so that later tasks are done before earlier ones
    if number < 0:
        raise UsageError(f"{number} is below zero")
    if number == 1000:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def test_results_come_in_the_order_of_the_tasks_and_tasks_are_not_taken_far_ahead() -> None:
    taken = 0

    def tasks() -> Iterator[int]:
        nonlocal taken
        while taken < 60:
            taken += 1
            yield taken

    results = []
    for result in in_order(slowly_doubled, tasks(), 2, together=3):
        results.append(result)
        assert taken <= len(results) + 2 * 2 * 3 + 3
    assert results == [2 * number for number in range(1, 61)]
    assert list(in_order(slowly_doubled, iter([3, 1]), 1)) == [6, 2]


def test_an_error_of_a_task_is_raised_and_a_killed_worker_is_said() -> None:
    results = in_order(slowly_doubled, [1, 2, -1, *range(50)], 2, together=2)
    assert [next(results), next(results)] == [2, 4]
    with pytest.raises(UsageError, match="-1 is below zero"):
        next(results)
    with pytest.raises(ConversionError, match="a worker process was killed"):
        list(in_order(slowly_doubled, [1, 1000, *range(50)], 2, together=2))


PROGRAM = """
import multiprocessing
from test_workers import slowly_doubled
from rs_gpt4v_conversion.workers import in_order

if __name__ == "__main__":
    results = in_order(slowly_doubled, iter(int, 1), 2)
    next(results)
    print(*(process.pid for process in multiprocessing.active_children()), flush=True)
    for result in results:
        pass
"""


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environment = os.environ | {"PYTHONPATH": ":".join(sys.path)}
    process = subprocess.Popen([sys.executable, str(program)], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    workers = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
    assert len(workers) == 2
    process.send_signal(signal.SIGKILL)
    process.stdout.close()
    process.wait()
    _, left = psutil.wait_procs(workers, timeout=20)
    assert not left
