"""One of several processes that torchrun would start: runs loops of docs/training.md and writes down what it was shown.

    RANK=0 WORLD_SIZE=2 MASTER_ADDR=… MASTER_PORT=… python tests/ranks.py FOLDER STEP LOOP…

In FOLDER lie `whole` and `killed`, each with a release: a run to the end, and one that ends before a step.
"""

import contextlib
import json
import os
import sys
from pathlib import Path

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


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
