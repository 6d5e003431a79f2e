#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""mutate.py COMPILER ROOT MODEL...: checks that the models notice every wrong ordering and missing step.

Weakens, one at a time, each end of each ordering edge that is marked in the files that the models include
unchanged, and leaves out steps of the protocols. Each such mutant must make a model of that file fail, within
ten minutes. Lists the mutants and the models that caught them; the exit status is 1 if one survives. With
ONLY=FILE,... in the environment, it tries only the mutants of these files.
"""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

compiler, root, *models = sys.argv[1:]
models = {pathlib.Path(model).stem: pathlib.Path(model).resolve() for model in models}
# The files, and the models that check them, the cheapest first.
FILES = {
    "lib/core/ring.h": ["tail", "shared", "owned", "contest"],
    "lib/core/park.h": ["sleep", "close", "contest"],
    "lib/core/completion.h": ["completion", "give_up"],
    "lib/core/group.h": ["group"],
    "lib/core/group.c": ["group"],
    "lib/calls/group.c": ["group"],
    "lib/core/budget.h": ["budget"],
    "lib/core/budget.c": ["budget"],
    "lib/base/latch.h": ["latch"],
    "lib/base/mutex.h": ["mutex"],
    "lib/core/seat.h": ["seat", "pending"],
    "lib/core/grace_thread.h": ["grace"],
    "lib/core/wait.h": ["wait"],
    "lib/core/waiters.h": ["wait", "budget", "watch"],
    "lib/core/wait.c": ["wait"],
    "lib/core/queue.h": ["shutdown", "handover"],
    "lib/face/guard.c": ["guard"],
    "lib/face/ref.c": ["ref"],
    "include/defer_drop/ref.h": ["ref"],
    "lib/core/record.h": ["record"],
    "lib/core/age.h": ["age"],
    "lib/core/times.h": ["costs"],
    "lib/core/costs.h": ["costs"],
    "lib/core/watchdog.c": ["watchdog"],
    "lib/calls/completion.c": ["completion", "give_up"],
    "lib/core/grace.c": ["grace"],
    "lib/core/lane.c": ["handover"],
    "lib/calls/push.c": ["close"],
    "lib/core/run.c": ["wait", "turns"],
    "lib/life/closing.c": ["shutdown", "give_up", "stop"],
    "lib/life/stop.c": ["stop"],
    "lib/core/directory.h": ["directory"],
    "lib/base/handler.h": ["handler"],
    "lib/calls/drain.c": ["pending", "caller"],
    "lib/calls/options.c": ["budget"],
    "lib/core/watch.c": ["watch"],
    "lib/calls/backlog.c": ["watch"],
    "lib/core/worker.c": ["sleep", "pending", "stop"],
    "lib/pool/depot.h": ["depot"],
    "lib/pool/cache.c": ["cache"],
    "lib/pool/list.c": ["cache"],
    "lib/pool/take.c": ["cache"],
    "lib/pool/list.c": ["cache"],
}

# Steps that are left out. Each has the file, a label, the lines in the file, and the lines that replace them; and
# the models that must catch it, if they are not those of the file.
STEPS = [
    ("lib/core/group.h", "a drop of an abandoned group is destroyed", "while (!(before & DD_GROUP_ABANDONED))", "while (true)"),
    ("lib/core/group.h", "the consumer does not say that a destructor runs", "&before, before | DD_GROUP_RUNS,", "&before, before,"),
    ("lib/core/group.h", "a group that was closed takes drops",
     "if (!maker && (before & (DD_GROUP_CLOSED | DD_GROUP_ABANDONED)))", "if (false)"),
    ("lib/core/group.c", "a consumer that ends the last drop wakes nobody",
     "if (dd_group_leave(group, word, dd_group_runs(group))) dd_group_wake(queue, group);",
     "dd_group_leave(group, word, dd_group_runs(group));"),
    ("lib/core/run.c", "a consumer that ends a slice does not say so", "dd_group_pause(group))", "false)", ["group"]),
    ("lib/core/run.c", "a consumer that ends a slice wakes nobody",
     "dd_group_pause(group)) dd_group_wake(queue, group);", "dd_group_pause(group)) return;", ["group"]),
    ("lib/core/group.c", "a flush begins no phase", "begin_phase(group); }", "}"),
    ("lib/core/group.c", "a flush begins a phase that is not over",
     "if (dd_group_look(group) & other) return other;", ""),
    ("lib/core/group.c", "a phase begins before those have been woken that wait for it",
     "wake_due(group->queue, group); /* Relaxed", "/* Relaxed"),
    ("lib/core/group.c", "a thread that waits leaves no mark",
     "atomic_fetch_or_explicit( &self->group->word, DD_GROUP_AWAITED, memory_order_relaxed);",
     "atomic_load_explicit(&self->group->word, memory_order_relaxed);"),
    ("lib/core/group.c", "a thread that waits does not look again", "if (!(word & self->bits)) {", "if (false) {"),
    ("lib/core/group.c", "a thread that has waited stays in the list",
     "dd_waiters_remove(&group->queue->group_waiters, &self->waiter);", ";"),
    ("lib/core/group.c", "a thread that has waited takes the mark of others away",
     "if (((const struct dd_group_waiter *)at)->group == group) return;", ""),
    ("lib/core/group.c", "the memory of a group is used again while drops are out",
     "if (dd_group_look(group) & DD_GROUP_PENDING) continue;", ""),
    ("lib/core/group.c", "a thread that abandons does not wait until all is told",
     "|| dd_plain_load(&group->told);", ";"),
    ("lib/core/group.c", "a member is freed by whoever has read it",
     "memory_order_acq_rel) == uses)", "memory_order_acq_rel))"),
    ("lib/calls/group.c", "a group that ends is not closed", "dd_group_set(group, DD_GROUP_CLOSED);", ""),
    ("lib/calls/group.c", "a group that is abandoned is not marked", "dd_group_set(group, DD_GROUP_ABANDONED);", ""),
    ("lib/core/costs.h", "a place changes hands and no reader sees it",
     "atomic_store_explicit(&cost->number, number, memory_order_relaxed);", ""),
    ("lib/core/costs.h", "a place keeps the times of the function before", "dd_times_clear(&cost->times);", ""),
    ("lib/core/costs.h", "a reader does not look at the number again",
     "if (!(number % 2) && atomic_load_explicit(&cost->number, memory_order_relaxed) == number) return destroy;",
     "if (!(number % 2))\n\t\t\treturn destroy;"),
    ("lib/core/age.h", "the time of a mark is shown after its position",
     "atomic_store_explicit(&age->before_ns, mark->before_ns, memory_order_relaxed); /* MARKED->: without release this position could be read with the time of the mark before. */ atomic_store_explicit(&age->position, mark->position, memory_order_release);",
     "atomic_store_explicit(&age->position, mark->position, memory_order_release);\n\tatomic_store_explicit(&age->before_ns, mark->before_ns, memory_order_relaxed);"),
    ("lib/core/age.h", "a position that has passed the mark proves something",
     "return dd_is_before(done, position) ? before_ns : 0;", "return before_ns;"),
    ("lib/core/age.h", "a mark is not shown", "if (age->count == 1) dd_age_publish(age);", ""),
    ("lib/pool/list.c", "a thread that frees a pool waits for no visitor",
     "while ((visitors = atomic_load_explicit(&pool->visitors, memory_order_acquire)))",
     "while (false && (visitors = atomic_load_explicit(&pool->visitors, memory_order_acquire)))"),
    ("lib/pool/list.c", "a thread that visits a pool is not counted",
     "if (pool) atomic_fetch_add_explicit(&pool->visitors, 1, memory_order_relaxed);", ""),
    ("lib/pool/list.c", "a thread that leaves a pool wakes nobody", "dd_futex_wake(&pool->visitors, 1);", ""),
    ("lib/pool/cache.c", "a thread that ends takes its magazines along", "put_away(pool, previous);", ""),
    ("lib/pool/cache.c", "a thread that frees leaves what is in the threads' magazines", "take_from_threads(pool);", ""),
    ("lib/pool/take.c", "a thread that takes without a cache keeps the rest",
     "dd_depot_return(&pool->depot, magazine); dd_pool_count_here(", "dd_pool_count_here("),
    ("lib/pool/take.c", "an empty magazine is lost",
     "if (cache->previous) dd_stack_put(&pool->depot.empty, cache->previous);", ""),
    ("lib/pool/depot.h", "a thread that takes all leaves all",
     "return atomic_exchange_explicit(&stack->first, (struct dd_magazine *)NULL, memory_order_acquire);",
     "struct dd_magazine *all = atomic_load_explicit(&stack->first, memory_order_acquire);\n\tatomic_store_explicit(&stack->first, (struct dd_magazine *)NULL, memory_order_relaxed);\n\treturn all;"),
    ("lib/pool/depot.h", "a thread that takes one keeps the rest", "if (first) dd_stack_put_back(", "if (false) dd_stack_put_back("),
    ("lib/pool/depot.h", "the rest is put back over what came meanwhile",
     "while (chain && !atomic_compare_exchange_strong_explicit(&stack->first, &none, chain, memory_order_release, memory_order_relaxed)) {",
     "while (chain && (atomic_store_explicit(&stack->first, chain, memory_order_release), (void)none, false)) {"),
    ("lib/pool/depot.h", "what came meanwhile goes below a rest that is not below it",
     "if (last) dd_plain_store(&last->next, chain);", ""),
    ("lib/pool/depot.h", "a taker puts its rest over that of another taker",
     "if (atomic_compare_exchange_strong_explicit(&depot->ready.first, &none, rest, memory_order_release, memory_order_relaxed)) return;",
     "atomic_store_explicit(&depot->ready.first, rest, memory_order_release);\n\treturn;"),
    ("lib/pool/depot.h", "a taker keeps its rest if others are ready", "dd_stack_put_back(&depot->home, rest);", ""),
    ("lib/pool/depot.h", "a taker keeps all that was ready",
     "dd_depot_put_rest(depot, dd_plain_load(&first->next));", ""),
    ("lib/pool/depot.h", "what is sent is counted when it may be taken already",
     "atomic_fetch_add_explicit(&depot->blocks, dd_plain_load(&magazine->count), memory_order_relaxed); dd_stack_put(&depot->home, magazine);",
     "uint64_t count = dd_plain_load(&magazine->count);\n\tdd_stack_put(&depot->home, magazine);\n\tatomic_fetch_add_explicit(&depot->blocks, count, memory_order_relaxed);"),
    ("lib/core/ring.h", "a drop is cleared before its destructor runs",
     "dd_plain_store(&ring->cursor, dd_plain_load(&ring->cursor) + 1);",
     "atomic_store_explicit(&ring->taken_from[dd_plain_load(&ring->cursor) & ring->taken_mask].destroy, (defer_drop_fn)NULL, memory_order_release);\n\tdd_plain_store(&ring->cursor, dd_plain_load(&ring->cursor) + 1);", ["owned"]),
    ("lib/core/ring.h", "what is taken on a closed ring is not marked",
     "atomic_exchange_explicit(&slot->destroy, DD_TAKEN, memory_order_acquire)",
     "atomic_load_explicit(&slot->destroy, memory_order_acquire)", ["contest"]),
    ("lib/core/ring.h", "taken while open is not contested",
     "if (dd_is_before(at, dd_plain_load(&ring->contested_from)))", "if (false)", ["contest"]),
    ("lib/core/ring.h", "head runs ahead of the destructor",
     "dd_plain_store(&ring->cursor, dd_plain_load(&ring->cursor) + 1);",
     "dd_plain_store(&ring->cursor, dd_plain_load(&ring->cursor) + 1);\n\tatomic_store_explicit(&ring->head, dd_plain_load(&ring->cursor), memory_order_release);", ["shared"]),
    ("lib/core/ring.h", "a waiter believes the slot alone",
     "return !dd_is_before(atomic_load_explicit(&ring->limit", "return false && !dd_is_before(atomic_load_explicit(&ring->limit", ["owned"]),
    ("lib/core/ring.h", "a take that loses is not noticed",
     "DD_TAKEN, memory_order_acquire);\n\tif (!drop->destroy)\n\t\treturn false;",
     "DD_TAKEN, memory_order_acquire);", ["contest"]),
    ("lib/core/ring.h", "a second slot is not marked",
     "dd_tagged(drop->destroy, DD_SECOND)", "drop->destroy", ["contest"]),
    ("lib/core/ring.h", "a second slot is taken alone", "!word || dd_is_second(word)", "!word", ["contest"]),
    ("lib/core/ring.h", "the first slot is published before the second",
     "dd_plain_store(&second->object, drop->object);",
     "dd_ring_publish(ring, at, options->pointer, dd_options_word(options));\n\tdd_plain_store(&second->object, drop->object);", ["shared"]),
    ("lib/core/ring.h", "the second slot is cleared before the first",
     "atomic_store_explicit(&ring->taken_from[(next - 2) & ring->taken_mask].destroy, (defer_drop_fn)NULL, memory_order_release);\n\tdd_ring_done(ring);",
     "atomic_store_explicit(&ring->taken_from[(next - 1) & ring->taken_mask].destroy, (defer_drop_fn)NULL, memory_order_release);\n\tatomic_store_explicit(&ring->taken_from[(next - 2) & ring->taken_mask].destroy, (defer_drop_fn)NULL, memory_order_release);\n\tif (!(next & (ring->batch - 1)))\n\t\tdd_ring_recycle(ring);", ["owned"]),
    ("lib/core/ring.h", "a claim of two looks for room for one",
     "while (!dd_ring_has_room(ring, *at + width - 1))", "while (!dd_ring_has_room(ring, *at))", ["shared"]),
    ("lib/core/ring.h", "a producer moves the limit back",
     "while (dd_is_before(seen, limit) &&", "while (", ["shared"]),
    ("lib/core/park.h", "announce without membarrier", "dd_membarrier();", ";"),
    ("lib/core/park.h", "heed without a fence", "atomic_signal_fence(memory_order_seq_cst);", ""),
    ("lib/core/park.h", "sleep through a ring",
     "atomic_compare_exchange_strong_explicit(bell, &awake, DD_BELL_NAPPING, memory_order_relaxed,\n\t\t    memory_order_relaxed)",
     "(atomic_store_explicit(bell, DD_BELL_NAPPING, memory_order_relaxed), awake == DD_BELL_AWAKE)"),
    ("lib/core/park.h", "a ring that leaves no mark",
     "atomic_fetch_or_explicit(bell, DD_BELL_RUNG", "atomic_fetch_or_explicit(bell, DD_BELL_AWAKE"),
    ("lib/core/park.h", "a thread that rings where another rang wakes nobody",
     "if (before & DD_BELL_NAPPING)", "if (before == DD_BELL_NAPPING)"),
    ("lib/core/completion.h", "a completion in use is used",
     "if (state != DD_COMPLETION_UNUSED && state != DD_COMPLETION_OVER)\n\t\t\treturn false;", ""),
    ("lib/core/completion.h", "the last status is kept",
     "if (status && !dd_plain_load(&completion->status))", "if (status)"),
    ("lib/core/completion.h", "a thread that counts before the last ends it",
     "drops, memory_order_acq_rel) == drops", "drops, memory_order_acq_rel) <= drops + 1"),
    ("lib/core/completion.h", "an eventfd is written to while it looks pending",
     "DD_COMPLETION_TOLD - DD_COMPLETION_PENDING", "0"),
    ("lib/core/completion.h", "telling forgets who waits",
     "atomic_fetch_add_explicit(&completion->state, DD_COMPLETION_TOLD - DD_COMPLETION_PENDING, memory_order_relaxed)",
     "atomic_store_explicit(&completion->state, DD_COMPLETION_TOLD, memory_order_relaxed)"),
    ("lib/core/completion.h", "the end forgets who waits",
     "memory_order_release) & DD_COMPLETION_WAITED", "memory_order_release) & 0"),
    ("lib/core/completion.h", "a thread that asks to be woken leaves no mark",
     "state | DD_COMPLETION_WAITED, memory_order_relaxed, memory_order_relaxed",
     "state, memory_order_relaxed, memory_order_relaxed"),
    ("lib/core/budget.h", "bytes beyond the budget are taken",
     "!pending || pending + bytes <= dd_budget_limit(budget)", "true"),
    ("lib/core/budget.h", "one drop alone is not admitted",
     "!pending || pending", "pending"),
    ("lib/core/budget.h", "a thread that gives back does not see a waiter",
     "memory_order_relaxed) & DD_BUDGET_WAITED;\n}\n\n#endif", "memory_order_relaxed) & 0;\n}\n\n#endif"),
    ("lib/base/latch.h", "a thread that is woken sleeps on", "dd_futex_wake(&latch->word, 1);", ""),
    ("lib/base/mutex.h", "a thread that unlocks wakes nobody", "dd_futex_wake(&mutex->word, 1);", ";"),
    ("lib/base/mutex.h", "a thread that was woken forgets that others may sleep",
     "while (atomic_exchange_explicit(&mutex->word, DD_CONTENDED, memory_order_acquire)) dd_futex_wait(&mutex->word, DD_CONTENDED, DEFER_DROP_FOREVER);",
     "while (atomic_exchange_explicit(&mutex->word, DD_HELD, memory_order_acquire))\n\t\tdd_futex_wait(&mutex->word, DD_HELD, DEFER_DROP_FOREVER);"),
    ("lib/core/seat.h", "a thread that leaves the seat wakes nobody",
     "dd_futex_wake(seat, 1); return true;", "return true;", ["seat"]),
    ("lib/core/seat.h", "a drain that finds the seat taken leaves no mark",
     "seat, &taken, 2, memory_order_relaxed", "seat, &taken, 1, memory_order_relaxed", ["pending"]),
    ("lib/core/seat.h", "a thread that waits for the seat leaves no mark",
     "atomic_exchange_explicit(seat, 2, memory_order_acquire)",
     "atomic_exchange_explicit(seat, 1, memory_order_acquire)"),
    ("lib/core/seat.h", "a seat that is taken is taken",
     "if (dd_seat_try(seat)) return 0;", "if (dd_seat_try(seat) || deadline_ns != DEFER_DROP_FOREVER) return 0;"),
    ("lib/base/latch.h", "a second start begins where the first has ended",
     "atomic_store_explicit(&latch->word, 0, memory_order_relaxed);", ""),
    ("lib/core/grace_thread.h", "the thread is not woken", "dd_futex_wake(&shared->asked, 1);", ""),
    ("lib/core/grace_thread.h", "the consumer is not woken", "dd_bell_ring(&shared->park->bell);", ""),
    ("lib/core/grace_thread.h", "the consumer is woken before it may look",
     "atomic_store_explicit(&shared->passed, passed, memory_order_release);\n\tpthread_mutex_lock(&shared->lock);\n\tif (shared->park)\n\t\tdd_bell_ring(&shared->park->bell);",
     "pthread_mutex_lock(&shared->lock);\n\tif (shared->park)\n\t\tdd_bell_ring(&shared->park->bell);\n\tatomic_store_explicit(&shared->passed, passed, memory_order_release);"),
    ("lib/core/grace_thread.h", "what was asked for meanwhile counts as passed",
     "dd_grace_thread_finish(shared, asked);",
     "dd_grace_thread_finish(shared, atomic_load_explicit(&shared->asked, memory_order_acquire));"),
    ("lib/core/grace_thread.h", "a thread that is dismissed goes on", "shared->park = NULL;", ""),
    ("lib/core/grace_thread.h", "a thread that is dismissed does not hear of it",
     "pthread_mutex_unlock(&shared->lock);\n\tdd_grace_thread_ask(shared);", "pthread_mutex_unlock(&shared->lock);"),
    ("lib/core/wait.c", "a thread that waits raises no alarm",
     "link_waiter(self); raise_alarm(self->lane);", "link_waiter(self);"),
    ("lib/core/wait.c", "a thread that waits does not look again when stores have settled",
     "dd_least(settled_ns, deadline_ns)", "deadline_ns"),
    ("lib/core/wait.c", "a thread that waits looks again before stores have settled", "dd_stores_settled();", ""),
    ("lib/core/run.c", "a turn ends without a look at the alarm that misses none",
     "if ((ran_in(&turn) || was_unfinished) && dd_unlikely(dd_alarm_is_due_at_last(lane)))", "if (false)"),
    ("lib/core/wait.h", "the consumer passes no fence", "atomic_signal_fence(memory_order_seq_cst);", ""),
    ("lib/core/wait.c", "a thread that waits does not look once more",
     "if (dd_ring_is_past(&self->lane->ring, self->position)) return true; if (dd_latch_wait", "if (dd_latch_wait"),
    ("lib/core/wait.c", "a thread that has waited stays in the list", "unlist(self); break;", "break;"),
    ("lib/core/waiters.h", "a waiter that is taken out stays in the list",
     "*(waiter->previous ? &waiter->previous->next : &list->first) = waiter->next;", ""),
    ("lib/core/waiters.h", "the last in the list is not known",
     "*(waiter->next ? &waiter->next->previous : &list->last) = waiter->previous;", ""),
    ("lib/core/waiters.h", "a waiter is taken out twice", "if (dd_latch_is_open(&waiter->is_woken)) return false;", ""),
    ("lib/core/wait.c", "a thread that waits goes to the end of the list",
     "while (previous && dd_is_before(self->position, ((struct position_waiter *)previous)->position)) previous = previous->previous;", ""),
    ("lib/core/wait.c", "a thread that asks for an eventfd does not look once more",
     "else if (dd_ring_is_past(&lane->ring, position)) dd_wait_wake(lane);", ""),
    ("lib/core/queue.h", "a thread that waits for a position does not see that the consumer has finished",
     "if (dd_queue_state(queue) < DD_GIVEN_UP) return true;", "return true;", ["wait"]),
    ("lib/core/wait.c", "the consumer finishes and wakes nobody", "release_lane(queue->lanes[i]);", ""),
    ("lib/core/wait.c", "a thread that polls looks at the position before it looks whether that may still move",
     "uint32_t state = dd_queue_state(lane->queue);\n\n\tif (dd_ring_is_past(&lane->ring, position))\n\t\treturn 0;",
     "bool is_past = dd_ring_is_past(&lane->ring, position);\n\tuint32_t state = dd_queue_state(lane->queue);\n\n\tif (is_past)\n\t\treturn 0;"),
    ("include/defer_drop/ref.h", "every put is the last", "if (__builtin_expect(before == count, 0))", "if (true)"),
    ("lib/face/ref.c", "a thread that is refused has no reference left", "__atomic_store_n(&ref->count, 1, __ATOMIC_RELAXED);", ";"),
    ("lib/core/lane.c", "a thread that takes a lane over leaves it to others too",
     "*at = lane->next_free;", ""),
    ("lib/core/lane.c", "a lane that something is in is taken for empty",
     "while (*at && !is_empty(*at))", "while (false)", ["handover"]),
    ("lib/core/lane.c", "a new thread goes behind the drops of another while there could be one more lane",
     "struct dd_lane *lane = take_over_empty(queue); if (!lane)", "struct dd_lane *lane = take_over(queue);\n\n\tif (!lane)", ["handover"]),
    ("lib/core/lane.c", "the memory of a lane is given back that something is in",
     "return take_free(queue, find_empty(at));", "return take_free(queue, at);", ["handover"]),
    ("lib/core/lane.c", "the memory of a lane is given back while a thread may take it over",
     "lane = take_surplus(queue); dd_registry_unlock(); if (!lane)",
     "lane = *find_empty(&queue->free_lanes);\n\tdd_registry_unlock();\n\tif (!lane)", ["handover"]),
    ("lib/core/lane.c", "a thread that leaves gives the memory back of drops that it leaves",
     "if (has_surplus(queue) && is_empty(lane))", "if (has_surplus(queue))", ["handover"]),
    ("lib/core/lane.c", "a thread that leaves the shared lane leaves drops there",
     "return dd_ring_is_past(&queue->shared.ring, tenancy->left_at);", "return true;", ["handover"]),
    ("lib/core/lane.c", "a lane is known before it is there",
     "queue->lanes[count] = lane;\n", "atomic_store_explicit(&queue->lane_count, count + 1, memory_order_release);\n\tdd_queue_lanes(queue);\n\tqueue->lanes[count] = lane;\n"),
    ("lib/face/guard.c", "a thread that waits for a guard is not woken", "dd_futex_wake(state, 1);", ""),
    ("lib/face/guard.c", "only the first guard is waited for", "i < count && !result; i++)\n\t\tresult = finish",
     "i < 1 && !result; i++)\n\t\tresult = finish"),
    ("lib/core/record.h", "a drop has the number of the one before",
     "+ DD_RECORD_NEXT + DD_RECORD_RUNS", "| DD_RECORD_RUNS"),
    ("lib/core/record.h", "a status is kept for the next drop", "(number & ~(uint64_t)DD_RECORD_TYPE)", "number"),
    ("lib/core/record.h", "a thread that ends a drop does not say so", "number & ~(uint64_t)DD_RECORD_RUNS", "number"),
    ("lib/core/record.h", "a thread that reads looks at the number once", "to->number == number && (number", "(number"),
    ("lib/core/watchdog.c", "a watchdog that is wanted falls asleep, and one that shall end",
     "if (!change(watchdog, DD_WATCHDOG_SPARED, DD_WATCHDOG_ASLEEP)) return false;",
     "atomic_store_explicit(&watchdog->state, DD_WATCHDOG_ASLEEP, memory_order_relaxed);"),
    ("lib/core/watchdog.c", "a watchdog that is spared stays awake",
     "if (has_changed || !sleep_spared(&queue->watchdog))", "if (true)"),
    ("lib/core/watchdog.c", "a thread that wants a watchdog that sleeps does not wake it",
     "if (was_asleep) dd_futex_wake(&self->state, 1);", "if (was_asleep) ;"),
    ("lib/core/watchdog.c", "a thread that wants a watchdog looks first whether it sleeps",
     "if (!change(self, DD_WATCHDOG_SPARED, DD_WATCHDOG_WANTED)) {\n\t\twas_asleep = change(self, DD_WATCHDOG_ASLEEP, DD_WATCHDOG_WANTED);\n\t\tif (!was_asleep)",
     "was_asleep = change(self, DD_WATCHDOG_ASLEEP, DD_WATCHDOG_WANTED);\n\tif (!was_asleep) {\n\t\tif (!change(self, DD_WATCHDOG_SPARED, DD_WATCHDOG_WANTED))"),
    ("lib/core/watchdog.c", "a thread that spares the watchdog does not say so",
     "change(&queue->watchdog, DD_WATCHDOG_WANTED, DD_WATCHDOG_SPARED)", "(void)0"),
    ("lib/core/watchdog.c", "a thread that spares the watchdog forgets that it shall end",
     "change(&queue->watchdog, DD_WATCHDOG_WANTED, DD_WATCHDOG_SPARED)",
     "atomic_store_explicit(&queue->watchdog.state, DD_WATCHDOG_SPARED, memory_order_relaxed)"),
    ("lib/core/watchdog.c", "a thread that ends the watchdog does not wake it",
     "dd_futex_wake(&self->state, 1);\n\t/* Fails", "/* Fails"),
    ("lib/core/watchdog.c", "a thread that ends the watchdog does not join it", "dd_thread_join(self->thread, &self->thread_id);", ""),
    ("lib/core/watchdog.c", "a watchdog is started that was ended",
     "state_of(self) == DD_WATCHDOG_ENDING ||", ""),
    ("lib/core/watchdog.c", "a watchdog is started twice",
     "|| atomic_load_explicit(&self->has_thread, memory_order_relaxed))", ")"),
    ("lib/core/watchdog.c", "a watchdog that was not started is not started late",
     "start_late(queue);\n}", ";\n}"),
    ("lib/core/watchdog.c", "a thread that ends the watchdog takes no lock",
     "dd_mutex_lock(&queue->control); atomic_store_explicit(&self->state, DD_WATCHDOG_ENDING, memory_order_relaxed); has_thread = atomic_exchange_explicit(&self->has_thread, false, memory_order_relaxed); dd_mutex_unlock(&queue->control);",
     "atomic_store_explicit(&self->state, DD_WATCHDOG_ENDING, memory_order_relaxed);\n\thas_thread = atomic_exchange_explicit(&self->has_thread, false, memory_order_relaxed);"),
    ("lib/core/queue.h", "a thread that waits for a state is not woken", "dd_futex_wake(&queue->state, INT_MAX);", ""),
    ("lib/core/budget.c", "a thread that waits leaves no mark",
     "atomic_fetch_or_explicit(&queue->budget.pending_bytes, DD_BUDGET_WAITED, memory_order_relaxed);", ""),
    ("lib/core/budget.c", "a thread that waits does not look once more",
     "serve(&queue->budget); /* bytes given back", "/* bytes given back"),
    ("lib/core/budget.c", "a thread that leaves keeps those behind waiting",
     "serve(&queue->budget); /* those behind", "/* those behind"),
    ("lib/core/budget.c", "a thread that is served takes nothing",
     "dd_budget_add(budget, first_of(budget)->bytes);", ""),
    ("lib/core/queue.h", "a thread that waits for bytes does not see that the consumer has finished",
     "if (dd_queue_state(queue) < DD_GIVEN_UP) return true;", "return true;", ["budget"]),
    ("lib/core/budget.c", "a thread that was served while late counts as late",
     "if (result && has_left(queue, &self))", "if (result && (has_left(queue, &self), true))"),
    ("lib/core/completion.h", "an eventfd is written to before that is said",
     "dd_completion_tell(completion); result = dd_eventfd_signal(eventfd);",
     "result = dd_eventfd_signal(eventfd);\n\t\tdd_completion_tell(completion);"),
    ("lib/core/completion.h", "a thread that waits for a completion is not woken",
     "if (dd_completion_end(completion)) dd_futex_wake(&completion->state, INT_MAX);", "dd_completion_end(completion);"),
    ("lib/core/grace.c", "a drop is destroyed before its grace period",
     "return dd_is_before(at, is_nested ? lane->cover.nested : lane->cover.position);", "return true;"),
    ("lib/core/grace.c", "a grace period covers what comes in while it runs",
     "lane->cover = lane->next_cover;", "note_cover(queue);\n\t\tlane->cover = lane->next_cover;"),
    ("lib/core/grace.c", "a lane that is covered stays aside", "lane->is_set_aside = false;", ""),
    ("lib/core/grace.c", "what is not covered asks for no grace period",
     "if (!queue->grace.is_running && !queue->grace.wanted_since_ns)", "if (false)"),
    ("lib/core/grace.c", "a thread that ends does not dismiss the thread", "dd_grace_thread_dismiss(shared);", ""),
    ("lib/core/lane.c", "a thread that has given its lane back pushes to it", "dd_self.is_leaving = true;", ""),
    ("lib/core/lane.c", "a thread that leaves twice gives its lane back twice", "&& !dd_self.is_leaving)\n\t\t\tgive_back", ") give_back"),
    ("lib/core/lane.c", "a thread that leaves forgets how far it came",
     "tenancy->left_at = dd_lane_give_back(lane);", "dd_lane_give_back(lane); tenancy->left_at = lane->first;"),
    ("lib/calls/push.c", "a leaving thread does not wait for its drops in its own lane",
     "if (tenancy && !tenancy->lane->is_shared) result = move_to_shared(tenancy, deadline_ns);", "", ["handover"]),
    ("lib/calls/push.c", "a leaving thread goes back from the shared lane",
     "tenancy->lane = &lane->queue->shared;", ";", ["handover"]),
    ("lib/core/lane.c", "a lane that another thread has is taken back",
     "return take_free(queue, find(&queue->free_lanes, lane))", "return true", ["handover"]),
    ("lib/calls/push.c", "a thread that finds the consumer asleep does not wake it", "dd_worker_wake(queue);", ";", ["sleep"]),
    ("lib/calls/push.c", "a thread that finds the queue closed takes nothing back",
     "(attention & DD_CLOSED) && dd_ring_retract(&lane->ring, at, word)", "false"),
    ("lib/calls/push.c", "a thread that settles leaves the tail where it was",
     "dd_ring_advance(&lane->ring, at + dd_width(word));", ""),
    ("lib/calls/push.c", "room that the closing consumer made is used", "return dd_unlikely(dd_is_closed(lane->queue));", "return false;"),
    ("lib/calls/push.c", "a thread that has waited for room claims it without a look",
     "if (!result && dd_ring_claim_try(&lane->ring, width, at)) return 0;",
     "if (!result)\n\t\t\treturn *at = dd_ring_claim(&lane->ring, width), 0;"),
    ("lib/calls/push.c", "a thread that finds the ring full does not wait",
     "if (!result) result = dd_wait_for_room(lane, last, deadline_ns);", "", ["wait"]),
    ("lib/core/run.c", "a thread that has destroyed a drop wakes nobody",
     "dd_ring_done(&lane->ring); wake_waiters(lane);", "dd_ring_done(&lane->ring);", ["wait"]),
    ("lib/core/run.c", "head passes a drop that was left in the middle",
     "if (ran_in(&turn) && !lane->is_unfinished)", "if (ran_in(&turn))", ["turns"]),
    ("lib/core/run.c", "a turn does not go on with what was left in the middle",
     "if (dd_unlikely(lane->is_unfinished)) {\n\t\tis_finished", "if (false) {\n\t\tis_finished", ["turns"]),
    ("lib/core/run.c", "a drop that is not finished counts as done",
     "if (current->is_again && !run_slice(lane, turn)) return false;", "", ["turns"]),
    ("lib/core/run.c", "the next slice comes before the drops that the last one made",
     "if (!run_nested(lane, turn)) return false; if (current->is_again && turn",
     "if (!current->is_again && !run_nested(lane, turn))\n\t\t\treturn false;\n\t\tif (current->is_again && turn", ["turns"]),
    ("lib/core/run.c", "a drop in the middle is called again when the time is over",
     "if (current->is_again && turn->is_last && is_over(lane->queue))", "if (false)", ["turns"]),
    ("lib/core/run.c", "the slots of a drop that was abandoned in the middle are taken again",
     "if (lane->is_cut_short)", "if (false)", ["turns"]),
    ("lib/core/run.c", "a drop that was abandoned in the middle counts as done",
     "abandon_current(lane);\n\t\t\treturn true;", "abandon_current(lane);\n\t\t\tfinish(lane);\n\t\t\treturn true;", ["turns"]),
    ("lib/core/run.c", "a drop is settled before its last slice",
     "if (current->is_again && !run_slice(lane, turn)) return false; if (current->options.word",
     "if (current->options.word)\n\t\t\tsettle(lane->queue, current, 0);\n\t\tif (current->is_again && !run_slice(lane, turn))\n\t\t\treturn false;\n\t\tif (current->options.word", ["turns"]),
    ("lib/core/worker.c", "a thread that stops draining does not look for what is left in the middle",
     "(lane->is_unfinished || dd_ring_is_published(&lane->ring))", "dd_ring_is_published(&lane->ring)", ["turns"]),
    ("lib/core/run.c", "what is left in the middle is taken for an empty lane",
     "if (!lane->is_unfinished) queue->next_words", "queue->next_words", ["turns"]),
    ("lib/core/run.c", "a lane is looked at where its last turn began",
     "queue->next_words[lane->index] = NULL; run_all(lane, queue, &turn); end_turn(queue, &turn); if (!lane->is_unfinished)",
     "queue->next_words[lane->index] = dd_ring_next_word(&lane->ring);\n\trun_all(lane, queue, &turn);\n\tend_turn(queue, &turn);\n\tif (false)", ["pending"]),
    ("lib/core/run.c", "a lane that has its turn is looked at where the turn began",
     "queue->next_words[lane->index] = NULL;", "", ["turns"]),
    ("lib/core/budget.c", "a thread that gives bytes back serves nobody",
     "if (bytes && dd_budget_give(&queue->budget, bytes)) dd_budget_serve(queue);",
     "dd_budget_give(&queue->budget, bytes);", ["budget"]),
    ("lib/core/run.c", "the closing consumer stops at a gap", "if (!lane->is_shared && !dd_ring", "if (!dd_ring", ["close"]),
    ("lib/life/closing.c", "a thread that closes the queue does not ring", "dd_bell_ring(&queue->park.bell);", ""),
    ("lib/life/closing.c", "a thread that closes the queue says until when after that",
     "make_earlier(&queue->drain_until_ns, drain_until_ns); dd_mutex_lock(&queue->control); if (dd_queue_state(queue) < DD_CLOSING) {",
     "dd_mutex_lock(&queue->control);\n\tif (dd_queue_state(queue) >= DD_CLOSING)\n\t\tmake_earlier(&queue->drain_until_ns, drain_until_ns);\n\telse {"
     "\n\t\tdd_queue_set_state(queue, DD_CLOSING);\n\t\tmake_earlier(&queue->drain_until_ns, drain_until_ns);", ["shutdown"]),
    ("lib/life/closing.c", "a later deadline takes the place of an earlier", "while (wanted_ns < before &&", "while ("),
    ("lib/life/closing.c", "nobody finishes a queue without a worker",
     "is_consumer = queue->is_closed_by_callers;", "is_consumer = false;"),
    ("lib/life/closing.c", "a thread that closes the queue does not see that its worker has left",
     "memory_order_relaxed) && !has_left;", "memory_order_relaxed);", ["stop"]),
    ("lib/life/closing.c", "a thread that closes the queue does not tell the thread that stops it", "dd_set_stop(queue, DD_STOP_OVERTAKEN);", "", ["stop"]),
    ("lib/life/closing.c", "a thread that gives up tells no completion", "dd_completion_call(&queue->completion_waiters);", "", ["give_up"]),
    ("lib/life/closing.c", "a thread that gives up wakes no thread that waits for a position", "dd_wait_release(queue);", "", ["give_up"]),
    ("lib/calls/completion.c", "a thread that waits for a completion does not see that the queue was given up",
     "is_hoped_for = dd_queue_state(queue) != DD_GIVEN_UP;", "is_hoped_for = true;", ["give_up"]),
    ("lib/core/completion.h", "a thread that gives a completion up leaves no mark",
     "state | DD_COMPLETION_CALLED, memory_order_relaxed", "state, memory_order_relaxed", ["give_up"]),
    ("lib/core/completion.h", "a thread that gives a completion up wakes nobody",
     "memory_order_relaxed, memory_order_relaxed)); dd_futex_wake(&completion->state, INT_MAX);",
     "memory_order_relaxed, memory_order_relaxed));", ["give_up"]),
    ("lib/core/worker.c", "a thread that leaves a seat that was wanted calls nobody", "dd_wait_call(queue);", ";", ["caller"]),
    ("lib/core/wait.c", "a thread that leaves a seat does not call the threads that wait for a completion", "dd_completion_call(&queue->completion_waiters);", "", ["caller"]),
    ("lib/core/wait.c", "a thread that leaves a seat does not call the threads that wait for the backlog", "dd_completion_call(&queue->completion_waiters); dd_watch_release(queue);", "dd_completion_call(&queue->completion_waiters);", ["caller"]),
    ("lib/core/wait.c", "a thread that leaves a seat does not call the threads that wait for a position", "if (((struct position_waiter *)at)->may_drain) dismiss((struct position_waiter *)at);", "", ["caller"]),
    ("lib/core/wait.c", "a thread that waits for the seat asks before it stands in the list",
     "if (!enlist_and_ring(&self)) return false; /* In the list first: a consumer that leaves a wanted seat wakes the threads in it. */ if (!dd_seat_ask(&queue->consumer_seat)) {",
     "if (dd_seat_ask(&queue->consumer_seat))\n\t\treturn true;\n\tif (!enlist_and_ring(&self))\n\t\treturn false;\n\t{", ["caller"]),
    ("lib/life/stop.c", "a thread that stops the queue does not ring", "dd_bell_ring(&queue->park.bell);", ";"),
    ("lib/life/stop.c", "a thread that stops the queue joins a worker that a shutdown joins",
     "*is_taken = stop == DD_STOP_LEFT;", "*is_taken = stop != DD_STOP_WANTED;"),
    ("lib/life/stop.c", "a thread that loses patience leaves the queue stopped", "if (result) take_back(queue);", ""),
    ("lib/core/worker.c", "a worker that has left finishes the queue",
     "leaves(queue, &frame)) return NULL;", "leaves(queue, &frame))\n\t\t\tbreak;", ["stop"]),
    ("lib/core/worker.c", "a worker leaves without saying so", "dd_set_stop(queue, DD_STOP_LEFT);", "", ["stop"]),
    ("lib/core/worker.c", "a thread that stops draining does not look once more",
     "if (has_any_published(queue) && dd_rouse(attention))", "if (false)", ["pending"]),
    ("lib/core/worker.c", "a thread that stops draining relies on what was announced long ago",
     "if (dd_settle(attention) & DD_ASLEEP)", "if (dd_heed(attention) & DD_ASLEEP)", ["pending"]),
    ("lib/core/worker.c", "a thread that leaves a seat that was wanted does not look once more",
     "while (was_wanted && queue->config", "while (false && queue->config", ["pending"]),
    ("lib/core/worker.c", "a thread that finds an empty queue does not tell", "dd_worker_tell_pending(queue); return; } /* A failure", "return;\n\t}\n\t/* A failure", ["pending"]),
    ("lib/life/closing.c", "all callers join the worker", "if (is_joiner)", "if (true)"),
    ("lib/calls/backlog.c", "a thread that waits for the backlog does not ring",
     "dd_queue_ring(queue); while", "while"),
    ("lib/core/watch.c", "the worker sees that it is enough and wakes nobody", "if (watcher->has_been_enough)", "if (false)"),
    ("lib/calls/backlog.c", "a thread that has waited for the backlog stays in the list",
     "dd_latch_wait(&self->waiter.is_woken, deadline_ns) == -ETIMEDOUT && dd_watch_unlist(queue, self)",
     "dd_latch_wait(&self->waiter.is_woken, deadline_ns) == -ETIMEDOUT"),
    ("lib/calls/backlog.c", "a thread that got the seat stays in the list of those that wait for the backlog",
     "dd_watch_unlist(queue, self); return true;", "return true;", ["caller"]),
    ("lib/core/queue.h", "a thread that waits for the backlog does not see that the consumer has finished",
     "if (dd_queue_state(queue) < DD_GIVEN_UP) return true;", "return true;", ["watch"]),
    ("lib/core/watch.c", "the worker finishes and does not tell who waits for the backlog",
     "while (queue->watch.list.first) dismiss(queue, queue->watch.list.first);", ""),
    ("lib/core/watch.c", "the consumer looks before it takes the lock",
     "dd_mutex_lock(&queue->waiters_lock); level = dd_watch_level(queue, true); for",
     "level = dd_watch_level(queue, true);\n\tdd_mutex_lock(&queue->waiters_lock);\n\tfor", ["caller"]),
    ("lib/core/worker.c", "a second shutdown finishes a queue that has finished",
     "if (dd_queue_state(queue) >= DD_FINISHED) return;", "", ["grace"]),
    ("lib/calls/drain.c", "a drain that finds its queue closed takes a round",
     "if (dd_queue_state(queue) >= DD_CLOSING) { dd_consumer_release(queue); return -ESHUTDOWN; }", "", ["grace"]),
    ("lib/core/worker.c", "a thread that falls asleep does not look once more", "if (!has_any_published(queue))", "if (true)"),
    ("lib/core/worker.c", "a thread that falls asleep looks before it says so",
     "dd_announce(&queue->park.attention, DD_ASLEEP); if (!has_any_published(queue)) {",
     "bool is_idle = !has_any_published(queue);\n\tdd_announce(&queue->park.attention, DD_ASLEEP);\n\tif (is_idle) {"),
    ("lib/core/worker.c", "a thread that cannot start the worker leaves it to nobody",
     "atomic_fetch_or_explicit(&queue->park.attention, DD_ASLEEP, memory_order_relaxed);", ""),
    ("lib/core/worker.c", "the closing consumer contests nothing", "dd_ring_contest(&queue->lanes[i]->ring);", ";", ["close"]),
    ("lib/core/worker.c", "the closing consumer says so first",
     "for (uint32_t i = 0; i < count; i++) dd_ring_contest(&queue->lanes[i]->ring); dd_announce(&queue->park.attention, DD_CLOSED);",
     "dd_announce(&queue->park.attention, DD_CLOSED);\n\tfor (uint32_t i = 0; i < count; i++)\n\t\tdd_ring_contest(&queue->lanes[i]->ring);", ["close"]),
    ("lib/core/worker.c", "the closing consumer says nothing", "dd_announce(&queue->park.attention, DD_CLOSED);", "", ["close"]),
]


# An ordering, as C11's atomics or builtins are given it.
ORDER = re.compile(r"(?:memory_order_|__ATOMIC_)(acq_rel|acquire|release)", re.IGNORECASE)


def without_end(order, mark):
    if order == "acq_rel" and "<->" not in mark:
        return "release" if mark.startswith("->") else "acquire"
    return "relaxed"


def edge_mutants(name, text, number):
    """Makes a mutant for each mark: the next ordering after the mark loses that end. One text has all mutants;
    the environment chooses one of them. Returns the text and the mutants' labels."""
    weakened = {}
    labels = []
    body = text.index("*/")
    for mark in re.finditer(r"(->[A-Z]{3,}|[A-Z]{3,}(?:<->|->))(?=[:,. ])", text[body:]):
        found = ORDER.search(text, body + mark.end())
        order = found.group(1).lower()
        line = text.count("\n", 0, found.start()) + 1
        choice = f"mutant == {number + len(labels)} ? rl::mo_{without_end(order, mark.group(1))} : "
        labels.append(f"{name}:{line} {mark.group(1)} {order}")
        before = weakened.setdefault(found.span(), f"rl::mo_{order}")
        weakened[found.span()] = choice + before
    for (start, end), choice in sorted(weakened.items(), reverse=True):
        text = f"{text[:start]}({choice}), ${text[end:]}"
    return text, labels


