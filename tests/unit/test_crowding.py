"""A recogniser that is full turns new callers away, and takes them again only when it has room."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from virtual_time import VirtualTimeLoop, virtual

from voicebot.channels.node import NodeState
from voicebot.runtime.crowding import (
    ENOUGH_MB,
    LOW_MB,
    PROMPT_S,
    SLOW_S,
    TARGETS,
    Crowding,
    Early,
    Strain,
    targets_for,
)
from voicebot.runtime.readings import Cores, Spending, cores_load, free_memory_mb, typical_lateness_s


@pytest.mark.parametrize(
    ("loads", "full"),
    [
        ([0.5, 0.89, 0.89, 0.89], False),
        ([0.95], False),
        ([0.95, 0.5, 0.95, 0.5, 0.95], False),
        ([0.95, 0.92], True),
        ([1.0, 1.0, 0.8, 0.8, 0.8], True),
        ([1.0, 1.0, 0.7], True),
        ([1.0, 1.0, 0.7, 0.8, 0.7], True),
        ([1.0, 1.0, 0.7, 0.6], False),
    ],
)
def test_only_a_lasting_load_closes_and_only_lasting_room_opens(loads: list[float], full: bool) -> None:
    crowding = Crowding()
    assert [crowding.look(load) for load in loads][-1] is full


@pytest.mark.parametrize(
    ("readings", "strained"),
    [
        pytest.param([(0.5, 0.0)] * 3, False, id="busy, but there is time"),
        pytest.param([(0.7, 0.0)], False, id="one long utterance"),
        pytest.param([(0.7, 0.0)] * 2, True, id="the recogniser has no time"),
        pytest.param([(0.0, 0.05)] * 2, True, id="the node itself has none"),
        pytest.param([(0.7, 0.0)] * 2 + [(0.5, 0.0)] * 3, True, id="not yet easy"),
        pytest.param([(0.7, 0.0)] * 2 + [(0.1, 0.02)] * 3, True, id="late all the same"),
        pytest.param([(0.7, 0.0)] * 2 + [(0.1, 0.0)] * 2, False, id="time again"),
    ],
)
def test_under_load_nothing_is_planned_that_may_be_thrown_away(
    readings: list[tuple[float, float]], strained: bool
) -> None:
    strain = Strain()
    assert [strain.look(*reading) for reading in readings][-1] is strained


@pytest.mark.parametrize(
    ("shares", "of"),
    [
        pytest.param([0.3] * 3, "all", id="there is time"),
        pytest.param([0.9], "all", id="one long slice"),
        pytest.param([0.6] * 2, "likely", id="little time: what probably ends a turn"),
        pytest.param([0.6] * 2 + [0.45] * 3, "likely", id="what that saved is no ease"),
        pytest.param([0.6] * 2 + [0.3] * 2, "all", id="calls have ended"),
        pytest.param([0.8] * 2, "none", id="no time"),
        pytest.param([0.8] * 2 + [0.7] * 3, "none", id="not yet"),
        pytest.param([0.8] * 2 + [0.6] * 2, "likely", id="some again below where admission holds a node"),
    ],
)
def test_the_less_time_a_loop_has_the_fewer_turns_are_planned_early(shares: list[float], of: str) -> None:
    early = Early()
    assert [early.look(share) for share in shares][-1] == of


def test_a_node_whose_recogniser_is_full_has_no_room() -> None:
    node = NodeState(node_id="n", max_calls=2)
    assert not node.full
    node.crowded = True
    assert node.full


@pytest.mark.parametrize(
    ("readings", "full"),
    [
        ([500.0, 100.0], False),  # once is not twice
        ([100.0, 100.0], True),
        ([100.0, 100.0, 200.0, 200.0], True),  # not yet enough
        ([100.0, 100.0, 300.0, 300.0], False),
    ],
)
def test_memory_that_is_left_runs_the_other_way(readings: list[float], full: bool) -> None:
    tight = Crowding(-LOW_MB, -ENOUGH_MB)
    assert [tight.look(-mb) for mb in readings][-1] is full


@pytest.mark.parametrize(
    ("answers_s", "full"),
    [
        ([0.01, 1.0, 0.01, 1.0], False),  # a stall is none
        ([0.5, 0.5], True),
        ([0.5, 0.5, 0.3, 0.3], True),
        ([0.5, 0.5, 0.1, 0.1], False),
    ],
)
def test_an_engine_that_is_slow_to_say_how_it_is_has_no_time_for_callers(
    answers_s: list[float], full: bool
) -> None:
    slow = Crowding(SLOW_S, PROMPT_S)
    assert [slow.look(s) for s in answers_s][-1] is full


@virtual
async def test_one_long_slice_is_no_late_loop() -> None:
    """The median of many looks: what callers feel is a loop that is late most of the time."""

    async def slice_() -> None:
        cast("VirtualTimeLoop", asyncio.get_running_loop()).jump(0.1)

    began = asyncio.create_task(slice_())
    assert await typical_lateness_s(1.0, 0.01) < 0.05
    await began


def test_a_control_groups_memory_counts_where_it_is_less(tmp_path: Path) -> None:
    told = {"max": "1000000000", "current": "900000000", "stat": "anon 1\ninactive_file 50000000\n"}
    for name, text in told.items():
        (tmp_path / f"memory.{name}").write_text(text)
    assert free_memory_mb(tmp_path) == 150.0
    (tmp_path / "memory.max").write_text("max")
    assert free_memory_mb(tmp_path) > 150.0
    assert free_memory_mb(tmp_path / "none") > 150.0


def stat(*cores: tuple[int, int, int]) -> str:
    """``/proc/stat`` after so many busy, niced and idle ticks of each core."""
    lines = [f"cpu{n} {busy} {nice} 0 {idle} 0 0 0 0 0 0" for n, (busy, nice, idle) in enumerate(cores)]
    return "\n".join(["cpu 1 2 3 4 5 6 7 8 9 10", *lines, "intr 1"])


@pytest.mark.parametrize(
    ("there_are", "share"), [(0.5, 0.55), (1.0, 0.55), (1.5, 0.675), (2.0, 0.8), (16.0, 0.8)]
)
def test_of_a_single_core_less_is_used(there_are: float, share: float) -> None:
    """Work waits longer for one core than for two that are as busy."""
    found = targets_for(there_are)
    assert found["cores"] == pytest.approx(share)
    assert {**found, "cores": 0.8} == TARGETS


@pytest.mark.parametrize(
    ("quota", "found"),
    [
        pytest.param(None, (0.9, 2.0), id="all cores that this process may use"),
        pytest.param("max 100000", (0.9, 2.0), id="no quota"),
        pytest.param("50000 100000", (0.25, 0.5), id="half a core may be used, and half of it was"),
        pytest.param("400000 100000", (0.9, 2.0), id="more than the machine has to give"),
    ],
)
def test_of_the_cores_what_anybody_used(tmp_path: Path, quota: str | None, found: tuple) -> None:
    """What gives way is free."""
    now = [100.0]
    proc, group = tmp_path / "stat", tmp_path
    proc.write_text(stat((1000, 0, 1000), (0, 0, 1000), (500, 0, 500)))
    (group / "cpu.stat").write_text("usage_usec 7000000\n")
    if quota is not None:
        (group / "cpu.max").write_text(f"{quota}\n")
    cores = Cores(group, proc, frozenset({0, 1}), lambda: now[0])
    now[0] += 1.0
    proc.write_text(stat((1080, 20, 1000), (10, 30, 1060), (600, 0, 500)))
    (group / "cpu.stat").write_text("usage_usec 7250000\n")
    assert cores.since_last() == pytest.approx(found)
    assert Cores(group, tmp_path / "none", frozenset({0})).since_last() is None


def test_what_our_own_processes_used_and_no_others(tmp_path: Path) -> None:
    now = [100.0]

    def spent(pid: int, ticks: int, command: str = "python\0-m\0engines.host") -> None:
        (tmp_path / str(pid)).mkdir(exist_ok=True)
        (tmp_path / str(pid) / "cmdline").write_text(command)
        fields = " ".join(["S", *["0"] * 10, str(ticks), str(ticks), "0"])
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (a) b) {fields}")

    spending = Spending("engines.host", tmp_path, lambda: now[0])
    spent(1, 100)
    spent(2, 100, "somebody else's")
    assert spending.since_last([1, 2, 3]) == 0.0, "seen for the first time"
    now[0] += 2.0
    spent(1, 150)
    spent(2, 900, "somebody else's")
    assert spending.since_last([1, 2, 3]) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("ours", "used", "load"),
    [
        pytest.param(1.0, 1.0, 0.5, id="nobody else"),
        pytest.param(1.0, 1.5, 1.0 / 1.5, id="others use half a core"),
        pytest.param(0.5, 2.0, 0.5, id="others use all they get: half is ours"),
        pytest.param(0.1, 2.0, 0.1, id="few calls are not the reason: no spiral down"),
        pytest.param(1.0, 0.9, 0.5, id="two clocks"),
    ],
)
def test_what_others_use_leaves_us_half(ours: float, used: float, load: float) -> None:
    assert cores_load(ours, used, 2.0) == pytest.approx(load)


@pytest.mark.parametrize(
    ("change", "busy"),
    [
        ({}, False),
        ({"tight": True}, True),
        ({"late": True}, True),
        ({"crowded": True}, True),
        ({"strained": True}, True),
        ({"accepting": False}, True),
        ({"calls": 2}, True),
    ],
)
def test_what_can_wait_waits_while_calls_need_the_node(change: dict[str, bool | int], busy: bool) -> None:
    assert replace(NodeState(node_id="n", max_calls=2), **change).busy == busy  # type: ignore[arg-type]
