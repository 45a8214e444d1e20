"""The catalogue of races: what has gone wrong in this field, and the test that says it does not here.

Its lines are those of the dialers of Elastix and Issabel (CHANGELOG of IssabelFoundation/callcenter), then
their kin that users of other systems, which are named, have reported, then what the order of Asterisk's own
events and lists makes possible. Each that applies has its tests; one that does not has its reason.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

TESTS = Path(__file__).parent.parent
_TEST = re.compile(r"^ *(?:async )?def (test_\w+)", re.MULTILINE)


class Line(NamedTuple):
    """What went wrong; `tests` by name, with the file below `tests` where it is not of races; or `why`."""

    says: str
    tests: tuple[str, ...] = ()
    why: str = ""


CATALOGUE = {
    "The link and its enumerations": (
        Line(
            "an enumeration that a lost link cut off blocks those after it",
            (
                "test_an_enumeration_that_the_link_cut_off_is_discarded",
                "test_a_first_enumeration_that_is_cut_off_is_begun_anew",
                "test_a_reconcile_that_is_cut_off_blocks_no_later_one",
                "test_a_late_enumeration_is_not_taken_for_the_next_one",
            ),
        ),
        Line(
            "a request in the middle of a disconnection crashes the reader of events",
            (
                "test_a_reconcile_asked_for_while_the_link_goes_down_is_answered",
                "test_a_command_whose_answer_the_link_lost_is_told_as_such",
                "test_an_action_that_the_lost_link_left_open_answers_nobody_later",
            ),
        ),
        Line(
            "a reconnect waits for credentials or a start that nobody sends again",
            ("test_every_connection_logs_in_and_lists_anew", "test_two_links_at_once_do_not_mix"),
        ),
        Line(
            "the login in memory is out of step with the PBX",
            ("test_a_login_out_of_step_with_the_pbx_is_found", "test_her_friendly_name_hides_no_membership"),
        ),
        Line(
            "a member whom the enumeration does not mention stays as she was",
            ("test_who_is_not_in_the_enumeration_is_logged_out",),
        ),
        Line(
            "an enumeration during a login undoes the login",
            (
                "test_a_login_during_the_enumeration_is_not_undone_by_it",
                "test_a_logout_during_the_enumeration_is_not_undone_by_it",
                "test_a_pause_older_than_the_list_is_not_the_last_word",
            ),
        ),
        Line(
            "items of an enumeration are taken from somebody else's, or when none is under way",
            (
                "test_a_late_enumeration_is_not_taken_for_the_next_one",
                "unit/ctid_asterisk/test_session.py::test_an_item_before_its_list",
            ),
        ),
        Line(
            "two snapshots of one thing disagree, and the older is believed",
            (
                "test_events_that_wait_behind_a_held_list_are_not_lost",
                "unit/ctid_asterisk/test_resync.py::test_what_differs_once_is_left_alone",
                "unit/ctid_asterisk/test_resync.py::test_what_an_event_has_touched_is_not_judged",
            ),
        ),
        Line(
            "after a restart of the PBX calls and agents are stuck as they were",
            (
                "test_after_a_restart_of_the_pbx_nothing_of_before_is_left",
                "e2e/test_survival.py::test_asterisk_killed_and_restarted",
            ),
        ),
        Line(
            "the startup time is told as 1969, and no restart is noticed",
            (
                "test_a_members_time_of_zero_is_no_time",
                "test_an_event_stamped_before_the_pbx_knew_the_time_is_of_now",
                "test_a_channel_as_old_as_the_epoch_is_of_now",
                "test_a_wait_as_long_as_the_epoch_is_of_now",
            ),
        ),
        Line(
            "one truth in several processes: the queues' members are kept twice and differ",
            (
                "unit/test_hub.py::test_a_good_command_changes_no_state",
                "unit/state/test_store.py::test_the_updates_replayed_are_the_store",
            ),
        ),
        Line(
            "a flood of events keeps everything else from its turn",
            (
                "unit/test_hub.py::test_who_feeds_too_fast_waits",
                "unit/test_hub.py::test_readers_have_a_turn_while_a_large_snapshot_is_told",
                "unit/ctid_asterisk/test_driver.py::test_one_resync_for_a_burst_of_reloads",
            ),
        ),
    ),
    "Originate, beginnings and ends": (
        Line(
            "the hangup comes before the reply to the originate",
            (
                "test_a_hangup_before_the_reply_to_originate",
                "test_a_hangup_of_her_phone_before_the_reply_to_originate",
                "test_the_end_of_the_call_before_the_reply_to_originate",
                "test_a_hangup_of_her_phone_before_the_reply_to_a_switch",
                "test_the_end_of_the_call_before_the_reply_to_a_switch",
                "test_an_originate_that_is_declined_leaves_no_call",
            ),
        ),
        Line(
            "the reply says success, and the channel has hung up",
            ("test_a_good_reply_to_originate_of_a_channel_that_hung_up_is_no_call",),
        ),
        Line(
            "bridge and queue come before the reply to the originate, and wait for it",
            (
                "test_a_bridge_before_the_reply_to_originate_is_told_at_once",
                "test_a_queue_before_the_reply_to_originate_is_told_at_once",
            ),
        ),
        Line(
            "a late beginning overwrites the end",
            ("test_no_event_after_the_hangup_brings_the_call_back",),
        ),
        Line(
            "the cause, or the figures, come after the call was forgotten",
            (
                "test_the_cause_is_told_with_the_end_and_not_after_it",
                "test_figures_after_the_hangup_are_of_the_call_that_ended",
            ),
        ),
        Line(
            "the end of a helper channel is taken for the end of the call, or that one is missed",
            ("test_the_end_of_a_local_half_is_no_end_of_the_call",),
        ),
        Line("two calls of one number are mixed up", ("test_two_calls_of_one_number_are_two_calls",)),
        Line(
            "a call bridged several times leaves something behind",
            (
                "test_entering_the_bridge_again_is_one_conversation",
                "test_leaving_a_bridge_after_entering_the_next_leaves_the_conversation",
            ),
        ),
        Line(
            "who times out in a queue and is sent on without a hangup is not counted, or twice",
            (
                "test_a_caller_who_overflows_into_another_queue_has_left_the_first_once",
                "test_a_caller_who_gives_up_is_counted_once_in_any_order",
            ),
        ),
        Line(
            "an agent is shown in a call that she has transferred",
            (
                "test_a_transfer_frees_the_agent_before_the_customers_call_is_over",
                "e2e/test_state.py::test_blind_transfer_by_a_local_member",
            ),
        ),
        Line(
            "an agent is stuck on hold when the customer hangs up, in the parking lot as well",
            (
                "test_a_customer_who_hangs_up_on_hold_frees_the_agent",
                "e2e/test_scenarios_moving.py::test_park_given_up",
            ),
        ),
        Line(
            "predictive dialling: pending calls out of count, retries, schedules, campaigns that end",
            why="ctid dials for nobody: it has no campaigns, no lists and no retries",
        ),
        Line(
            "database deadlocks, lost connections of the database, audits left open by a crash",
            (
                "unit/history/test_keeper.py::test_ledger_that_cannot_be_written",
                "e2e/test_history.py::test_killed_in_the_middle_of_calls",
                "e2e/test_survival.py::test_session_that_ended_while_ctid_was_away",
            ),
        ),
    ),
    "What an agent is": (
        Line(
            "paused hides that she is on a call",
            ("test_on_call_takes_priority_over_paused", "e2e/test_agents.py::test_pause_while_talking"),
        ),
        Line(
            "a pause in a call breaks what can be done with the call",
            ("test_a_pause_in_a_call_takes_nothing_of_the_call_from_her",),
        ),
        Line(
            "a resumption by one ends the pause of another: it may end only with the last of them",
            (
                "test_the_end_of_after_call_work_leaves_her_break",
                "test_the_end_of_her_break_leaves_after_call_work",
                "test_a_break_in_one_queue_is_not_ended_by_work_in_another",
                "e2e/test_agents.py::test_whoever_acts_by_hand_wins",
            ),
        ),
        Line(
            "a new membership of a paused agent is not paused, and brings her calls",
            (
                "test_a_new_membership_inherits_the_pause",
                "test_a_new_membership_inherits_after_call_work",
                "e2e/test_agents.py::test_a_dynamic_member_comes_and_goes",
            ),
        ),
        Line(
            "the same, where somebody else adds her to a queue",
            why="a break is then the PBX's to keep: ctid shows her ready in that queue, which is the truth, "
            "and commands nothing that nobody asked for; after-call work, which is its own, it does enforce",
        ),
        Line(
            "a pause is counted once for each console that gave it",
            (
                "test_two_who_pause_her_at_once_are_one_pause",
                "unit/agents/test_service.py::test_what_is_so_already_is_not_sent",
            ),
        ),
        Line(
            "her state changes between the check and the act",
            (
                "test_a_pause_decided_by_a_state_that_has_changed_is_refused",
                "test_a_pause_that_the_pbx_refuses_is_shown_nowhere",
                "unit/agents/test_service.py::test_commands_to_one_agent_wait_for_each_other",
            ),
        ),
        Line(
            "a login waits for QueueMemberAdded of one who is a member already",
            ("test_a_login_of_who_is_a_member_already_waits_for_no_event",),
        ),
        Line("pauses and reservations outlive the logout", ("test_logging_out_forgets_pause_and_work",)),
        Line(
            "a logged out agent is stuck with a call",
            (
                "test_a_logout_in_a_call_shows_when_the_call_is_over",
                "e2e/test_scenarios_members.py::test_member_removed_in_a_call",
            ),
        ),
        Line("who is hung up is shown as logged out", ("test_the_hangup_of_her_call_logs_nobody_out",)),
        Line(
            "a login that is broken off leaves her in between",
            (
                "test_a_pool_agent_whose_login_is_broken_off_is_not_left_standing",
                "e2e/test_scenarios_members.py::test_pool_agent_hangs_up",
            ),
        ),
        Line(
            "her phone is unregistered while she is logged in, or in a call",
            (
                "test_a_phone_that_is_unplugged_in_a_call_frees_nobody_before_its_end",
                "e2e/test_scenarios_members.py::test_member_unplugged_in_a_call",
            ),
        ),
        Line(
            "Name and Location of a member are taken for each other",
            ("test_her_friendly_name_hides_no_membership",),
        ),
        Line(
            "the penalty of a dynamic member is lost when she logs in again",
            ("e2e/test_agent_commands.py::test_in_and_out_of_a_queue",),
        ),
    ),
    "Their kin in other systems": (
        Line(
            "what happened while disconnected is never known (ari4java)",
            (
                "test_a_link_that_was_away_for_any_part_of_a_call_sees_it_as_one_that_was_there",
                "test_calls_that_end_while_the_link_is_down_end_at_the_reconnect",
                "test_a_call_that_ends_while_the_link_is_down_is_over_at_the_reconnect",
                "test_a_call_that_ends_while_a_cut_reconcile_is_away",
                "test_events_that_were_cut_off_are_made_up_for",
                "e2e/test_lab_abilities.py::test_a_cut_line_is_noticed_and_mended",
            ),
        ),
        Line(
            "an action before the login is accepted, a wait of a day (AsterNET, NodeJS-AsteriskManager)",
            (
                "unit/ctid_asterisk/test_session.py::test_events_before_the_login_are_no_facts",
                "unit/test_link.py::test_waits_grow_to_the_cap_and_never_over_it",
            ),
        ),
        Line(
            "the end of a spied call is told when the spy's leg ends (Asterisk)",
            ("test_the_end_of_a_call_does_not_wait_for_the_supervisors_leg",),
        ),
        Line(
            "an agent in a call that nothing bears out (OpenSIPS, VICIdial)",
            (
                "test_a_queue_that_goes_on_believing_in_a_call_is_not_believed",
                "unit/state/test_suspicion.py::test_an_agent_whom_her_queue_has_in_a_call_that_is_not",
            ),
        ),
        Line(
            "a member is left answered when the caller goes at the answer (FreeSWITCH)",
            (
                "test_the_caller_who_hangs_up_at_the_answer_leaves_nobody_busy",
                "e2e/test_scenarios_queues.py::test_queue_race_answer_and_hangup",
            ),
        ),
        Line(
            "two answer at once, and one of them is dumped (Asterisk)",
            (
                "test_of_two_who_answer_at_once_one_has_the_call",
                "test_an_agent_who_hangs_up_before_the_bridge_gives_the_caller_back",
            ),
        ),
        Line(
            "agents stuck in Receiving, Trying or Reserved (FreeSWITCH)",
            why="there is no driver for it yet; the state is the core's, and is held by its invariants",
        ),
        Line(
            "the reason of a pause is lost, or stays after it (Asterisk, QPanel)",
            (
                "unit/ctid_asterisk/test_members.py::test_a_pauses_reason_is_kept_while_it_lasts",
                "e2e/test_agents.py::test_the_reason_changes_while_paused",
            ),
        ),
        Line(
            "after-call work ends early, of one in many queues (Asterisk)",
            (
                "test_another_status_in_after_call_work_ends_it_in_no_queue",
                "unit/ctid_asterisk/test_members.py::test_the_last_call_never_goes_back",
            ),
        ),
        Line(
            "a Local channel that stays, or is optimised away (FreePBX)",
            (
                "unit/ctid_asterisk/test_normalize.py::test_her_phone_hangs_up_and_the_pair_stays",
                "e2e/test_scenarios_queues.py::test_queue_local_optimised",
            ),
        ),
        Line(
            "the id of a live call changes as two become one (NethServer)",
            (
                "unit/state/test_calls.py::test_two_calls_that_become_one_say_so",
                "unit/ctid_asterisk/test_channels.py::test_a_later_event_of_before_takes_nothing_back",
            ),
        ),
        Line(
            "a reload tells everything anew (Asterisk)",
            ("e2e/test_scenarios_members.py::test_reload_in_a_call",),
        ),
    ),
    "What the order of events and lists makes possible": (
        Line(
            "events during the enumeration, older than its lists or newer",
            (
                "test_a_link_that_begins_at_any_moment_of_a_call_sees_it_as_one_that_was_there",
                "test_no_event_during_the_enumeration_brings_a_call_back",
                "test_what_rings_is_found_by_the_enumeration_alone",
                "test_a_missed_call_during_the_enumeration_is_told_once",
            ),
        ),
        Line(
            "an offer, or a call, that is over before the lists, of channels older than the link",
            (
                "test_an_offer_that_ends_during_the_enumeration_is_not_kept",
                "test_a_call_that_is_answered_and_ends_during_the_enumeration_is_not_kept",
            ),
        ),
        Line(
            "things happen between one list and the next",
            (
                "test_a_hangup_between_two_lists_leaves_no_ghost",
                "test_what_happens_between_two_lists_is_in_the_snapshot",
            ),
        ),
        Line("an event comes twice", ("test_every_event_heard_twice_makes_the_same_floor",)),
        Line("an older state comes late", ("test_an_older_state_after_the_answer_takes_nothing_back",)),
        Line(
            "a channel is renamed, and the event overtakes others",
            (
                "test_a_channel_renamed_in_a_call_is_the_same_leg",
                "test_a_rename_that_overtakes_its_channel_is_mended_by_a_reconcile",
            ),
        ),
        Line(
            "a membership is removed while it rings",
            (
                "test_a_membership_removed_while_it_rings",
                "test_a_membership_that_comes_back_while_it_rings_has_the_offer",
            ),
        ),
        Line(
            "a slow reader is cut off within an event",
            (
                "test_events_that_were_cut_off_are_made_up_for",
                "unit/ctid_asterisk/test_driver.py::test_the_end_in_the_middle_of_an_event",
            ),
        ),
    ),
}
LINES = [line for lines in CATALOGUE.values() for line in lines]


@cache
def named_in(path: Path) -> frozenset[str]:
    """The names of the tests in a file."""
    return frozenset(_TEST.findall(path.read_text()))


def of_races() -> Iterator[Path]:
    """The files whose tests are all of the catalogue."""
    yield from (path for path in (TESTS / "races").glob("test_*.py") if path != Path(__file__))
    yield TESTS / "e2e" / "test_races.py"


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.says)
def test_each_line_has_its_tests_or_a_reason(line: Line) -> None:
    """And each test that it names is there."""
    assert bool(line.tests) != bool(line.why)
    for name in line.tests:
        path, _, test = name.rpartition("::")
        files = [TESTS / path] if path else list(of_races())
        assert any(test in named_in(file) for file in files), f"there is no {name}"


def test_each_test_of_races_is_of_a_line() -> None:
    """What is proved is said."""
    named = {name for line in LINES for name in line.tests}
    proved = {test for file in of_races() for test in named_in(file)}
    assert proved - named == set()
    assert len({line.says for line in LINES}) == len(LINES)
