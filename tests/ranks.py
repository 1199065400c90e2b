"""The processes that torchrun would start: run loops of docs/training.md and write down what they were shown.

    WORLD_SIZE=2 MASTER_ADDR=… MASTER_PORT=… python tests/ranks.py FOLDER STEP LOOP…

In FOLDER lie `whole` and `killed`, each with a release: a run to the end, and one that ends before a step. The ranks
are forks of a process that has imported what they need, as that takes longer than their work.
"""

import contextlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import torch

import loops


def main(folder: Path, step: int, names: list[str]) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    init, seen = torch.distributed.init_process_group, {}
    # the first line of a loop, which can be had once a process
    torch.distributed.init_process_group = lambda: None
    for name in names:
        for part, until in (("whole", -1), ("killed", step)):
            os.chdir(folder / part)
            model = loops.model_for(name, until)
            with contextlib.suppress(loops.KilledError):
                loops.run(name, model, **loops.names_of(name))
            seen[f"{name} {part}"] = model.seen
            torch.distributed.barrier()
    torch.distributed.init_process_group = init
    torch.distributed.destroy_process_group()
    (folder / f"{os.environ['RANK']}.json").write_text(json.dumps(seen))


def fork(rank: int, *arguments: Any) -> int:
    """Start a rank: its process id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
        main(*arguments)
        code = 0
    except BaseException:  # noqa: BLE001  # a fork must not go on as its parent would
        traceback.print_exc()
    os._exit(code)


if __name__ == "__main__":
    for name in sys.argv[3:]:
        loops.names_of(name)
    ranks = [fork(rank, Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]) for rank in range(2)]
    sys.exit(sum(os.waitpid(rank, 0)[1] for rank in ranks) > 0)