def step_mutants(texts):
    for name, label, old, new, *catchers in STEPS:
        squeezed = r"\s*".join(re.escape(token) for token in re.findall(r"\w+|\S", old))
        changed, count = re.subn(squeezed, lambda _: new, texts[name], count=1)
        if not count:
            sys.exit(f"mutate: {name}: nothing to leave out for: {label}")
        yield name, f"{name} {label}", changed, *(catchers or [FILES[name]])


def copy_tree(folder, texts):
    for tree in "lib", "include":
        shutil.copytree(pathlib.Path(root) / tree, folder / tree)
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "mutant.h").write_text(
        '#include <cstdlib>\nstatic const int mutant = std::atoi(std::getenv("MUTANT"));\n')


def build(folder, model):
    subprocess.run([*compiler.split(), "-std=c++17", "-Og", "-w", "-fpermissive", "-include", folder / "mutant.h",
                    "-I", folder / "lib", "-I", folder / "include", "-I", models[model].parent,
                    models[model], "-o", folder / model], check=True)


def fails(folder, model, mutant):
    environment = {**os.environ, "MUTANT": str(mutant)}
    try:
        ran = subprocess.run([folder / model], capture_output=True, timeout=600, env=environment)
    except subprocess.TimeoutExpired:
        return False
    return ran.returncode != 0


