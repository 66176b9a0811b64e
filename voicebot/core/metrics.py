"""Every metric of the server, declared in one place. Names follow Prometheus' habits: base units."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_WRITING_S = (0.001, 0.005, 0.02, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0, 10.0, 15.0)
_HOP_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0, 4.0)
_WORK_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)
_TURN_S = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0)

payments = Counter("voicebot_payments_total", "Card payments that came to an end", ["way", "outcome"])
calls_active = Gauge("voicebot_calls_active", "Calls whose media this node holds")
calls_started = Counter("voicebot_calls_started_total", "Media sessions begun", ["resumed"])
calls_ended = Counter("voicebot_calls_ended_total", "Media sessions over, by how", ["outcome"])
turns = Counter("voicebot_turns_total", "Turns committed", ["input", "action"])
turn_work_s = Histogram(
    "voicebot_turn_work_seconds",
    "Planning and committing one turn, by channel and route; its words follow",
    ["channel", "route"],
    buckets=_WORK_S,
)
turn_latency_s = Histogram(
    "voicebot_turn_latency_seconds",
    "Caller's last voiced sample to first bot audio heard (mark), seconds",
    buckets=_TURN_S,
)
barge_ins = Counter("voicebot_barge_ins_total", "Answers cut by the caller")
overlaps = Counter(
    "voicebot_overlaps_total",
    "Sounds over the bot that silenced it, by what they were; all but interruption are false pauses",
    ["verdict"],
)
overlap_decided_s = Histogram(
    "voicebot_overlap_decided_seconds",
    "The bot silenced by a sound to the decision what it was, seconds",
    buckets=(0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.2, 2.0),
)
not_heard = Counter("voicebot_not_heard_total", "Speech without usable words, by reason", ["reason"])
not_heard_rungs = Counter(
    "voicebot_not_heard_rungs_total",
    "What was tried after speech without usable words: rephrase, keypad, person",
    ["reason", "rung"],
)
engine_load = Gauge("voicebot_engine_load", "Busy share of an engine's threads, 0..1", ["engine"])
engine_down = Counter("voicebot_engine_down_total", "Engine requests that failed", ["engine"])
eager_offers = Counter("voicebot_eager_offers_total", "Words so far offered for planning early", ["verdict"])
eager_plans = Counter(
    "voicebot_eager_plans_total", "Early plans by how they ended; all but kept are waste", ["fate"]
)
eager_alive = Gauge("voicebot_eager_plans_alive", "Early plans under way or waiting to be taken")
eager_wasted_s = Counter(
    "voicebot_eager_wasted_seconds_total", "Planning time of early plans that were thrown away, seconds"
)
eager_wasted_tokens = Counter(
    "voicebot_eager_wasted_tokens_total", "Tokens in and out of models for early plans that were thrown away"
)
eager_wasted_usd = Counter(
    "voicebot_eager_wasted_dollars_total", "Their cost, where prices are known (also part of the writers')"
)
held_clauses = Counter(
    "voicebot_held_clauses_total",
    "First clauses synthesised before the turn ended, by what became of them",
    ["fate"],
)
held_wasted_s = Counter(
    "voicebot_held_wasted_seconds_total", "Sound that was synthesised early and thrown away, seconds"
)
held_alive = Gauge("voicebot_held_clauses_alive", "First clauses that are held or being synthesised early")
turn_hop_s = Histogram(
    "voicebot_turn_hop_seconds",
    "One hop of a turn as heard, by its name; early: the turn was planned before it ended",
    ["hop", "early"],
    buckets=_HOP_S,
)
stale_plans = Counter("voicebot_stale_plans_total", "Plans that lost the race for their turn")
turns_to_person = Counter("voicebot_turns_to_person_total", "Turns that failed to a person", ["reason"])
refusals = Counter("voicebot_refusals_total", "Requests and sockets that were refused", ["reason"])
features = Counter(
    "voicebot_customer_features_total", "What was asked about customers", ["feature", "outcome"]
)
chat_messages = Counter("voicebot_chat_messages_total", "Chat messages, by what became of them", ["outcome"])
handoffs = Counter("voicebot_handoffs_total", "Conversations given to a person", ["trigger"])
handoff_deliveries = Counter(
    "voicebot_handoff_deliveries_total",
    "Tries to tell a system outside of a handoff's step, by what came of them",
    ["connector", "outcome"],
)
handoff_summary_s = Histogram(
    "voicebot_handoff_summary_seconds",
    "A handoff's summary by the language model; fell back: the composed one stayed",
    ["outcome"],
    buckets=_WRITING_S,
)
assist_offers = Counter(
    "voicebot_assist_offers_total", "Suggestions shown to people who speak with callers, by kind", ["kind"]
)
assist_marks = Counter(
    "voicebot_assist_marks_total", "What they made of them: used, not useful", ["kind", "mark"]
)
assist_search_s = Histogram(
    "voicebot_assist_search_seconds", "Searching the articles for what is said to a person", buckets=_HOP_S
)
assist_board_s = Histogram(
    "voicebot_assist_board_seconds", "Making the suggestions of one conversation, in a thread", buckets=_HOP_S
)
drafts_waiting = Gauge("voicebot_drafts_waiting", "Drafts on whose approval a caller waits now")
drafts_oldest_s = Gauge(
    "voicebot_drafts_oldest_seconds", "How long the oldest of them has waited; 0: none does"
)
drafts_day = Gauge(
    "voicebot_drafts_day", "Drafts of the last 24 hours, by kind and what became of them", ["kind", "outcome"]
)
transfer_states = Counter("voicebot_transfer_states_total", "Steps of warm transfers", ["state"])
transfer_ringing_s = Histogram(
    "voicebot_transfer_ringing_seconds",
    "The turn that hands over to the first person's phone ringing, seconds",
    buckets=(0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 40.0),
)
transfer_bridged_s = Histogram(
    "voicebot_transfer_bridged_seconds",
    "The turn that hands over to caller and person speaking to each other, seconds",
    buckets=(5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0),
)
talk_steps = Counter(
    "voicebot_talk_steps_total", "Steps of talks of agents at a desk with callers, by step", ["step"]
)
talk_begun_s = Histogram(
    "voicebot_talk_begun_seconds",
    "An agent takes a caller at the desk to both hearing each other, seconds",
    buckets=(0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 40.0),
)
talks_active = Gauge("voicebot_talks_active", "Callers on this node whom an agent at a desk has")
talk_frames_dropped = Counter(
    "voicebot_talk_frames_dropped_total", "Sound of an agent dropped, by why", ["why"]
)
triggers = Counter("voicebot_triggers_total", "Turns that went to a person, by trigger", ["trigger"])
trigger_s = Histogram(
    "voicebot_trigger_seconds",
    "First sign of risk to handoff, seconds; 0 where the trigger was the first sign",
    ["trigger"],
    buckets=(0.5, 1, 2, 5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800),
)
machine_calls = Gauge("voicebot_machine_calls", "Calls of all nodes of this machine, also those just let in")
machine_places = Gauge("voicebot_machine_places", "Calls that all nodes of this machine take together")
machine_waiting = Gauge("voicebot_machine_waiting", "Callers who hear music until this machine has room")
no_room = Gauge("voicebot_no_room", "1: no further call is taken, by what there is not enough of", ["reason"])
tasks = Gauge("voicebot_tasks", "Tasks of the node's event loop; with no call under way always about as many")
loop_lag_s = Gauge("voicebot_loop_lag_seconds", "Worst lateness of the event loop in the last 5 s")
writings = Counter(
    "voicebot_writings_total",
    "Written answers, by the route policy asked for, the route that wrote, and how it ended",
    ["asked", "route", "outcome"],
)
writing_s = Histogram(
    "voicebot_writing_seconds", "One writer's answer, from its beginning", ["route"], buckets=_WRITING_S
)
writing_first_token_s = Histogram(
    "voicebot_writing_first_token_seconds", "One writer's first token", ["route"], buckets=_WRITING_S
)
writing_tokens = Counter("voicebot_writing_tokens_total", "Tokens in and out", ["route", "direction"])
writing_cost_usd = Counter("voicebot_writing_cost_dollars_total", "Cost where prices are known", ["route"])
writing_fallbacks = Counter("voicebot_writing_fallbacks_total", "Writers given up", ["route", "failure"])
guard_readings = Counter(
    "voicebot_guard_readings_total",
    "Texts from outside that the input guard read, by source, verdict and kind",
    ["source", "verdict", "kind"],
)
guard_blocks = Counter(
    "voicebot_guard_blocks_total", "Clauses that the output guard stopped before audio", ["reason"]
)
guard_customers = Gauge("voicebot_guard_identifiers", "Customers' identifiers that the output guard knows")
writer_open = Gauge("voicebot_writer_open", "1 while a failing writer is left alone", ["writer"])
live_readers = Gauge("voicebot_live_readers", "Readers of live transcripts on this node", ["kind"])
live_readers_left = Counter(
    "voicebot_live_readers_left_total", "Readers of live transcripts that took too long", ["kind"]
)
legs_active = Gauge("voicebot_legs_active", "Legs of conferences that are listened to", ["leg"])
leg_lines = Counter("voicebot_leg_lines_total", "Lines heard on legs of conferences", ["leg"])
kpi = Gauge(
    "voicebot_kpi",
    "A figure of docs/outcomes.md over whole days up to today: 0..1, seconds or 1..5; alike on every node",
    ["figure", "window"],
)
kpi_cases = Gauge("voicebot_kpi_cases", "Of how many cases that figure is made", ["figure", "window"])
kpi_alarm = Gauge(
    "voicebot_kpi_alarm", "1 while that figure is below or above its target", ["figure", "window", "side"]
)
