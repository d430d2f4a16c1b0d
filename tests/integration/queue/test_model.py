"""Random histories: the scripts do what the model says, and no message is lost or sent twice."""

import pytest

from tests.integration.queue.rig import Rig
from tests.integration.queue.simulator import Simulator


@pytest.mark.parametrize("seed", range(8))
async def test_scripts_agree_with_the_model(rig: Rig, seed: int) -> None:
    simulator = Simulator(rig, seed)
    for _ in range(400):
        await simulator.step()
    await simulator.drain()
    await simulator.check_end()