def catch_edge(folder, name, mutant):
    return next((model for model in FILES[name] if fails(folder, model, mutant)), None)


def catch_step(name, changed, catchers):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        copy_tree(folder, {name: changed})
        for model in catchers:
            build(folder, model)
            if fails(folder, model, 0):
                return model
    return None


def run_all(pool, folder):
    """Yields each mutant's label and the model that catches it, or None."""
    only = os.environ.get("ONLY", ",".join(FILES)).split(",")
    for name in set(only) - FILES.keys():
        print(f"mutate: ONLY={name}: want files of {', '.join(FILES)}", file=sys.stderr)
        sys.exit(2)
    only = [name for name in only if models.keys() >= set(FILES[name])] # the model of grace.c needs liburcu
    texts = {name: (pathlib.Path(root) / name).read_text() for name in FILES}
    edges = [] # numbered from 1
    chosen = {}
    for name in FILES:
        chosen[name], labels = edge_mutants(name, texts[name], 1 + len(edges))
        edges += [(name, label) for label in labels]
    copy_tree(folder, chosen)
    wanted = {model for name, _ in edges if name in only for model in FILES[name]}

    def build_and_try(model):
        build(folder, model)
        if fails(folder, model, 0):
            sys.exit(f"mutate: {model} fails without a mutant")

    list(pool.map(build_and_try, wanted))
    tries = [(label, pool.submit(catch_edge, folder, name, number))
             for number, (name, label) in enumerate(edges, 1) if name in only]
    tries += [(label, pool.submit(catch_step, name, changed, catchers))
              for name, label, changed, catchers in step_mutants(texts) if name in only]
    for label, caught in tries:
        yield label, caught.result()


def main():
    count = survivors = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool, tempfile.TemporaryDirectory() as folder:
        for label, caught in run_all(pool, pathlib.Path(folder)):
            print(f"{label}: {f'caught by {caught}' if caught else 'SURVIVES'}", flush=True)
            count += 1
            survivors += not caught
    print(f"{count} mutants, {survivors} survive")
    return survivors > 0


sys.exit(main())
